"""Training values at a moment, computed from the lake by SQL: nothing is shared with what serves.

Two kinds: of every entity at the cut-off, where no row of the lake stands, aggregated by the training
definition from the raw days; and of each entity's newest row, as the lake's feature day holds it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from platform_assets.declaration.duration import microseconds
from platform_assets.declaration.feature_view import Feature, FeatureView
from platform_assets.declaration.source import Source
from platform_assets.features.engine import duckdb_engine, parquet_files
from platform_assets.features.entity_keys import key_names
from platform_assets.online.feast_objects import key_is_whole
from platform_assets.online.online_state import entity_text
from platform_assets.parity.differences import Column, column_of

if TYPE_CHECKING:
    import pyarrow as pa

AGGREGATED = ("count", "sum", "mean", "min", "max")


@dataclass(frozen=True)
class TrainedAtCutOff:
    """Entities with any event in reach, the time of the newest one (microseconds), and their features."""

    entities: pa.Array
    newest: pa.Array
    columns: Mapping[str, Column]


def computable(view: FeatureView) -> tuple[Feature, ...]:
    """The window features that can be aggregated at a moment at which the lake has no row."""
    return tuple(f for f in view.windows if f.function in AGGREGATED and getattr(f, "where", None) is None)


def trained_at_cut_off(
    source: Source,
    view: FeatureView,
    join_keys: tuple[str, ...],
    paths: Sequence[str],
    *,
    moment: int,
    after: int,
) -> TrainedAtCutOff:
    """Each entity's window features at `moment`, over its raw rows later than `after` (microseconds).

    A request without a row of its own: every event at or before the moment counts as the windows say.
    Numbers are exact where the declaration allows it, as in `view_sql`.
    """
    features = computable(view)
    selected = [f"{_aggregate(source, f, moment)} AS {_quoted(f.name)}" for f in features]
    read = {f.column for f in features if f.column is not None}
    columns = [f"{_present(source, name)} AS {_quoted(name)}" for name in sorted(read)]
    keys = ", ".join(f"{_quoted(name)} AS _key_{place}" for place, name in enumerate(join_keys))
    groups = ", ".join(f"_key_{place}" for place in range(len(join_keys)))
    there = " AND ".join(f"{_quoted(name)} IS NOT NULL" for name in join_keys)
    query = f"""
        SELECT {groups}, max(_us) AS _newest {"".join(f", {item}" for item in selected)}
        FROM (SELECT {keys}, epoch_us({_quoted(source.event_timestamp)}) AS _us
                     {"".join(f", {c}" for c in columns)}
              FROM {parquet_files(paths)} WHERE {there})
        WHERE _us > {after} AND _us <= {moment} GROUP BY {groups}"""
    with duckdb_engine() as engine:
        found = engine.sql(query).to_arrow_table().combine_chunks()
    return TrainedAtCutOff(
        entity_array(source, join_keys, found.select(groups.split(", ")).rename_columns(join_keys)),
        found.column("_newest").combine_chunks(),
        {feature.name: column_of(found.column(feature.name)) for feature in features},
    )


def nobodys_values(features: Sequence[Feature], places: int) -> dict[str, Column]:
    """Features of an entity without events: what the declaration says of empty windows."""
    import numpy as np

    found = {}
    for feature in features:
        kind = np.int64 if feature.type == "int64" else np.float64
        empty = feature.empty if feature.function != "count" else int(feature.empty or 0)
        values = np.full(places, 0 if empty is None else empty, dtype=kind)
        found[feature.name] = Column(values, np.full(places, empty is not None))
    return found


def entity_array(source: Source, join_keys: tuple[str, ...], rows: pa.Table) -> pa.Array:
    """The entity of each row as `recent_events` names it: an int64, else text."""
    import pyarrow as pa

    if len(join_keys) > 1:
        return pa.array([entity_text(name) for name in key_names(rows, join_keys)], pa.string())
    kind = pa.int64() if key_is_whole(source, join_keys) else pa.string()
    chunks = rows.column(join_keys[0]).cast(kind).chunks
    return pa.concat_arrays(chunks) if chunks else pa.array([], kind)


def newest_rows(
    source: Source, join_keys: tuple[str, ...], paths: Sequence[str], columns: Sequence[str]
) -> pa.Table:
    """The newest raw row of each entity in these files, one an entity; of ties the last by primary key."""
    order = ", ".join(f"{_quoted(name)} DESC" for name in (source.event_timestamp, *source.primary_key))
    names = ", ".join(_quoted(name) for name in columns)
    keys = ", ".join(_quoted(name) for name in join_keys)
    there = " AND ".join(f"{_quoted(name)} IS NOT NULL" for name in join_keys)
    with duckdb_engine() as engine:
        return engine.sql(
            f"SELECT {names} FROM {parquet_files(paths)} WHERE {there} "
            f"QUALIFY row_number() OVER (PARTITION BY {keys} ORDER BY {order}) = 1"
        ).to_arrow_table()


def _aggregate(source: Source, feature: Feature, moment: int) -> str:
    """The feature as an aggregate over its frame (moment - delay - window, moment - delay]."""
    assert feature.window is not None
    end = moment - microseconds(feature.delay)
    frame = f"FILTER (_us > {end - microseconds(feature.window)} AND _us <= {end})"
    if feature.function == "count":
        nullable = feature.column is not None and source.column(feature.column).nullable
        counted = _quoted(feature.column) if nullable and feature.column is not None else "*"
        value = f"CAST(count({counted}) {frame} AS BIGINT)"
        return value if not feature.empty else f"coalesce(nullif({value}, 0), {int(feature.empty)})"
    assert feature.column is not None
    column = source.column(feature.column)
    unit = 10**column.scale if column.scale is not None else 1
    name = _quoted(feature.column)
    if column.scale is not None:
        name = f"CAST(round({name} * {unit}) AS BIGINT)"
    elif column.type != "float64":
        name = f"CAST({name} AS BIGINT)"
    function = "sum" if feature.function == "mean" else feature.function
    value = f"CAST({function}({name}) {frame} AS DOUBLE)"
    if feature.function == "mean":
        value = f"({value} / (count({name}) {frame} * {unit}))"
    elif unit > 1:
        value = f"({value} / {unit})"
    return value if feature.empty is None else f"coalesce({value}, {feature.empty!r})"


def _present(source: Source, name: str) -> str:
    column, quoted = source.column(name), _quoted(name)
    if column.type == "float64" and column.nullable:  # NaN is null; see `view_sql` on isfinite
        return f"CASE WHEN isfinite({quoted}) OR isinf({quoted}) THEN {quoted} END"
    return quoted


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
