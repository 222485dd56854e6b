"""The online state of a view: what is kept of each entity, how Feast stores it, how it is read back."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from platform_assets.declaration.duration import microseconds
from platform_assets.declaration.feature_view import FeatureView
from platform_assets.declaration.source import Source
from platform_assets.features.reach import DAY
from platform_assets.lake.digest import canonical
from platform_assets.lake.lake import Table
from platform_assets.online.feast_objects import (
    ENTITIES,
    KEYS,
    PROJECT,
    STATE_DIGEST,
    TIMES,
    VALUE,
    key_is_whole,
    state_view_name,
)
from platform_assets.online.serving_windows import (
    HORIZON,
    MISSING,
    Events,
    Measure,
    keeps_keys,
    measures,
    retention,
)

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from feast import FeatureStore

STATE_ROW: Mapping[bool, int | str] = {True: -(2**63), False: "__state__"}
"""Key of the row that tells which state this is, by whether keys are whole numbers; nobody has it."""


def recent_events(
    table: Table, source: Source, view: FeatureView, entity_key: str, until: date, days: Iterable[str]
) -> pa.Table:
    """Events of the retention as `entity`, times, keys and measures, by entity and time."""
    import pyarrow as pa
    import pyarrow.compute as pc

    key = source.primary_key
    wanted = [entity_key, source.event_timestamp, *key, *(m.column for m in measures(source, view))]
    raw = table.read(sorted(days), list(dict.fromkeys(wanted)))
    if not view.windows:
        raw = raw.slice(0, 0)
    times = raw.column(source.event_timestamp).cast(pa.timestamp("us")).cast(pa.int64())
    after = midnight(until) - microseconds(HORIZON) - microseconds(retention(view))
    raw = raw.append_column(TIMES, times)
    raw = raw.filter(pc.and_(pc.greater(times, after), pc.is_valid(raw.column(entity_key))))
    order = [(entity_key, "ascending"), (TIMES, "ascending"), *((name, "ascending") for name in key)]
    raw = raw.sort_by(list(dict.fromkeys(order)))
    columns = {"entity": raw.column(entity_key), TIMES: raw.column(TIMES)}
    if not key_is_whole(source, (entity_key,)):
        columns["entity"] = columns["entity"].cast(pa.string())
    if keeps_keys(view):
        whole = key_is_whole(source, key)
        columns[KEYS] = raw.column(key[0]) if whole else pa.array(row_keys(source, raw), pa.string())
    for measure in measures(source, view):
        columns[VALUE + measure.column] = measured(raw.column(measure.column), measure)
    return canonical(pa.table(columns), [])


def write_state(
    store: FeatureStore,
    source: Source,
    view: FeatureView,
    entity_key: str,
    events: pa.Table,
    until: date,
    *,
    state_digest: str,
    promised: Mapping[str, Any] | None,
) -> int:
    """Write every entity and the row that tells the state; how many entities have events."""
    import numpy as np
    from feast.protos.feast.types.EntityKey_pb2 import EntityKey
    from feast.protos.feast.types.Value_pb2 import Value

    whole = key_is_whole(source, (entity_key,))
    state_view = store.get_feature_view(state_view_name(view))
    store.provider.update_infra(PROJECT, [], [state_view], [], [], partial=True)  # the file may be gone
    known = _stored_entities(store, view, entity_key, whole, promised)
    if known is None:
        # nobody can be served from this state, so it may as well go: nothing of it is left behind
        store.provider.update_infra(PROJECT, [state_view], [], [], [], partial=True)
        store.provider.update_infra(PROJECT, [], [state_view], [], [], partial=True)
    names = events.column("entity").to_numpy(zero_copy_only=False)
    first = np.ones(len(names), dtype=bool)
    first[1:] = names[1:] != names[:-1]
    starts = np.flatnonzero(first)
    ends = [*starts[1:].tolist(), len(names)] if len(starts) else []
    entities = events.column("entity").take(starts).to_pylist()
    columns = {name: events.column(name).to_pylist() for name in state_columns(source, view)}
    wrap = {name: _wrapper(columns_type) for name, columns_type in state_columns(source, view).items()}
    moment = datetime.combine(until, datetime.min.time(), UTC) - timedelta(microseconds=1)

    def row(entity: Any, values: dict[str, Any]) -> tuple[Any, dict[str, Any], datetime, None]:
        value = Value(int64_val=entity) if whole else Value(string_val=entity)
        return EntityKey(join_keys=[entity_key], entity_values=[value]), values, moment, None

    rows = [
        row(entity, {name: wrap[name](values[start:end]) for name, values in columns.items()})
        for entity, start, end in zip(entities, starts.tolist(), ends, strict=True)
    ]
    empty = {name: wrap[name]([]) for name in columns}
    rows += [row(gone, empty) for gone in sorted((known or set()) - set(entities))]
    state = {
        STATE_DIGEST: Value(string_val=state_digest),
        ENTITIES: _wrapper("int64" if whole else "string")(entities),
    }
    rows.append(row(STATE_ROW[whole], state))
    store.provider.online_write_batch(store.config, state_view, rows, None)
    return len(entities)


def read_rows(
    store: FeatureStore, view: FeatureView, entity_key: str, names: list[Any], columns: Iterable[str]
) -> Iterator[dict[str, Any]]:
    """The stored values of each entity, as Feast's protos; empty for one that is unknown."""
    from feast.protos.feast.types.EntityKey_pb2 import EntityKey
    from feast.protos.feast.types.Value_pb2 import Value

    whole = isinstance(names[0], int)
    state_view = store.get_feature_view(state_view_name(view))
    keys = [
        EntityKey(
            join_keys=[entity_key],
            entity_values=[Value(int64_val=name) if whole else Value(string_val=str(name))],
        )
        for name in names
    ]
    wanted = [*columns, STATE_DIGEST]
    for _, row in store.provider.online_read(store.config, state_view, keys, wanted):
        yield row or {}


