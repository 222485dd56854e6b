"""Windows finished at request time, from an entity's recent events.

The value at a request at time t is the training definition at t: events in (t-d-w, t-d], those later
than t left out, the request's own row once where the window includes it. Events are kept as whole
microseconds and, where a column's values allow it, whole numbers, so sums are exact and equal those
of the lake.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

from platform_assets.declaration.declared import fingerprint_of
from platform_assets.declaration.duration import microseconds
from platform_assets.declaration.expression import names_in
from platform_assets.declaration.expression_parser import parsed
from platform_assets.declaration.feature import COUNTS, Feature
from platform_assets.declaration.feature_view import FeatureView
from platform_assets.declaration.source import Source
from platform_assets.errors import DeclarationError
from platform_assets.features.reach import DAY

if TYPE_CHECKING:
    import numpy as np

HORIZON = timedelta(days=1)
"""How far before the newest materialized moment requests can still be answered, to measure parity."""

MISSING = -(2**63)
"""Stands for a missing whole number, which a Feast array cannot hold."""


MISSING_TEXT = ""
"""Stands for a missing text; every other begins with `TEXT`."""
TEXT = "="

OWN_KEY = "event_key"
"""Where a request's own measures hold its primary key."""

Kind = Literal["int64", "float64", "string"]


@dataclass(frozen=True)
class Measure:
    """What events hold of a raw column: whole numbers of 1/`unit`, floats, or texts after `TEXT`.

    With `where` it is no column, but 1 for an event of which that is true and 0 for every other.
    """

    column: str
    exact: bool
    unit: int = 1
    nullable: bool = False
    is_text: bool = False
    where: str | None = None

    @property
    def kind(self) -> Kind:
        return "string" if self.is_text else "int64" if self.exact else "float64"

    @property
    def reads(self) -> tuple[str, ...]:
        """Raw columns it is made of."""
        return (self.column,) if self.where is None else names_in(parsed(self.where))


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
    """What a view's windows need of each event, each once: columns first, then conditions.

    Raises DeclarationError for a column that is no number where a number is needed.
    """
    columns = {
        feature.column: _measure(source, feature, view)
        for feature in view.windows
        if feature.column is not None and _needs_values(source, feature)
    }
    filters = {feature.where: None for feature in view.windows if feature.where is not None}
    return (
        *columns.values(),
        *(Measure(filter_name(where), exact=True, where=where) for where in filters),
    )


def filter_name(where: str) -> str:
    """Name of the measure that tells of which events a condition is true."""
    return f"where_{fingerprint_of(where)}"


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
    own: Mapping[str, Any] | None,
) -> int | float | None:
    """One window feature at `moment` (microseconds since 1970); None when the window holds no value.

    `events` must not hold the request's own row; `own` has its measures by column and its primary key as
    `OWN_KEY`, or is None where there is no own row to count.
    """
    assert feature.window is not None
    counted = _counted(source, feature, events, moment, own)
    if feature.function == "time_since_last":
        return _seconds_since(feature, counted.times, moment)
    if counted.values is None:
        return counted.number or _when_empty(feature)
    measure = _measure(source, feature)
    values = counted.values
    if measure.nullable:
        values = values[_present(values, measure)]
    found = _aggregate(feature.function, values, measure) if len(values) else None
    return _when_empty(feature) if found is None else found


@dataclass(frozen=True)
class _Counted:
    """What counts in a window, in order of time and primary key; `values` None where rows are counted."""

    number: int
    times: np.ndarray
    values: np.ndarray | None


def _counted(
    source: Source, feature: Feature, events: Events, moment: int, own: Mapping[str, Any] | None
) -> _Counted:
    import numpy as np

    assert feature.window is not None
    end = moment - microseconds(feature.delay)
    low = int(np.searchsorted(events.times, end - microseconds(feature.window), side="right"))
    high = int(np.searchsorted(events.times, end, side="right"))
    with_own = own is not None and not feature.delay and not feature.leaves_out_own_row
    used: slice | np.ndarray = slice(low, high)
    if feature.where is not None:
        passing = filter_name(feature.where)
        used = low + np.flatnonzero(events.values[passing][low:high])
        with_own = with_own and own is not None and bool(own[passing])
    times = events.times[used]
    if feature.column is None or not _needs_values(source, feature):
        return _Counted(len(times) + with_own, times, None)
    values = events.values[feature.column][used]
    if with_own and own is not None:
        place = len(values)
        if feature.function == "last" and events.keys is not None:
            place = place_of_own(source, times, events.keys[used], moment, own.get(OWN_KEY))
        values = np.insert(values, place, own[feature.column])
    return _Counted(len(values), times, values)


