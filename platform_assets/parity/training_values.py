"""Training values at a moment, computed from the lake by SQL: nothing is shared with what serves.

Two kinds: of every entity at the cut-off, where no row of the lake stands, aggregated by the training
definition from the raw days; and of each entity's newest row, as the lake's feature day holds it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from platform_assets.declaration.duration import microseconds
from platform_assets.declaration.feature import COUNTS, Feature
from platform_assets.declaration.feature_view import FeatureView
from platform_assets.declaration.source import Source
from platform_assets.features.engine import duckdb_engine, parquet_files
from platform_assets.features.entity_keys import key_names
from platform_assets.features.raw_values import RawValues
from platform_assets.features.sql_text import quoted
from platform_assets.features.window_aggregates import WindowAggregates
from platform_assets.features.window_frames import WindowFrames
from platform_assets.online.feast_objects import key_is_whole
from platform_assets.online.online_state import entity_text
from platform_assets.parity.differences import Column, column_of

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass
class MomentFrames(WindowFrames):
    """Windows that all end at one moment: an aggregate of rows in the frame, instead of a sliding one."""

    moment: int = 0

    def over(self, feature: Feature, aggregate: str) -> str:
        assert feature.window is not None
        end = self.moment - microseconds(feature.delay)
        frame = f"FILTER (WHERE _us > {end - microseconds(feature.window)} AND _us <= {end})"
        return self.named.setdefault(f"{aggregate} {frame}", f"_w{len(self.named)}")


@dataclass(frozen=True)
class TrainedAtCutOff:
    """Entities with any event in reach, the time of the newest one (microseconds), and their features."""

    entities: pa.Array
    newest: pa.Array
    columns: Mapping[str, Column]


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

    A request without a row of its own: every event at or before the moment counts as the windows say. Each
    function is written by the same code as in `view_sql`; only the frame is another.
    """
    raw = RawValues(source, "duckdb")
    frames = MomentFrames(join_keys, source.primary_key, "duckdb", moment=moment)
    aggregates = WindowAggregates(source, view, raw, frames)
    features = [f"{_value(aggregates, f)} AS {raw.quoted(f.name)}" for f in view.windows]
    keys = [raw.quoted(name) for name in join_keys]
    inner = [*keys, f"{raw.moment()} AS _us", *(f"{text} AS {name}" for text, name in raw.named.items())]
    grouped = [*keys, "max(_us) AS _newest", *(f"{text} AS {name}" for text, name in frames.named.items())]
    query = f"""
        SELECT {", ".join([*keys, "_newest", *features])}
        FROM (SELECT *, {moment} AS _us
              FROM (SELECT {", ".join(grouped)}
                    FROM (SELECT {", ".join(inner)} FROM {parquet_files(paths)}
                          WHERE {" AND ".join(f"{key} IS NOT NULL" for key in keys)})
                    WHERE _us > {after} AND _us <= {moment} GROUP BY {", ".join(keys)}))"""
    with duckdb_engine() as engine:
        found = engine.sql(query).to_arrow_table().combine_chunks()
    return TrainedAtCutOff(
        entity_array(source, join_keys, found),
        found.column("_newest").combine_chunks(),
        {feature.name: column_of(found.column(feature.name)) for feature in view.windows},
    )


def nobodys_values(features: Sequence[Feature], places: int) -> dict[str, Column]:
    """Features of an entity without events: what the declaration says of empty windows."""
    import numpy as np

    found = {}
    for feature in features:
        kind = np.int64 if feature.type == "int64" else np.float64
        empty = int(feature.empty or 0) if feature.function in COUNTS else feature.empty
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

    def listed(columns: Sequence[str], word: str = "", between: str = ", ") -> str:
        return between.join(quoted(name, "duckdb") + word for name in columns)

    order = listed((source.event_timestamp, *source.primary_key), " DESC")
    there = listed(join_keys, " IS NOT NULL", " AND ")
    with duckdb_engine() as engine:
        return engine.sql(
            f"SELECT {listed(columns)} FROM {parquet_files(paths)} WHERE {there} "
            f"QUALIFY row_number() OVER (PARTITION BY {listed(join_keys)} ORDER BY {order}) = 1"
        ).to_arrow_table()


def _value(aggregates: WindowAggregates, feature: Feature) -> str:
    """A window feature, also for a window without values, in its declared type."""
    value = aggregates.value(feature)
    if feature.function in COUNTS:
        value = f"coalesce(nullif({value}, 0), {int(feature.empty or 0)})"
    elif feature.empty is not None:
        value = f"coalesce({value}, {feature.empty!r})"
    return f"CAST({value} AS {'BIGINT' if feature.type == 'int64' else 'DOUBLE'})"
