"""Rows of a feature view in the user's online store, through Feast's own reads and writes."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from platform_assets.errors import Blocked, SourceError
from platform_assets.feast_project.feast_errors import one_line, store_told
from platform_assets.feast_project.open_project import OpenProject
from platform_assets.feast_project.snapshot import View

if TYPE_CHECKING:
    import pyarrow as pa

BATCH = 5_000
"""Entities in one read or write; SQLite allows 32,766 parameters in a statement."""
FIX = "start it, or correct feature_store.yaml, then run again"


@dataclass(frozen=True)
class OnlineRows:
    """What is stored for entities, in the order asked: a time and values each; None where there is none."""

    times: list[datetime | None]
    values: dict[str, list[Any]]

    def __len__(self) -> int:
        return len(self.times)


def read_online(opened: OpenProject, view: View, keys: pa.Table) -> OnlineRows:
    """The stored row of each entity; Blocked, naming the store, when it cannot be read."""
    from feast.type_map import feast_value_type_to_python_type

    names = [feature.name for feature in view.features]
    found = OnlineRows([], {name: [] for name in names})
    feast_view = opened.feast_view(view.name)
    with store_told(opened.online_store, FIX):
        for batch in _batches(keys):
            asked = _entity_keys(opened, view, batch)
            # Redis' store adds to the list of names it is given
            read = opened.feast.provider.online_read(opened.feast.config, feast_view, asked, list(names))
            for time, row in read:
                found.times.append(None if time is None else _utc(time))
                for name in names:
                    value = (row or {}).get(name)
                    found.values[name].append(
                        None if value is None else feast_value_type_to_python_type(value)
                    )
    return found


def write_online(opened: OpenProject, view: View, rows: pa.Table, times: Sequence[datetime]) -> None:
    """Store rows (key columns and feature columns) with these event timestamps, whatever was there.

    Raises SourceError for a column that has not the declared type, Blocked for a store that is down.
    """
    feast_view = opened.feast_view(view.name)
    at = 0
    for batch in _batches(rows):
        columns = {f.name: _typed(view, batch, f.name, f.dtype.to_value_type()) for f in feast_view.features}
        written = [
            (key, {name: column[i] for name, column in columns.items()}, times[at + i], None)
            for i, key in enumerate(_entity_keys(opened, view, batch))
        ]
        at += batch.num_rows
        with store_told(opened.online_store, FIX):
            opened.feast.provider.online_write_batch(opened.feast.config, feast_view, written, None)


def make_table(opened: OpenProject, view: View) -> None:
    """The view's table in SQLite, if it is not there.

    `feast apply` of a repository that was moved drops the tables of the old place and makes no new ones.
    """
    if opened.feast.config.online_store.type != "sqlite":
        return
    with store_told(opened.online_store, FIX):
        opened.feast.provider.online_store.update(
            config=opened.feast.config,
            tables_to_delete=[],
            tables_to_keep=[opened.feast_view(view.name)],
            entities_to_delete=[],
            entities_to_keep=[],
            partial=True,
        )


def blank_online(opened: OpenProject, view: View, keys: pa.Table, time: datetime) -> None:
    """Store rows without any value: what is served for an entity that training knows nothing of."""
    from feast.protos.feast.types.Value_pb2 import Value

    feast_view = opened.feast_view(view.name)
    empty = {feature.name: Value() for feature in view.features}
    with store_told(opened.online_store, FIX):
        for batch in _batches(keys):
            written = [(key, empty, time, None) for key in _entity_keys(opened, view, batch)]
            opened.feast.provider.online_write_batch(opened.feast.config, feast_view, written, None)


def stored_keys(opened: OpenProject, view: View, like: pa.Schema) -> pa.Table | None:
    """Every entity that the store has a row of, typed as `like`; None when the store cannot list them.

    SQLite can. Feast has no call for it, and in other stores it would be a scan of everything.
    """
    import pyarrow as pa
    from feast.infra.key_encoding_utils import deserialize_entity_key
    from feast.type_map import feast_value_type_to_python_type

    config = opened.feast.config
    if config.online_store.type != "sqlite":
        return None
    from feast.infra.online_stores.helpers import compute_table_id

    table = compute_table_id(
        opened.feast.project,
        opened.feast_view(view.name),
        config.registry.enable_online_feature_view_versioning,
    )
    path = Path(config.online_store.path)
    path = path if path.is_absolute() else opened.repo / path
    if not path.exists():
        return like.empty_table()
    with store_told(opened.online_store, FIX):
        connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
        try:
            found = connection.execute(
                f'SELECT DISTINCT entity_key FROM "{table.replace(chr(34), chr(34) * 2)}"'
            ).fetchall()
        finally:
            connection.close()
        keys: dict[str, list[Any]] = {name: [] for name in like.names}
        for (content,) in found:
            key = deserialize_entity_key(content, config.entity_key_serialization_version)
            for name, value in zip(key.join_keys, key.entity_values, strict=True):
                keys[name].append(feast_value_type_to_python_type(value))
    try:
        return pa.table({name: pa.array(values, like.field(name).type) for name, values in keys.items()})
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise Blocked(
            f"feature view {view.name!r}: the {opened.online_store} holds keys of another type than the "
            f"source ({one_line(error)}); drop its table {table} and materialize again, or give the source "
            f"its old type"
        ) from None


def _entity_keys(opened: OpenProject, view: View, keys: pa.Table) -> list[Any]:
    """Feast's keys of entities, typed as the view declares them: 7 and "7" are different keys."""
    from feast.protos.feast.types.EntityKey_pb2 import EntityKey
    from feast.value_type import ValueType

    columns = {column.name: column for column in opened.feast_view(view.name).entity_columns}
    names = [name for name in keys.column_names if name in columns]
    typed = [
        _typed(view, keys, name, columns[name].dtype.to_value_type() or ValueType.UNKNOWN) for name in names
    ]
    return [EntityKey(join_keys=names, entity_values=list(values)) for values in zip(*typed, strict=True)]


def _typed(view: View, rows: pa.Table, name: str, kind: Any) -> list[Any]:
    """A column as Feast's values of the declared type."""
    from feast.type_map import python_values_to_proto_values

    try:
        return list(python_values_to_proto_values(rows.column(name).to_pylist(), kind))
    except Exception as error:  # whatever Feast's conversions and protobuf say about a value
        raise SourceError(
            f"feature view {view.name!r}: column {name!r} is {rows.schema.field(name).type} and declared "
            f"{kind.name} ({one_line(error)}); declare it with the type that the source has"
        ) from None


def _batches(rows: pa.Table) -> Iterator[pa.Table]:
    for start in range(0, rows.num_rows, BATCH):
        yield rows.slice(start, BATCH)


def _utc(time: datetime) -> datetime:
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
