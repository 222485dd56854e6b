"""Reach: which feature days a raw day can change, and which raw days a feature day is made of.

A window of length w with delay d at time t is (t-d-w, t-d]. A row at s in [x, x+1) therefore lies in
the window of t in [s+d, s+d+w), which are the days floor(x+d) ... ceil(x+1+d+w)-1; day x itself is
always reached, because its own rows changed.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta

from platform_assets.declaration.duration import microseconds
from platform_assets.declaration.feature_view import FeatureView

DAY = 86_400_000_000  # microseconds


def offsets(view: FeatureView) -> list[int]:
    """Whole days from a raw day to each feature day it reaches, in order; 0 is always there."""
    reached = {0}
    for lag, length in view.frames:
        delay, width = microseconds(lag), microseconds(length)
        first = delay // DAY
        last = -(-(DAY + delay + width) // DAY) - 1
        reached.update(range(first, last + 1))
    return sorted(reached)


def feature_days(raw_days: Iterable[str], view: FeatureView, *, start: date) -> set[str]:
    """Feature days that change when these raw days change.

    Days before `start`, the source's first, are nobody's: neither raw nor feature days.
    """
    return _moved(raw_days, offsets(view), start)


def raw_days(feature_days: Iterable[str], view: FeatureView, *, start: date) -> set[str]:
    """Raw days that these feature days are computed from; the inverse of `feature_days`."""
    return _moved(feature_days, [-offset for offset in offsets(view)], start)


def ranges(days: Iterable[str]) -> list[tuple[str, str]]:
    """Days as the fewest (first, last) ranges, both ends included.

    >>> ranges(["2018-04-03", "2018-04-01", "2018-04-02", "2018-04-09"])
    [('2018-04-01', '2018-04-03'), ('2018-04-09', '2018-04-09')]
    """
    found: list[tuple[date, date]] = []
    for day in sorted({date.fromisoformat(name) for name in days}):
        if found and day - found[-1][1] == timedelta(days=1):
            found[-1] = (found[-1][0], day)
        else:
            found.append((day, day))
    return [(first.isoformat(), last.isoformat()) for first, last in found]


def _moved(days: Iterable[str], by: list[int], start: date) -> set[str]:
    first = start.toordinal()
    numbers = {date.fromisoformat(day).toordinal() for day in days}
    moved = {number + offset for number in numbers if number >= first for offset in by}
    return {date.fromordinal(number).isoformat() for number in moved if number >= first}
