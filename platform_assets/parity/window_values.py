"""Windows of many entities finished at once: what `finish` gives for each of them alone.

Each entity is asked at one moment. Frames are found by one binary search for all entities together; sums are
differences of running totals where measures are whole numbers, so they are exact.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from platform_assets.declaration.duration import microseconds
from platform_assets.declaration.feature import COUNTS, Feature
from platform_assets.declaration.feature_view import FeatureView
from platform_assets.declaration.source import Source
from platform_assets.online.serving_windows import (
    MISSING,
    MISSING_TEXT,
    OWN_KEY,
    Measure,
    filter_name,
    finish,
    keeps_keys,
    measures,
)
from platform_assets.parity.differences import Column, column_of
from platform_assets.parity.entity_events import EntityEvents

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Places = npt.NDArray[np.int64]

AT_ONCE = ("count", "sum", "mean", "min", "max", "last", "time_since_last")
"""Functions of many entities together; every other, and `last` beside an own row, goes one by one."""


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
        all_rows = _with(others, moments, own)
    sides = {True: all_rows, False: others}
    passing: dict[tuple[str | None, bool], EntityEvents] = {}
    frames: dict[tuple[str | None, bool, int, int], tuple[Places, Places]] = {}
    by_column = {m.column: m for m in measures(source, view)}
    found = {}
    for feature in view.windows:
        assert feature.window is not None
        with_own = not feature.delay and not feature.leaves_out_own_row
        if feature.function not in AT_ONCE or (feature.function == "last" and with_own and own is not None):
            found[feature.name] = _one_by_one(source, feature, others, moments, own if with_own else None)
            continue
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
    if feature.function == "last":
        reduced = values[last - 1]
    elif feature.function in ("min", "max"):
        reduced = _reduced(np.minimum if feature.function == "min" else np.maximum, values, first, last)
    elif measure.exact:
        totals = np.concatenate([[0], np.cumsum(values)])  # whole numbers: a difference of totals is exact
        reduced = totals[last] - totals[first]
    else:
        reduced = _reduced(np.add, values, first, last)
    number = (last - first) * measure.unit if feature.function == "mean" else measure.unit
    result = np.zeros(len(low))
    result[some] = reduced / number
    return _or_empty(feature, result, some)


def _present(values: np.ndarray, measure: Measure) -> npt.NDArray[np.bool_]:
    import numpy as np

    if measure.is_text:
        return np.asarray(values != MISSING_TEXT, dtype=bool)
    return np.asarray(values != MISSING if measure.exact else ~np.isnan(values), dtype=bool)


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


def _one_by_one(
    source: Source, feature: Feature, events: EntityEvents, moments: Places, own: OwnRows | None
) -> Column:
    return column_of(
        [
            finish(source, feature, events.of(n), moment, None if own is None else _row(own, n))
            for n, moment in enumerate(moments.tolist())
        ]
    )


def _row(own: OwnRows, place: int) -> dict[str, Any]:
    return {name: values[place] for name, values in own.values.items()} | {OWN_KEY: own.keys[place]}


def _without(events: EntityEvents, own: OwnRows) -> EntityEvents:
    import numpy as np

    if events.keys is None or not len(events.keys):
        return events
    mine = np.asarray(events.keys == np.repeat(own.keys, events.counts), dtype=bool)
    return events.where(~mine) if mine.any() else events


def _with(events: EntityEvents, moments: Places, own: OwnRows) -> EntityEvents:
    """Each entity's own row put among its events."""
    import numpy as np

    at = _after(events, moments)
    keys = None if events.keys is None else np.insert(events.keys, at, own.keys)
    return replace(
        events,
        starts=events.starts + np.arange(len(events.starts)),
        times=np.insert(events.times, at, moments),
        keys=keys,
        values={name: np.insert(values, at, own.values[name]) for name, values in events.values.items()},
    )
