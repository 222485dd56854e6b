"""Raw rows of all entities on one line, sorted once: the ends of windows are found by binary search."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from platform_assets.declaration.duration import microseconds
from platform_assets.declaration.feature import Feature

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    Integers = npt.NDArray[np.int64]
    Flags = npt.NDArray[np.bool_]

LARGEST_PLACE = 2**63 - 1


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
        reaches = [reach for frame in by_frame(features) for reach in frame]
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

    def newest(self, begin: Integers, end: Integers, *, own_out: bool) -> tuple[Integers, Flags]:
        """Place of the last row of each window and whether there is one.

        With `own_out` each window holds the row itself, which does not count: it, or one of the same
        moment, stands last, so that the place before has the moment asked for.
        """
        last = end - (2 if own_out else 1)
        return last, last >= begin

    def apart(self, places: Integers, earlier: Integers) -> Integers:
        """Microseconds from a row of the same entity to another, by their places."""
        return (self.line[places] - self.line[earlier]) * self.tick


def by_frame(features: Sequence[Feature]) -> dict[tuple[int, int], list[Feature]]:
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
