"""Each entity's newest feature row, for Feast's own clients: an ordinary materialized Feast view.

It is what `feast materialize` would write from the lake's current files as of the end of the newest raw day,
within the view's TTL, which Feast does not look at online. It is stale as soon as the clock moves: a window
is as it was at the entity's last event.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

from platform_assets.declaration.feature_view import FeatureView
from platform_assets.declaration.repository import Repository
from platform_assets.declaration.source import Source
from platform_assets.errors import Blocked
from platform_assets.features.compute import expected_inputs
from platform_assets.features.engine import duckdb_engine, parquet_files
from platform_assets.lake.digest import canonical, table_digest
from platform_assets.lake.manifest import Manifest
from platform_assets.online.backend_choice import open_backend
from platform_assets.online.feast_bytes import float_values, string_value, whole_values
from platform_assets.online.feast_objects import UNTIL, feast_name
from platform_assets.online.feast_registry import Fault, Tell
from platform_assets.online.held_rows import is_held
from platform_assets.online.online_backend import OnlineBackend, Rows
from platform_assets.online.state_rows import stored_keys
from platform_assets.stores import Stores
from platform_assets.vocabulary import AVAILABLE_AT, feature_table, online_table, raw_table

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

LATEST = "latest"
"""Partition of a view's online table that tells which rows were published."""


def latest_inputs(
    stores: Stores, repository: Repository, view: FeatureView, until: date
) -> dict[str, dict[str, str]]:
    """The feature days, by digest, that hold the newest rows as of the end of the day before `until`.

    Raises Blocked when one of them is missing or stale.
    """
    source = repository.source(view.source)
    table = stores.lake.table(feature_table(view.lake_name))
    raw = [d for d in stores.lake.table(raw_table(source.name)).partitions() if d < until.isoformat()]
    first = (until - whole_days(view.ttl)).isoformat() if view.ttl else ""
    days = [day for day in raw if day >= first]
    found = {}
    for day in days:
        manifest = table.manifest(day)
        expected = expected_inputs(stores, source, view, day)
        if manifest is None or expected is None or not manifest.is_made_from(view.code_version, expected):
            raise Blocked(
                f"online {view.name}: feature day {day} is missing or stale, so Feast's own view keeps the "
                f"rows it has; materialize {view.name} and then online_{view.name}"
            )
        found[day] = manifest.digest
    return {table.name: found}


def publish_latest(
    stores: Stores,
    repository: Repository,
    view: FeatureView,
    until: date,
    *,
    cause: str,
    run_id: str = "",
    tell: Tell,
) -> Manifest:
    """Make Feast's view of the declared name hold each entity's newest row, and nothing else.

    Publishing again from the same days changes nothing, unless the store does not hold what it should.
    Raises Blocked, with nothing changed, when a feature day is missing or stale.
    """
    source = repository.source(view.source)
    join_keys = repository.entity_of(view).join_keys
    inputs = latest_inputs(stores, repository, view, until)
    table = stores.lake.table(feature_table(view.lake_name))
    newest = newest_rows(table.paths(inputs[table.name]), source, view, join_keys, until)
    backend = open_backend(stores.home)
    rows = latest_rows(newest, source, view, join_keys, backend)
    written = stores.lake.table(online_table(view.lake_name))
    payload = {"view": view.name, UNTIL: until.isoformat(), "rows": len(rows), "digest": table_digest(newest)}
    if written.document(LATEST) == payload:
        found = is_held(backend, feast_name(view), rows)
        if not found:
            tell(Fault("foreign", feast_name(view), "held other rows than were published; written again"))
    if written.document(LATEST) != payload or not found:
        backend.replace(feast_name(view), rows)
    return written.write_document(
        LATEST, payload, code_version=view.code_version, inputs=inputs, cause=cause, run_id=run_id
    )


def newest_rows(
    paths: list[str], source: Source, view: FeatureView, join_keys: tuple[str, ...], until: date
) -> pa.Table:
    """The last row of each entity by event timestamp, then availability, then primary key; by join key."""
    time = source.event_timestamp
    wanted = list(dict.fromkeys([*join_keys, time, AVAILABLE_AT, *view.feature_names]))
    columns = ", ".join(_quoted(name) for name in wanted)
    keys = ", ".join(_quoted(name) for name in join_keys)
    order = ", ".join(f"{_quoted(name)} DESC" for name in (time, AVAILABLE_AT, *source.primary_key))
    rows = [f"{_quoted(name)} IS NOT NULL" for name in join_keys]
    if view.ttl:
        oldest = datetime.combine(until, datetime.min.time()) - view.ttl
        rows.append(f"{_quoted(time)} >= TIMESTAMP '{oldest.isoformat()}'")
    query = (
        f"SELECT {columns} FROM {parquet_files(paths)} WHERE {' AND '.join(rows)} "
        f"QUALIFY row_number() OVER (PARTITION BY {keys} ORDER BY {order}) = 1 ORDER BY {keys}"
    )
    with duckdb_engine() as engine:
        return canonical(engine.sql(query).to_arrow_table(), join_keys)


def latest_rows(
    newest: pa.Table, source: Source, view: FeatureView, join_keys: tuple[str, ...], backend: OnlineBackend
) -> Rows:
    """Feature rows as Feast's store holds them."""
    columns = [newest.column(name).to_pylist() for name in join_keys]
    names = columns[0] if len(columns) == 1 else list(zip(*columns, strict=True))
    values, texts = {}, {}
    for feature in view.features:
        column = newest.column(feature.name)
        values[feature.name] = feast_values(column)
        if backend.kind == "sqlite":
            texts[feature.name] = [None if v is None or v != v else str(v) for v in column.to_pylist()]
    return Rows(
        stored_keys(source, join_keys, names),
        values,
        _microseconds(newest.column(source.event_timestamp)),
        created=_microseconds(newest.column(AVAILABLE_AT)),
        texts=texts,
    )


def feast_values(column: pa.ChunkedArray) -> list[bytes]:
    """A column of whole numbers, floats or strings as Feast's Values; null and NaN are its empty one."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return [b"" if text is None else string_value(text) for text in column.to_pylist()]
    valid: np.ndarray = column.is_valid().to_numpy()
    if pa.types.is_floating(column.type):
        floats = pc.fill_null(column.cast(pa.float64()), float("nan")).to_numpy()
        return float_values(floats, ~np.isnan(floats))
    return whole_values(pc.fill_null(column.cast(pa.int64()), 0).to_numpy(), valid)


def _microseconds(column: pa.ChunkedArray) -> list[int]:
    import pyarrow as pa

    found: list[int] = column.cast(pa.timestamp("us")).cast(pa.int64()).to_pylist()
    return found


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def whole_days(length: timedelta) -> timedelta:
    """The shortest number of whole days that is not shorter."""
    return timedelta(days=-(-length // timedelta(days=1)))
