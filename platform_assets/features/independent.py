"""Features by sort, binary search and prefix sums in numpy: no SQL, nothing shared with `window_sql`.

A second implementation that shared code with the first would share its mistakes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from platform_assets.declaration.duration import microseconds
from platform_assets.declaration.feature_view import AnyEntity, Feature, FeatureView
from platform_assets.declaration.source import Source
from platform_assets.errors import PlatformError
from platform_assets.features.independent_expressions import Known, evaluated
from platform_assets.features.independent_windows import counts, deviations, distinct, extremes, newest, sums

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    Floats = npt.NDArray[np.float64]
    Integers = npt.NDArray[np.int64]

DAY = 86_400_000_000  # microseconds


class NotMeasuredError(PlatformError):
    """A comparison could not be made; its verdict is UNKNOWN."""


def independent_features(
    source: Source, entity: AnyEntity, view: FeatureView, raw: pa.Table, rows: pa.Table
) -> dict[str, npt.NDArray[Any]]:
    """Features of `rows` over the raw rows given, by name, float64 with NaN for null.

    `raw` holds the primary key, join key, event timestamp and the columns that features read, for
    every raw day in reach; `rows` the primary key, join key and event timestamp (rows that are to
    be left out of their own window are found in `raw` by their primary key).
    """
    import numpy as np

    if view.sql is not None:
        raise NotMeasuredError(
            f"feature view {view.name!r} is declared in sql, of which there is no second implementation; say "
            f"recomputed_on: spark, or have its owner waive the gate"
        )
    events = _Events(source, entity, raw)
    who, when = events.codes(rows), micros(rows, source.event_timestamp)
    own = events.own_positions(rows)
    found: dict[str, npt.NDArray[Any]] = {}

    def compute(feature: Feature) -> npt.NDArray[Any]:
        if feature.name not in found:
            found[feature.name] = feature_values(feature)
        return found[feature.name]

    def feature_values(feature: Feature) -> npt.NDArray[Any]:
        if feature.is_window:
            return events.window(feature, who, when, own)
        if feature.function == "weekend":
            return ((when // DAY + 3) % 7 >= 5).astype(np.float64)  # 1970-01-01: Thursday
        if feature.function == "hour_at_most":
            assert feature.hour is not None
            return (when % DAY < (feature.hour + 1) * 3_600_000_000).astype(np.float64)
        if (own < 0).any():
            raise NotMeasuredError(f"{int((own < 0).sum())} rows are not among the raw rows")
        if feature.formula is not None:
            others = {other.name: other for other in view.features_of(feature)}

            def operand(name: str) -> Known:
                if name not in others:
                    column = events.operand(name)
                    return Known(column.values[own], column.there[own])
                values = compute(others[name])
                there = ~np.isnan(values)
                whole = others[name].type == "int64"
                return Known(np.where(there, values, 0).astype(np.int64) if whole else values, there)

            result = evaluated(feature.formula, len(own), operand)
            none = np.nan if feature.empty is None else feature.empty
            return np.where(result.there, result.values.astype(np.float64), none)
        assert feature.column is not None
        values, present = events.column(feature.column)
        return np.where(present[own], values[own].astype(np.float64), np.nan)

    for feature in view.features:
        compute(feature)
    return {feature.name: found[feature.name] for feature in view.features}


class _Events:
    """Raw rows sorted by entity and time."""

    def __init__(self, source: Source, entity: AnyEntity, raw: pa.Table) -> None:
        import numpy as np

        self.source, self.entity = source, entity
        names = key_names(raw, entity.join_keys)
        self.code_of = {name: code for code, name in enumerate(dict.fromkeys(names)) if name is not None}
        who = np.array([self.code_of.get(name, -1) for name in names], dtype=np.int64)
        when = micros(raw, source.event_timestamp)
        keys = _tuples(raw, source.primary_key)
        rank = np.empty(len(keys), dtype=np.int64)
        rank[sorted(range(len(keys)), key=keys.__getitem__)] = np.arange(len(keys))
        order = np.lexsort((rank, when, who))
        self.raw, self.order, self.when = raw, order, when[order]
        self.times, time_rank = np.unique(when, return_inverse=True)
        # one sortable number for (entity, time): ranks, not microseconds, so that nothing overflows
        self.width = len(self.times) + 1
        self.places = who[order] * self.width + time_rank[order]

    def codes(self, rows: pa.Table) -> Integers:
        """Number of each row's entity; -1 for null or never seen."""
        import numpy as np

        names = key_names(rows, self.entity.join_keys)
        return np.array(
            [-1 if name is None else self.code_of.get(name, -1) for name in names], dtype=np.int64
        )

    def own_positions(self, rows: pa.Table) -> Integers:
        """Where each row itself stands among the sorted events; -1 when it is not there."""
        import numpy as np

        keys = self.source.primary_key
        standing = np.empty(len(self.order), dtype=np.int64)
        standing[self.order] = np.arange(len(self.order))
        of_key = dict(zip(_tuples(self.raw, keys), standing.tolist(), strict=True))
        return np.array([of_key.get(key, -1) for key in _tuples(rows, keys)], dtype=np.int64)

    def column(self, name: str) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]:
        """Values in event order, and which are there; integers where the declaration makes them exact."""
        import numpy as np
        import pyarrow as pa
        import pyarrow.compute as pc

        declared = self.source.column(name)
        column = self.raw.column(name).combine_chunks()
        present = ~column.is_null().to_numpy(zero_copy_only=False)
        if declared.type == "string":
            return column.fill_null("").to_numpy(zero_copy_only=False)[self.order], present[self.order]
        if declared.type == "timestamp":
            return np.zeros(len(column), dtype=np.int64)[self.order], present[self.order]
        if declared.type == "bool":
            column = column.cast(pa.int8())
        values = pc.fill_null(column, 0).to_numpy(zero_copy_only=False)
        if declared.type == "float64":
            if declared.nullable:
                present &= ~np.isnan(values)
                values = np.where(present, values, 0.0)
        else:
            values = values.astype(np.int64)
        return values[self.order], present[self.order]

    def operand(self, name: str) -> Known:
        """A column in event order as expressions read it: never NaN, decimals as their nearest doubles."""
        import numpy as np

        values, present = self.column(name)
        declared = self.source.column(name)
        if declared.type == "bool":
            values = values.astype(bool)
        if declared.type == "float64":
            present = present & ~np.isnan(values)
        if declared.scale is not None:
            present = present & np.isfinite(values)
            unit = 10**declared.scale
            values = np.rint(np.where(present, values, 0) * unit).astype(np.int64) / unit
        return Known(values, present)

    def window(self, feature: Feature, who: Integers, when: Integers, own: Integers) -> Floats:
        """One window feature of each row."""
        import numpy as np

        assert feature.window is not None
        last = when - microseconds(feature.delay)
        begin = self._after(who, last - microseconds(feature.window))
        end = np.maximum(self._after(who, last), begin)
        if feature.column is None:
            values, present = np.zeros(len(self.order), np.int64), np.ones(len(self.order), bool)
            unit = 1
        else:
            values, present = self.column(feature.column)
            scale = self.source.column(feature.column).scale
            unit = 1 if scale is None else 10**scale
            if scale is not None and feature.function != "count":
                values = np.rint(values * unit).astype(np.int64)
        if feature.condition is not None:
            present = present & evaluated(feature.condition, len(present), self.operand).true
        inside = (own >= begin) & (own < end)
        left_out = np.where(inside & feature.leaves_out_own_row, own, -1)
        result = self._function(feature, values, present, (begin, end, left_out), when, unit)
        none = 0.0 if feature.function in ("count", "distinct_count") else np.nan
        if feature.empty is not None:
            none = feature.empty
        if feature.function == "stddev":
            return np.where(np.isnan(result), none, result)
        return np.where(counts(present, begin, end, left_out) > 0, result, none)

    def _function(
        self,
        feature: Feature,
        values: npt.NDArray[Any],
        present: npt.NDArray[np.bool_],
        windows: tuple[Integers, Integers, Integers],
        when: Integers,
        unit: int,
    ) -> Floats:
        """The function of each window; of a window without values anything."""
        import numpy as np

        match feature.function:
            case "count":
                return counts(present, *windows).astype(np.float64)
            case "distinct_count":
                return distinct(values, present, *windows)
            case "sum":
                return sums(values, present, *windows) / unit
            case "mean":
                with np.errstate(invalid="ignore", divide="ignore"):
                    return sums(values, present, *windows) / (counts(present, *windows) * unit)
            case "stddev":
                return deviations(values, present, *windows) / unit
            case "last":
                return values[newest(present, *windows)].astype(np.float64) / unit
            case "time_since_last":
                return (when - self.when[newest(present, *windows)]) / 1_000_000
        return extremes(values, present, *windows, feature.function) / unit

    def _after(self, who: Integers, moment: Integers) -> Integers:
        """How many events stand at or before each (entity, moment), as a position among all."""
        import numpy as np

        rank = np.searchsorted(self.times, moment, side="right") - 1  # -1: before every event
        # width is one more than there are times, so rank -1 stands behind the entity before
        found = np.searchsorted(self.places, who * self.width + rank, side="right")
        return np.where(who < 0, 0, found).astype(np.int64)


def micros(table: pa.Table, name: str) -> Integers:
    """A timestamp column as whole microseconds since 1970."""
    import pyarrow as pa
    import pyarrow.compute as pc

    column = table.column(name)
    whole = column.cast(pa.timestamp("us", tz=column.type.tz)).cast(pa.int64())
    return pc.fill_null(whole, 0).to_numpy()  # type: ignore[no-any-return]


def key_names(table: pa.Table, join_keys: Sequence[str]) -> list[Any]:
    """Each row's entity: its key, or the tuple of its keys; None when one is missing."""
    if len(join_keys) == 1:
        return table.column(join_keys[0]).to_pylist()  # type: ignore[no-any-return]
    return [None if None in keys else keys for keys in _tuples(table, join_keys)]


def _tuples(table: pa.Table, names: Sequence[str]) -> list[tuple[Any, ...]]:
    return list(zip(*(table.column(name).to_pylist() for name in names), strict=True))
