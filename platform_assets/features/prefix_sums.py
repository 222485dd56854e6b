"""Counts, sums and means over windows by sorting once and subtracting prefix sums, in numpy.

The sum over a window is the difference of two prefix sums, and both ends of the window are found by
binary search; on whole numbers (cents, flags) nothing is rounded. Source: Blelloch, "Prefix sums and
their applications", 1990, section 1. A row costs the same however much its windows hold.

It gives the bits that `window_sql` gives. `independent` judges both and shares nothing with either.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from platform_assets.declaration.duration import microseconds
from platform_assets.declaration.feature_view import Feature

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    Integers = npt.NDArray[np.int64]
    Flags = npt.NDArray[np.bool_]

LARGEST_EXACT = 2**53
"""Whole numbers up to here are doubles without rounding, on every engine."""
LARGEST_PLACE = 2**63 - 1
BLOCK = 2**18
"""Rows whose windows are looked at together: their arrays stay in the cache."""


class OutOfRange(ArithmeticError):
    """The numbers are too large for whole numbers of 64 bits; another engine must do it."""


@dataclass(frozen=True)
class Timeline:
    """The raw rows of all entities on one line: entity after entity, each in order of time.

    `line` holds (entity * stretch + time) in that order, `order` the number of the row that stands there.
    A stretch is wider than the time that rows span and the widest reach together, so that no window
    looks into the entity before. A row with a null in a key belongs to nobody and has no place.
    """

    line: Integers
    order: Integers
    rows: int
    tick: int  # microseconds; all times and windows are multiples of it

    @classmethod
    def of(cls, keys: Sequence[pa.ChunkedArray], moments: Integers, features: Sequence[Feature]) -> Timeline:
        """Sort rows, in any order, by the columns that name an entity and by time in microseconds.

        Raises OutOfRange when entities times moments do not fit in 64 bits.
        """
        import numpy as np

        codes = _entity_codes(keys)
        first, last = (int(moments.min()), int(moments.max())) if len(moments) else (0, 0)
        reaches = [reach for frame in _by_frame(features) for reach in frame]
        stretch = last - first + max(reaches, default=0) + 1
        entities = int(codes.max()) + 1 if len(codes) else 0
        tick = 1
        if entities * stretch > LARGEST_PLACE:
            tick = int(np.gcd.reduce([*reaches, int(np.gcd.reduce(moments - first))])) or 1
            stretch = stretch // tick + 1
        if entities * stretch > LARGEST_PLACE:
            raise OutOfRange(f"{entities} entities times {stretch} moments do not fit in 64 bits")
        nobody = int((codes < 0).sum())
        places = codes
        places *= stretch  # in place: the arrays are what memory goes into
        places += moments if tick == 1 and first == 0 else (moments - first) // tick
        order = np.argsort(places)[nobody:]  # what belongs to nobody is below 0
        return cls(places[order], order, len(moments), tick)

    def after(self, places: Integers, earlier: int) -> Integers:
        """How many rows stand at or before the moment `earlier` microseconds before each place."""
        import numpy as np

        return np.searchsorted(self.line, self.line[places] - earlier // self.tick, side="right")


@dataclass(frozen=True)
class PrefixSums:
    """Prefix sums of one column along the timeline; without any, each row counts one and adds nothing.

    `unit` tells by how much the declared values were multiplied to become whole: 100 for cents. int64 sums
    may wrap around: a difference is right modulo 2^64, and what it can be is checked.
    """

    unit: int = 1
    largest: int = 0
    sums: Integers | None = None
    counts: Integers | None = None

    @classmethod
    def of(cls, numbers: pa.ChunkedArray, unit: int, timeline: Timeline) -> PrefixSums:
        """Whole numbers, one a raw row (int64); null where there is nothing to count or to add."""
        import pyarrow.compute as pc

        column = numbers.combine_chunks()
        counts = None
        if column.null_count:
            counts = _prefixes(column.is_valid().to_numpy(zero_copy_only=False)[timeline.order])
            column = pc.fill_null(column, 0)
        values = column.to_numpy()
        largest = max(int(values.max()), -int(values.min())) if len(values) else 0
        return cls(unit, largest, _prefixes(values[timeline.order]), counts)

    def count(self, begin: Integers, end: Integers, own: Integers | None) -> Integers:
        """Values in each window, the rows at `own` left out."""
        if self.counts is None:
            return end - begin if own is None else end - begin - 1
        return _differences(self.counts, begin, end, own)

    def total(self, begin: Integers, end: Integers, own: Integers | None, most: int) -> Integers:
        """Sum of each window, the rows at `own` left out; OutOfRange when `most` numbers could pass 2^53."""
        assert self.sums is not None
        if self.largest * most > LARGEST_EXACT:
            raise OutOfRange(f"sums of up to {most} numbers up to {self.largest} could pass 2^53")
        return _differences(self.sums, begin, end, own)


def window_features(
    features: Sequence[Feature],
    timeline: Timeline,
    sums: Mapping[str, PrefixSums],
    wanted: Flags | None = None,
) -> dict[str, pa.Array]:
    """Window features (count, sum, mean) of the wanted rows by name, in the order of the rows.

    `sums` holds the columns that features name. Counts come as int64, sums and means as float64. Raises
    OutOfRange when a sum could pass 2^53. Rows are taken in blocks, so that what a window needs for a
    moment stays small.
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
        for (delay, reach), group in _by_frame(features).items():
            end, begin = timeline.after(places, delay), timeline.after(places, reach)
            for feature in group:
                column = sums[feature.column] if feature.column is not None else PrefixSums()
                own = places if not feature.include_current_row and not delay else None
                count = column.count(begin, end, own)
                total = None
                if feature.function != "count":
                    total = column.total(begin, end, own, int(count.max(initial=0)))
                columns[feature.name].put(rows, count, total, column.unit)
    return {name: column.array() for name, column in columns.items()}


