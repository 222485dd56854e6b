"""Windows finished at request time, from an entity's recent events.

The value at a request at time t is the training definition at t: events in (t-d-w, t-d], those later
than t left out, the request's own row once where the window includes it. Events are kept as whole
microseconds and, where a column's values allow it, whole numbers, so sums are exact and equal those
of the lake.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from platform_assets.declaration.duration import microseconds
from platform_assets.declaration.feature_view import Feature, FeatureView
from platform_assets.declaration.source import Column, Source
from platform_assets.errors import DeclarationError
from platform_assets.features.reach import DAY

if TYPE_CHECKING:
    import numpy as np

HORIZON = timedelta(days=1)
"""How far before the newest materialized moment requests can still be answered, to measure parity."""

MISSING = -(2**63)
"""Stands for a missing whole number, which a Feast array cannot hold."""


@dataclass(frozen=True)
class Measure:
    """A raw column as events hold it: whole numbers of 1/`unit`, or floats."""

    column: str
    exact: bool
    unit: int = 1
    nullable: bool = False


@dataclass(frozen=True)
class Events:
    """One entity's events in order of time: microseconds since 1970, keys, and measures by column.

    `keys` is None when no window needs to tell the request's own row from others. Missing values are
    NaN in floats and MISSING in whole numbers.
    """

    times: np.ndarray
    keys: np.ndarray | None
    values: Mapping[str, np.ndarray]

    def without(self, key: Any) -> Events:
        """The same events without the one that has this key."""
        import numpy as np

        if self.keys is None or not len(self.keys):
            return self
        own = np.flatnonzero(self.keys == key)
        if not len(own):
            return self
        return Events(
            np.delete(self.times, own),
            np.delete(self.keys, own),
            {name: np.delete(values, own) for name, values in self.values.items()},
        )


def measures(source: Source, view: FeatureView) -> tuple[Measure, ...]:
    """The raw columns whose values a view's windows need, each once.

    Raises DeclarationError for a column that is no number.
    """
    names = dict.fromkeys(
        feature.column for feature in view.windows if feature.column and _needs_values(source, feature)
    )
    return tuple(_measure(source.column(name), view) for name in names)


def keeps_keys(view: FeatureView) -> bool:
    """Whether a window can hold the request's own row, which must then count exactly once."""
    return any(not feature.delay for feature in view.windows)


def retention(view: FeatureView) -> timedelta:
    """How long before a request events can still count: the widest delay + window."""
    return max(
        (feature.delay + feature.window for feature in view.windows if feature.window), default=timedelta()
    )


def finish(
    source: Source,
    feature: Feature,
    events: Events,
    moment: int,
    own: Mapping[str, int | float] | None,
) -> int | float | None:
    """One window feature at `moment` (microseconds since 1970); None when the window holds no value.

    `events` must not hold the request's own row; `own` has its measures by column, or is None where
    there is no own row to count.
    """
    import numpy as np

    assert feature.window is not None
    end = moment - microseconds(feature.delay)
    low = int(np.searchsorted(events.times, end - microseconds(feature.window), side="right"))
    high = int(np.searchsorted(events.times, end, side="right"))
    with_own = own is not None and not feature.delay and feature.include_current_row
    if feature.column is None or not _needs_values(source, feature):
        return (high - low + with_own) or _when_empty(feature)
    measure = _measure(source.column(feature.column))
    values = events.values[feature.column][low:high]
    if with_own and own is not None:
        values = np.append(values, own[feature.column])
    if measure.nullable:
        values = values[values != MISSING] if measure.exact else values[~np.isnan(values)]
    if not len(values):
        return _when_empty(feature)
    return _aggregate(feature.function, values, measure)


def row_value(feature: Feature, moment: int, value: int | float | None) -> int | float | None:
    """A row function (`weekend`, `hour_at_most`, `value`) of the request itself."""
    if feature.function == "weekend":
        return int((moment // DAY + 3) % 7 >= 5)  # 1970-01-01 was a Thursday
    if feature.function == "hour_at_most":
        assert feature.hour is not None
        return int(moment % DAY // 3_600_000_000 <= feature.hour)
    return None if value is None or value != value else float(value)


def _aggregate(function: str, values: np.ndarray, measure: Measure) -> int | float:
    if function == "count":
        return len(values)
    if function == "mean":
        total = int(values.sum()) if measure.exact else float(values.sum())
        return total / (len(values) * measure.unit)
    found = values.sum() if function == "sum" else values.min() if function == "min" else values.max()
    return float(int(found) / measure.unit) if measure.exact else float(found)


def _when_empty(feature: Feature) -> int | float | None:
    if feature.function == "count":
        return int(feature.empty or 0)
    return None if feature.empty is None else float(feature.empty)


def _needs_values(source: Source, feature: Feature) -> bool:
    """A count of a column without nulls is a count of rows."""
    assert feature.column is not None
    return feature.function != "count" or source.column(feature.column).nullable


def _measure(column: Column, view: FeatureView | None = None) -> Measure:
    if column.type not in ("int64", "float64", "bool"):
        where = f"feature view {view.name!r}: " if view else ""
        raise DeclarationError(
            f"{where}column {column.name!r} is a {column.type}, and a window needs a number"
        )
    return Measure(
        column.name,
        exact=column.type != "float64" or column.scale is not None,
        unit=10**column.scale if column.scale is not None else 1,
        nullable=column.nullable,
    )
