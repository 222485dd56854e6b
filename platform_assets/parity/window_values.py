"""Windows of many entities finished at once: what `finish` gives for each of them alone.

Each entity is asked at one moment, so an event counts for at most one of them. Frames are found by one binary
search for all entities together; sums are differences of running totals where measures are whole numbers, so
they are exact.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from platform_assets.declaration.duration import microseconds
from platform_assets.declaration.feature import COUNTS, Feature
from platform_assets.declaration.feature_view import FeatureView
from platform_assets.declaration.source import Source
from platform_assets.online.serving_windows import (
    MISSING,
    MISSING_TEXT,
    Measure,
    filter_name,
    keeps_keys,
    measures,
    place_of_own,
)
from platform_assets.parity.differences import Column
from platform_assets.parity.entity_events import EntityEvents

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Places = npt.NDArray[np.int64]


@dataclass(frozen=True)
class OwnRows:
    """The row that each entity's request is: its primary key, as events hold it, and its measures."""

    keys: np.ndarray
    values: Mapping[str, np.ndarray]


def window_values(
    source: Source, view: FeatureView, events: EntityEvents, moments: Places, own: OwnRows | None = None
) -> dict[str, Column]:
    """Every window feature of the view, a place an entity, at that entity's moment.

    With `own` each request is a row of the entity: stored or not, it counts once where the window
    includes it. Without, nothing but the events counts.
    """
    others, all_rows = events, events
    if own is not None and keeps_keys(view):
        others = _without(events, own)
        all_rows = _with(source, others, moments, own)
    sides = {True: all_rows, False: others}
    passing: dict[tuple[str | None, bool], EntityEvents] = {}
    frames: dict[tuple[str | None, bool, int, int], tuple[Places, Places]] = {}
    by_column = {m.column: m for m in measures(source, view)}
    found = {}
    for feature in view.windows:
        assert feature.window is not None
        with_own = not feature.delay and not feature.leaves_out_own_row
        among = passing.get((feature.where, with_own))
        if among is None:
            among = passing[feature.where, with_own] = _passing(feature, sides[with_own])
        delay, width = microseconds(feature.delay), microseconds(feature.window)
        frame = frames.get((feature.where, with_own, delay, width))
        if frame is None:
            frame = (_after(among, moments - delay - width), _after(among, moments - delay))
            frames[feature.where, with_own, delay, width] = frame
        if feature.function == "time_since_last":
            found[feature.name] = _seconds_since(feature, among, *frame, moments)
            continue
        measure = by_column.get(feature.column) if feature.column is not None else None
        found[feature.name] = _aggregate(feature, among, *frame, measure)
    return found


def _passing(feature: Feature, events: EntityEvents) -> EntityEvents:
    """The events that the feature's condition lets through."""
    if feature.where is None:
        return events
    return events.where(events.values[filter_name(feature.where)] != 0)


def _seconds_since(
    feature: Feature, events: EntityEvents, low: Places, high: Places, moments: Places
) -> Column:
    import numpy as np

    some = high > low
    result = np.zeros(len(low))
    result[some] = (moments[some] - events.times[high[some] - 1]) / 1_000_000
    return _or_empty(feature, result, some)


def _after(events: EntityEvents, moments: Places) -> Places:
    """For each entity the place of its first event after a moment."""
    import numpy as np

    low, high = events.starts[:-1].copy(), events.starts[1:].copy()
    if not len(events.times):
        return low
    last = len(events.times) - 1
    for _ in range(int(events.counts.max(initial=0)).bit_length()):
        middle = (low + high) // 2
        up = (low < high) & (events.times[np.minimum(middle, last)] <= moments)
        low = np.where(up, middle + 1, low)
        high = np.where(up, high, np.where(low < high, middle, high))
    return low


def _aggregate(
    feature: Feature, events: EntityEvents, low: Places, high: Places, measure: Measure | None
) -> Column:
    import numpy as np

    if measure is None:
        return _or_empty(feature, high - low, high > low)
    values = events.values[measure.column]
    if measure.nullable:
        there = _present(values, measure)
        before = np.concatenate([[0], np.cumsum(there)])
        values, low, high = values[there], before[low], before[high]
    some = high > low
    if feature.function == "count":
        return _or_empty(feature, high - low, some)
    first, last = low[some], high[some]
    result = np.zeros(len(low), dtype=np.int64 if feature.function == "distinct_count" else np.float64)
    if feature.function == "distinct_count":
        result[some] = _distinct(values, first, last)
    elif feature.function == "stddev":
        result[some], defined = _deviations(values, first, last, measure)
        some[some] = defined
    else:
        result[some] = _reduced_to_one(feature.function, values, first, last, measure)
    return _or_empty(feature, result, some)