def place_of_own(source: Source, times: np.ndarray, keys: np.ndarray, moment: int, key: Any) -> int:
    """Where the request's own row stands among events: by time, then by primary key; without one, last."""
    place = len(times)
    while key is not None and place and times[place - 1] == moment:
        if _stands_before(source, keys[place - 1], key):
            break
        place -= 1
    return place


def _stands_before(source: Source, key: Any, other: Any) -> bool:
    """Whether a stored key is ordered before another; a foreign one, no key of the source, always is."""
    try:
        return bool(_order(source, key) < _order(source, other))
    except (ValueError, TypeError):
        return True


def _order(source: Source, key: Any) -> Any:
    """A key as it is ordered; several columns are kept as one JSON text."""
    return json.loads(key) if len(source.primary_key) > 1 else key


def _seconds_since(feature: Feature, times: np.ndarray, moment: int) -> float | None:
    """Seconds since the newest of the times, which are in order."""
    if not len(times):
        return None if feature.empty is None else float(feature.empty)
    return (moment - int(times[-1])) / 1_000_000


def _present(values: np.ndarray, measure: Measure) -> np.ndarray:
    import numpy as np

    if measure.is_text:
        return np.asarray(values != MISSING_TEXT, dtype=bool)
    return np.asarray(values != MISSING if measure.exact else ~np.isnan(values), dtype=bool)


def row_value(feature: Feature, moment: int, value: int | float | None) -> int | float | None:
    """A row function (`weekend`, `hour_at_most`, `value`) of the request itself."""
    if feature.function == "weekend":
        return int((moment // DAY + 3) % 7 >= 5)  # 1970-01-01 was a Thursday
    if feature.function == "hour_at_most":
        assert feature.hour is not None
        return int(moment % DAY // 3_600_000_000 <= feature.hour)
    return None if value is None or value != value else float(value)


def _aggregate(function: str, values: np.ndarray, measure: Measure) -> int | float | None:
    """A function of at least one value; None where it has none: a deviation of one."""
    if function == "count":
        return len(values)
    if function == "distinct_count":
        return len(set(values.tolist()))
    if function == "mean":
        total = int(values.sum()) if measure.exact else float(values.sum())
        return total / (len(values) * measure.unit)
    if function == "stddev":
        return _deviation(values, measure)
    if function == "last":
        found = values[-1]
    else:
        found = values.sum() if function == "sum" else values.min() if function == "min" else values.max()
    return float(int(found) / measure.unit) if measure.exact else float(found)


def _deviation(values: np.ndarray, measure: Measure) -> float | None:
    """Standard deviation of a sample; None under two values, or beside one that is not finite."""
    import numpy as np

    n = len(values)
    if n < 2:
        return None
    if measure.exact:
        whole = values.tolist()
        spread = n * sum(value * value for value in whole) - sum(whole) ** 2
        return math.sqrt(float(spread) / (float(n) * (n - 1))) / measure.unit
    return float(np.std(values, ddof=1)) if np.isfinite(values).all() else None


def _when_empty(feature: Feature) -> int | float | None:
    if feature.function in COUNTS:
        return int(feature.empty or 0)
    return None if feature.empty is None else float(feature.empty)


def _needs_values(source: Source, feature: Feature) -> bool:
    """A count of a column without nulls is a count of rows."""
    if feature.column is None or feature.function != "count":
        return feature.column is not None
    return source.column(feature.column).nullable


def _measure(source: Source, feature: Feature, view: FeatureView | None = None) -> Measure:
    column = source.column(feature.column or "")
    if column.type == "string" and feature.function in COUNTS:
        return Measure(column.name, exact=False, nullable=column.nullable, is_text=True)
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
