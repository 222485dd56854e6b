"""Window features by prefix sums, in numpy.

The sum over a window is the difference of two prefix sums, and both ends of the window are found by
binary search; on whole numbers (cents, flags) nothing is rounded. Source: Blelloch, "Prefix sums and
their applications", 1990, section 1. A row costs the same however much its windows hold.

It gives the bits that `window_sql` gives. `independent` judges both and shares nothing with either.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from platform_assets.declaration.feature import Feature
from platform_assets.features.timeline import OutOfRange, Timeline, by_frame

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    Integers = npt.NDArray[np.int64]
    Floats = npt.NDArray[np.float64]
    Flags = npt.NDArray[np.bool_]

LARGEST_EXACT, LARGEST_WHOLE = 2**53, 2**63 - 1
"""Whole numbers up to the first are doubles without rounding, up to the second they fit 64 bits."""
BLOCK = 2**18
"""Rows whose windows are looked at together: their arrays stay in the cache."""

Summand = tuple[str | None, str | None]
"""What is counted or added up: a column, or rows, and the `where` that picks among them."""


def summands(features: Iterable[Feature]) -> dict[Summand, list[Feature]]:
    """What features add up, each once, with those features; a plain count of rows needs nothing."""
    found: dict[Summand, list[Feature]] = {}
    for feature in features:
        if feature.column is not None or feature.where is not None:
            found.setdefault((feature.column, feature.where), []).append(feature)
    return found


@dataclass(frozen=True)
class PrefixSums:
    """Prefix sums of one summand along the timeline; without any, each row counts one and adds nothing.

    `unit` tells by how much the declared values were multiplied to become whole: 100 for cents. int64 sums
    may wrap around: a difference is right modulo 2^64, and what it can be is checked.
    """

    unit: int = 1
    largest: int = 0
    sums: Integers | None = None
    squares: Integers | None = None
    counts: Integers | None = None

    @classmethod
    def of(
        cls, numbers: pa.ChunkedArray, unit: int, timeline: Timeline, *, squares: bool = False
    ) -> PrefixSums:
        """Whole numbers, one a raw row (int64); null where there is nothing to count or to add."""
        import pyarrow.compute as pc

        column = numbers.combine_chunks()
        counts = None
        if column.null_count:
            counts = _prefixes(column.is_valid().to_numpy(zero_copy_only=False)[timeline.order])
            column = pc.fill_null(column, 0)
        values = column.to_numpy()
        largest = max(int(values.max()), -int(values.min())) if len(values) else 0
        values = values[timeline.order]
        return cls(unit, largest, _prefixes(values), _prefixes(values * values) if squares else None, counts)

    def value(self, feature: Feature, window: _Windows) -> tuple[npt.NDArray[Any], Flags]:
        """A count, sum, mean or standard deviation of each window, and which windows have none."""
        import numpy as np

        count = self.count(window)
        if feature.function == "count":
            return count, count == 0
        most = int(count.max(initial=0))
        if self.largest * most > LARGEST_EXACT:
            raise OutOfRange(f"sums of up to {most} numbers up to {self.largest} could pass 2^53")
        assert self.sums is not None
        total = window.difference(self.sums)
        if feature.function == "stddev":
            return self.deviation(window, count, total, most), count < 2
        value = total.astype(np.float64)
        if feature.function == "mean":
            value /= np.maximum(count * self.unit, 1)
        elif self.unit > 1:
            value /= self.unit
        return value, count == 0

    def count(self, window: _Windows) -> Integers:
        if self.counts is not None:
            return window.difference(self.counts)
        return window.end - window.begin if window.own is None else window.end - window.begin - 1

    def deviation(self, window: _Windows, count: Integers, total: Integers, most: int) -> Floats:
        """sqrt((n sum(x^2) - sum(x)^2) / (n (n - 1))), the numerator in whole numbers."""
        import numpy as np

        if (self.largest * most) ** 2 > LARGEST_WHOLE:
            raise OutOfRange(f"squares of up to {most} numbers up to {self.largest} could pass 2^63")
        assert self.squares is not None
        spread = count * window.difference(self.squares) - total * total
        pairs = count.astype(np.float64) * (count - 1)
        return np.sqrt(spread.astype(np.float64) / np.maximum(pairs, 1)) / self.unit


@dataclass(frozen=True)
class _Windows:
    """Windows of a block of rows: where each begins and ends, and which place in it does not count."""

    begin: Integers
    end: Integers
    own: Integers | None

    def difference(self, sums: Integers) -> Integers:
        found = sums[self.end] - sums[self.begin]
        if self.own is not None:
            found -= sums[self.own + 1] - sums[self.own]
        return found


def window_features(
    features: Sequence[Feature],
    timeline: Timeline,
    sums: Mapping[Summand, PrefixSums],
    wanted: Flags | None = None,
) -> dict[str, pa.Array]:
    """Window features of the wanted rows by name, in the order of the raw rows.

    Functions: count, sum, mean, stddev, and time_since_last without a `where`. `sums` holds what
    `summands` says. Counts come as int64, everything else as float64. Raises OutOfRange when a sum could
    pass 2^53. Rows are taken in blocks, so that what a window needs for a moment stays small.
    """
    import numpy as np

    if wanted is not None and wanted.all():
        wanted = None
    standing = None if wanted is None else np.cumsum(wanted, dtype=np.int64) - 1
    out = timeline.rows if wanted is None else int(np.count_nonzero(wanted))
    columns = {feature.name: _Column.empty(feature, out) for feature in features}
    for start in range(0, len(timeline.order), BLOCK):
        order = timeline.order[start : start + BLOCK]
        places, rows = np.arange(start, start + len(order)), order
        if wanted is not None and standing is not None:
            kept = np.flatnonzero(wanted[order])
            places, rows = places[kept], standing[order[kept]]
        for (delay, reach), group in by_frame(features).items():
            end, begin = timeline.after(places, delay), timeline.after(places, reach)
            for feature in group:
                window = _Windows(begin, end, places if feature.leaves_out_own_row else None)
                if feature.function == "time_since_last":
                    value, none = _since_last(timeline, places, window)
                else:
                    value, none = sums.get((feature.column, feature.where), PrefixSums()).value(
                        feature, window
                    )
                columns[feature.name].put(rows, value, none)
    return {name: column.array() for name, column in columns.items()}


def _since_last(timeline: Timeline, places: Integers, window: _Windows) -> tuple[Floats, Flags]:
    """Seconds since the newest row of each window, and which windows have none."""
    import numpy as np

    newest, some = timeline.newest(window.begin, window.end, own_out=window.own is not None)
    apart = timeline.apart(places, np.where(some, newest, places))
    return apart.astype(np.float64) / 1_000_000, ~some


@dataclass(frozen=True)
class _Column:
    """A feature of all wanted rows; a row that nothing is put in has an empty window."""

    empty_value: float | None
    values: npt.NDArray[Any]
    absent: Flags | None

    @classmethod
    def empty(cls, feature: Feature, rows: int) -> _Column:
        import numpy as np

        whole = feature.function == "count"
        value = feature.empty if feature.empty is not None or not whole else 0
        values = np.full(rows, value or 0, dtype=np.int64 if whole else np.float64)
        return cls(value, values, np.ones(rows, dtype=bool) if value is None else None)

    def put(self, rows: Integers, value: npt.NDArray[Any], none: Flags) -> None:
        """Windows of some rows, and which of them have no value."""
        if self.absent is not None:
            self.absent[rows] = none
        elif self.empty_value:  # 0 is what sums of nothing are anyway
            value[none] = self.empty_value
        self.values[rows] = value

    def array(self) -> pa.Array:
        import pyarrow as pa

        some = self.absent is not None and bool(self.absent.any())
        return pa.array(self.values, mask=self.absent if some else None)


def _prefixes(values: npt.NDArray[Any]) -> Integers:
    import numpy as np

    sums = np.zeros(len(values) + 1, dtype=np.int64)
    np.cumsum(values, out=sums[1:])
    return sums