def _reduced_to_one(
    function: str, values: np.ndarray, first: Places, last: Places, measure: Measure
) -> np.ndarray:
    """Sum, mean, min, max or last of windows that hold at least one value."""
    import numpy as np

    if function == "last":
        reduced = values[last - 1]
    elif function in ("min", "max"):
        reduced = _reduced(np.minimum if function == "min" else np.maximum, values, first, last)
    elif measure.exact:
        totals = np.concatenate([[0], np.cumsum(values)])  # whole numbers: a difference of totals is exact
        reduced = totals[last] - totals[first]
    else:
        reduced = _reduced(np.add, values, first, last)
    found: np.ndarray = reduced / ((last - first) * measure.unit if function == "mean" else measure.unit)
    return found


def _present(values: np.ndarray, measure: Measure) -> npt.NDArray[np.bool_]:
    import numpy as np

    if measure.is_text:
        return np.asarray(values != MISSING_TEXT, dtype=bool)
    return np.asarray(values != MISSING if measure.exact else ~np.isnan(values), dtype=bool)


def _distinct(values: np.ndarray, first: Places, last: Places) -> Places:
    """How many different values each window holds."""
    import numpy as np
    import pyarrow as pa

    if not len(first):
        return np.empty(0, np.int64)
    index, window = _members(first, last)
    if values.dtype == object:
        codes = np.asarray(pa.array(values[index]).dictionary_encode().indices, dtype=np.int64)
    else:
        codes = np.unique(values[index], return_inverse=True)[1]
    span = int(codes.max(initial=0)) + 1
    return np.bincount(np.unique(window * span + codes) // span, minlength=len(first))


def _deviations(
    values: np.ndarray, first: Places, last: Places, measure: Measure
) -> tuple[np.ndarray, npt.NDArray[np.bool_]]:
    """Standard deviation of each window's values as a sample, and which windows have one."""
    import numpy as np

    n = (last - first).astype(np.float64)
    there = last - first > 1
    if measure.exact:
        largest = int(np.abs(values).max(initial=0))
        if largest**2 * int((last - first).max(initial=0)) >= 2**63:
            values = values.astype(object)  # Python's whole numbers have no end
        sums = _reduced(np.add, values, first, last).astype(object)
        squares = _reduced(np.add, values * values, first, last).astype(object)
        spread = ((last - first).astype(object) * squares - sums * sums).astype(np.float64)
        below = np.where(there, n * (n - 1), 1.0)
        return np.sqrt(spread / below) / measure.unit, there
    index, window = _members(first, last)
    finite = np.ones(len(first), dtype=bool)
    finite[window[~np.isfinite(values[index])]] = False
    with np.errstate(invalid="ignore", over="ignore"):
        means = _reduced(np.add, values, first, last) / n
        apart = values[index] - means[window]
        squares = np.bincount(window, apart * apart, minlength=len(first))
        return np.sqrt(squares / np.where(there, n - 1, 1.0)), there & finite


def _members(first: Places, last: Places) -> tuple[Places, Places]:
    """The places of every value in any window, and the window of each."""
    import numpy as np

    counts = last - first
    window = np.repeat(np.arange(len(first)), counts)
    before = np.cumsum(counts) - counts
    return np.arange(len(window)) - before[window] + first[window], window


def _reduced(function: np.ufunc, values: np.ndarray, low: Places, high: Places) -> np.ndarray:
    import numpy as np

    if not len(low):
        return np.empty(0, values.dtype)
    edges = np.column_stack([low, high]).ravel()
    reduced: np.ndarray = function.reduceat(np.append(values, values[-1:]), edges)[::2]
    return reduced


def _or_empty(feature: Feature, values: np.ndarray, some: np.ndarray) -> Column:
    """Values of windows that hold any, else what the declaration says of an empty one."""
    import numpy as np

    empty = int(feature.empty or 0) if feature.function in COUNTS else feature.empty
    if empty is None:
        return Column(values, some)
    return Column(np.where(some, values, empty).astype(values.dtype), np.ones(len(values), dtype=bool))


def _without(events: EntityEvents, own: OwnRows) -> EntityEvents:
    import numpy as np

    if events.keys is None or not len(events.keys):
        return events
    mine = np.asarray(events.keys == np.repeat(own.keys, events.counts), dtype=bool)
    return events.where(~mine) if mine.any() else events


def _with(source: Source, events: EntityEvents, moments: Places, own: OwnRows) -> EntityEvents:
    """Each entity's own row put among its events, after those that stand before it at the same moment."""
    import numpy as np

    at = _after(events, moments)
    if events.keys is not None and len(events.times):
        tied = (at > events.starts[:-1]) & (events.times[np.maximum(at - 1, 0)] == moments)
        for n in np.flatnonzero(tied).tolist():
            low, high = int(events.starts[n]), int(at[n])
            times, stored = events.times[low:high], events.keys[low:high]
            at[n] = low + place_of_own(source, times, stored, int(moments[n]), own.keys[n])
    keys = None if events.keys is None else np.insert(events.keys, at, own.keys)
    return replace(
        events,
        starts=events.starts + np.arange(len(events.starts)),
        times=np.insert(events.times, at, moments),
        keys=keys,
        values={name: np.insert(values, at, own.values[name]) for name, values in events.values.items()},
    )