@dataclass(frozen=True)
class _Column:
    """A feature of all wanted rows; a row that nothing is put in has an empty window."""

    feature: Feature
    values: npt.NDArray[Any]
    absent: Flags | None

    @classmethod
    def empty(cls, feature: Feature, rows: int) -> _Column:
        import numpy as np

        whole = feature.function == "count"
        values = np.full(rows, feature.empty or 0, dtype=np.int64 if whole else np.float64)
        return cls(feature, values, None if whole or feature.empty is not None else np.ones(rows, bool))

    def put(self, rows: Integers, count: Integers, total: Integers | None, unit: int) -> None:
        """The windows of some rows; `total` is None for a count."""
        import numpy as np

        none = count == 0
        if total is None:
            self.values[rows] = (
                np.where(none, int(self.feature.empty), count) if self.feature.empty else count
            )
            return
        value = total.astype(np.float64)
        if self.feature.function == "mean":
            value /= np.maximum(count * unit, 1)
        elif unit > 1:
            value /= unit
        if self.absent is not None:
            self.absent[rows] = none
        else:
            value[none] = self.feature.empty
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


def _differences(sums: Integers, begin: Integers, end: Integers, own: Integers | None) -> Integers:
    found = sums[end] - sums[begin]
    if own is not None:
        found -= sums[own + 1] - sums[own]
    return found


def _by_frame(features: Sequence[Feature]) -> dict[tuple[int, int], list[Feature]]:
    """Features by (delay, delay + window) in microseconds, so that a window is searched once."""
    found: dict[tuple[int, int], list[Feature]] = {}
    for feature in features:
        assert feature.window is not None
        delay = microseconds(feature.delay)
        found.setdefault((delay, delay + microseconds(feature.window)), []).append(feature)
    return found


def _entity_codes(keys: Sequence[pa.ChunkedArray]) -> Integers:
    """A number from 0 on for each entity, without gaps; -1 where a part of the key is null."""
    import numpy as np
    import pyarrow as pa

    codes: Integers | None = None
    for key in keys:
        encoded = key.combine_chunks().dictionary_encode()
        more = encoded.indices.fill_null(-1).to_numpy().astype(np.int64)
        if codes is None:
            codes = more
            continue
        paired = np.where((codes < 0) | (more < 0), -1, codes * len(encoded.dictionary) + more)
        dense = pa.array(paired, mask=paired < 0).dictionary_encode()
        codes = dense.indices.fill_null(-1).to_numpy().astype(np.int64)
    assert codes is not None
    return codes