def decoded(source: Source, view: FeatureView, row: Mapping[str, Any]) -> Events:
    import numpy as np

    def array(name: str, kind: str) -> np.ndarray:
        if kind == "string":
            return np.array(list(row[name].string_list_val.val), dtype=object)
        held = row[name].int64_list_val.val if kind == "int64" else row[name].double_list_val.val
        return np.fromiter(held, np.int64 if kind == "int64" else np.float64, len(held))

    arrays = {name: array(name, kind) for name, kind in state_columns(source, view).items()}
    return Events(
        arrays[TIMES],
        arrays.get(KEYS),
        {m.column: arrays[VALUE + m.column] for m in measures(source, view)},
    )


def no_events(source: Source, view: FeatureView) -> Events:
    import numpy as np

    kept = {m.column: np.empty(0, np.int64 if m.exact else np.float64) for m in measures(source, view)}
    return Events(np.empty(0, np.int64), None, kept)


def measured(column: pa.ChunkedArray, measure: Measure) -> pa.ChunkedArray:
    """A raw column as whole numbers of 1/unit, or floats; missing values as events hold them."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not measure.exact:
        return pc.fill_null(column.cast(pa.float64()), float("nan"))
    if pa.types.is_floating(column.type):
        if measure.nullable:
            column = pc.if_else(pc.is_nan(column), None, column)
        column = pc.round(pc.multiply(column, float(measure.unit)))
    return pc.fill_null(column.cast(pa.int64()), MISSING)


def row_keys(source: Source, rows: pa.Table) -> list[Any]:
    """One key a row: a whole number, else a string; None where the rows have no primary key."""
    if any(name not in rows.column_names for name in source.primary_key):
        return [None] * rows.num_rows
    columns = [rows.column(name).to_pylist() for name in source.primary_key]
    if key_is_whole(source, source.primary_key):
        return list(columns[0])
    if len(columns) == 1:
        return [None if value is None else str(value) for value in columns[0]]
    return [json.dumps(values, default=str) for values in zip(*columns, strict=True)]


def shape(source: Source, view: FeatureView) -> list[list[Any]]:
    """How measures are held; it follows from column types, which the view's version does not cover."""
    return [[m.column, m.exact, m.unit, m.nullable] for m in measures(source, view)]


def midnight(day: date) -> int:
    return (day - date(1970, 1, 1)).days * DAY


def _stored_entities(
    store: FeatureStore, view: FeatureView, entity_key: str, whole: bool, promised: Mapping[str, Any] | None
) -> set[Any] | None:
    """Entities of the state that is there; None when it is not the one that was promised."""
    columns = {STATE_DIGEST: "text", ENTITIES: "int64" if whole else "string"}
    state = next(read_rows(store, view, entity_key, [STATE_ROW[whole]], columns))
    if (
        promised is None
        or promised["view_version"] != view.code_version
        or STATE_DIGEST not in state
        or state[STATE_DIGEST].string_val != promised["state_digest"]
    ):
        return None
    return set(state[ENTITIES].int64_list_val.val if whole else state[ENTITIES].string_list_val.val)


def state_columns(source: Source, view: FeatureView) -> dict[str, str]:
    """What an entity's row holds: arrays of int64, float64 or string, by name."""
    columns = {TIMES: "int64"}
    if keeps_keys(view):
        columns[KEYS] = "int64" if key_is_whole(source, source.primary_key) else "string"
    return columns | {VALUE + m.column: "int64" if m.exact else "float64" for m in measures(source, view)}


def _wrapper(kind: str) -> Any:
    from feast.protos.feast.types import Value_pb2 as protos

    if kind == "string":
        return lambda values: protos.Value(string_list_val=protos.StringList(val=values))
    if kind == "int64":
        return lambda values: protos.Value(int64_list_val=protos.Int64List(val=values))
    return lambda values: protos.Value(double_list_val=protos.DoubleList(val=values))
