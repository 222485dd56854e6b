"""Which engine computes a feature, and the rows of a view from whichever they are.

Prefix sums (`prefix_sums`) take counts, sums, means and standard deviations of whole numbers and the time
since the row before; a view with any other window is DuckDB's. Both give the same bits, so a view's code
version knows nothing of the choice.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from platform_assets.declaration.feature_view import AnyEntity, Feature, FeatureView
from platform_assets.declaration.source import Source
from platform_assets.errors import LakeError
from platform_assets.features.prefix_sums import PrefixSums, summands, window_features
from platform_assets.features.reach import DAY
from platform_assets.features.sql_view import sql_view_rows
from platform_assets.features.timeline import OutOfRange, Timeline
from platform_assets.features.window_aggregates import NUMERIC, is_exact
from platform_assets.features.window_sql import derived_sql, summands_sql, view_sql, windowless_sql
from platform_assets.vocabulary import AVAILABLE_AT

if TYPE_CHECKING:
    import duckdb
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa
    from pydantic import BaseModel

COUNTED, SUMMED = "count", ("sum", "mean", "stddev")
KEY_TYPES = ("int64", "string", "bool", "timestamp")  # a double may be NaN or -0.0: left to SQL

# What a declaration may say for prefix sums to understand it. A field that is not named here and is not
# at its default leaves the whole view to SQL, so that a field to come is not silently ignored.
_VIEW_FIELDS = {
    "name", "description", "owners", "source", "entity", "version", "ttl", "online", "features", "compute",
    "parity",
}  # fmt: skip
_FEATURE_FIELDS = {
    "name", "description", "function", "column", "window", "delay", "include_current_row", "empty", "hour",
    "where", "numerator", "denominator", "expression",
}  # fmt: skip


def uses_prefix_sums(source: Source, entity: AnyEntity, view: FeatureView) -> bool:
    """Whether a view's windows are computed by prefix sums: all of them, and there is one."""
    return (
        bool(view.windows)
        and all(source.column(name).type in KEY_TYPES for name in entity.join_keys)
        and not _says_more(view, _VIEW_FIELDS)
        and not any(_says_more(feature, _FEATURE_FIELDS) for feature in view.features)
        and all(_is_summed(source, feature) for feature in view.windows)
    )


def feature_rows(
    engine: duckdb.DuckDBPyConnection,
    source: Source,
    entity: AnyEntity,
    view: FeatureView,
    relation: str,
    days: Collection[str],
    *,
    spill: bool = False,
) -> pa.Table:
    """What `view_sql` selects on those days, by the engine that is chosen; rows in no promised order.

    With `spill` all that the days look back at need not fit into memory.
    """
    if view.sql is not None:
        return sql_view_rows(engine, source, entity, view, relation, days)
    if not spill and uses_prefix_sums(source, entity, view):
        rows = _by_prefix_sums(engine, source, entity, view, relation, days)
        if rows is not None:
            return rows
    query = view_sql(source, entity, view, relation=relation, days=sorted(set(days)))
    return engine.sql(query).to_arrow_table()


def _by_prefix_sums(
    engine: duckdb.DuckDBPyConnection,
    source: Source,
    entity: AnyEntity,
    view: FeatureView,
    relation: str,
    days: Collection[str],
) -> pa.Table | None:
    """The rows; None where only SQL knows what is meant: nulls not declared, sums beyond 2^53."""
    import numpy as np

    engine.execute("SET preserve_insertion_order = true")  # both queries come in the order of the relation
    summed = summands(view.windows)
    names = {key: f"_n{number}" for number, key in enumerate(summed)}
    wanted_sums = {names[key]: features[0] for key, features in summed.items()}
    query = summands_sql(source, entity, view, relation=relation, summed=wanted_sums)
    raw = engine.sql(query).to_arrow_table()
    keys = {name: raw.column(name) for name in entity.join_keys}
    undeclared = any(key.null_count and not source.column(name).nullable for name, key in keys.items())
    if raw.column("_us").null_count or undeclared:
        return None
    moments = raw.column("_us").to_numpy()
    wanted = _on_days(moments, days)
    try:
        timeline = Timeline.of(list(keys.values()), moments, view.windows)
        moments = moments[wanted]
        raw, keys = raw.select(list(names.values())), {}  # what is not needed any more is let go
        sums = {
            key: PrefixSums.of(
                raw.column(names[key]),
                _unit(source, key[0]),
                timeline,
                squares=any(feature.function == "stddev" for feature in features),
            )
            for key, features in summed.items()
        }
        del raw
        found = window_features(view.windows, timeline, sums, wanted)
    except OutOfRange:
        return None
    del timeline, sums, wanted
    rows = engine.sql(windowless_sql(source, entity, view, relation=relation, days=days)).to_arrow_table()
    if not np.array_equal(rows.column("_us").to_numpy(), moments):
        raise LakeError(f"feature view {view.name!r}: rows changed while they were read; run it again")
    return _put_together(engine, source, entity, view, rows, found)


def _put_together(
    engine: duckdb.DuckDBPyConnection,
    source: Source,
    entity: AnyEntity,
    view: FeatureView,
    rows: pa.Table,
    found: dict[str, pa.Array],
) -> pa.Table:
    """Rows, their windows, and what is derived from both, in the columns that `view_sql` selects."""
    for name, column in found.items():
        rows = rows.append_column(name, column)
    if any(feature.is_derived for feature in view.features):
        engine.register("rows_and_windows_in", rows)
        query = derived_sql(source, entity, view, relation="rows_and_windows_in")
        derived = engine.sql(query).to_arrow_table()
        engine.unregister("rows_and_windows_in")
        for name in derived.column_names:
            rows = rows.append_column(name, derived.column(name))
    names = (
        *source.primary_key,
        *entity.join_keys,
        source.event_timestamp,
        AVAILABLE_AT,
        *view.feature_names,
    )
    return rows.select(list(dict.fromkeys(names)))


def _unit(source: Source, name: str | None) -> int:
    scale = None if name is None else source.column(name).scale
    return 1 if scale is None else int(10**scale)


def _on_days(moments: npt.NDArray[np.int64], days: Collection[str]) -> npt.NDArray[np.bool_]:
    """Which moments lie on one of the days."""
    import numpy as np

    if not len(moments):
        return np.zeros(0, dtype=bool)
    numbers = moments // DAY
    first = int(numbers.min())
    asked = np.zeros(int(numbers.max()) - first + 1, dtype=bool)
    for number in np.array(sorted(days), dtype="datetime64[D]").astype(np.int64) - first:
        if 0 <= number < len(asked):
            asked[number] = True
    return asked[numbers - first]


def _is_summed(source: Source, feature: Feature) -> bool:
    """A count, a sum of whole numbers or what is made of such sums, or the time since the row before."""
    if feature.function == "time_since_last":
        return feature.where is None
    if feature.function not in SUMMED:
        return feature.function == COUNTED
    column = source.column(feature.column or "")
    return is_exact(column) and column.type in NUMERIC


def _says_more(declared: BaseModel, understood: Collection[str]) -> bool:
    """Whether a declaration sets a field that is not among those understood."""
    fields: dict[str, Any] = dict(type(declared).model_fields)
    return any(
        getattr(declared, name) != field.get_default(call_default_factory=True)
        for name, field in fields.items()
        if name not in understood
    )
