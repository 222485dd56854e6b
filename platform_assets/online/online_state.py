"""The online state of a view: what is kept of each entity, how Feast stores it, how it is read back."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import date
from typing import TYPE_CHECKING, Any

from platform_assets.declaration.duration import microseconds
from platform_assets.declaration.expression_parser import parsed
from platform_assets.declaration.feature_view import FeatureView
from platform_assets.declaration.source import Source
from platform_assets.features.entity_keys import key_names
from platform_assets.features.reach import DAY
from platform_assets.lake.digest import canonical
from platform_assets.lake.lake import Table
from platform_assets.online.feast_objects import (
    KEYS,
    TIMES,
    VALUE,
    key_is_whole,
)
from platform_assets.online.request_expressions import condition_of
from platform_assets.online.serving_windows import (
    HORIZON,
    MISSING,
    MISSING_TEXT,
    TEXT,
    Events,
    Measure,
    keeps_keys,
    measures,
    retention,
)

if TYPE_CHECKING:
    import pyarrow as pa


def recent_events(
    table: Table,
    source: Source,
    view: FeatureView,
    join_keys: tuple[str, ...],
    until: date,
    days: Iterable[str],
) -> pa.Table:
    """Events of the retention as `entity`, times, keys and measures, by entity and time.

    `entity` is an int64 join key as it is; any other, and several together, are text: see `entity_text`.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    key = source.primary_key
    read = [name for measure in measures(source, view) for name in measure.reads]
    wanted = [*join_keys, source.event_timestamp, *key, *read]
    raw = table.read(sorted(days), list(dict.fromkeys(wanted)))
    if not view.windows:
        raw = raw.slice(0, 0)
    times = raw.column(source.event_timestamp).cast(pa.timestamp("us")).cast(pa.int64())
    after = midnight(until) - microseconds(HORIZON) - microseconds(retention(view))
    raw = raw.append_column(TIMES, times)
    recent = pc.greater(times, after)
    for name in join_keys:
        recent = pc.and_(recent, pc.is_valid(raw.column(name)))
    raw = raw.filter(recent)
    raw = raw.sort_by([(name, "ascending") for name in dict.fromkeys((*join_keys, TIMES, *key))])
    columns = {"entity": raw.column(join_keys[0]), TIMES: raw.column(TIMES)}
    if len(join_keys) > 1:
        columns["entity"] = pa.array([entity_text(n) for n in key_names(raw, join_keys)], pa.string())
    elif not key_is_whole(source, join_keys):
        columns["entity"] = columns["entity"].cast(pa.string())
    if keeps_keys(view):
        whole = key_is_whole(source, key)
        columns[KEYS] = raw.column(key[0]) if whole else pa.array(row_keys(source, raw), pa.string())
    for measure in measures(source, view):
        columns[VALUE + measure.column] = measured(source, raw, measure)
    return canonical(pa.table(columns), [])


def no_events(source: Source, view: FeatureView) -> Events:
    import numpy as np

    types = {"int64": np.int64, "float64": np.float64, "string": object}
    kept = {m.column: np.empty(0, types[m.kind]) for m in measures(source, view)}
    return Events(np.empty(0, np.int64), None, kept)


def measured(source: Source, rows: pa.Table, measure: Measure) -> pa.ChunkedArray:
    """What events hold of each row: a raw column, or whether a condition is true."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if measure.where is not None:
        passing = condition_of(source, rows, parsed(measure.where))
        return pa.chunked_array([pc.fill_null(passing, False).cast(pa.int64())])
    column = rows.column(measure.column)
    if measure.is_text:
        present = pc.binary_join_element_wise(TEXT, column.cast(pa.string()), "")
        return pc.fill_null(present, MISSING_TEXT)
    if not measure.exact:
        return pc.fill_null(column.cast(pa.float64()), float("nan"))
    if pa.types.is_floating(column.type):
        if measure.nullable:
            column = pc.if_else(pc.is_nan(column), None, column)
        column = pc.round(pc.multiply(column, float(measure.unit)))
    return pc.fill_null(column.cast(pa.int64()), MISSING)


def entity_text(name: Any) -> str:
    """An entity as text: a single key as it is, several as a JSON list; `entity_of_text` reads it back."""
    return json.dumps(name) if isinstance(name, tuple) else str(name)


def entity_of_text(text: str, join_keys: tuple[str, ...]) -> Any:
    """The key, or the tuple of keys, that `entity_text` wrote."""
    return tuple(json.loads(text)) if len(join_keys) > 1 else text


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
    return [
        [m.column, m.exact, m.unit, m.nullable, *(["string"] if m.is_text else [])]
        for m in measures(source, view)
    ]


def midnight(day: date) -> int:
    return (day - date(1970, 1, 1)).days * DAY


def state_columns(source: Source, view: FeatureView) -> dict[str, str]:
    """What an entity's row holds: arrays of int64, float64 or string, by name."""
    columns = {TIMES: "int64"}
    if keeps_keys(view):
        columns[KEYS] = "int64" if key_is_whole(source, source.primary_key) else "string"
    return columns | {VALUE + m.column: m.kind for m in measures(source, view)}
