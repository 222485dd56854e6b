"""Differences between two sides of the same features: columns in, counts and sizes out.

*Served* is what an online store gives, *trained* what training takes for the same entity at the same moment.
Nothing here knows of declarations, stores or the lake, so any two aligned tables can be compared. A place
differs in one of three ways: **mismatch** (a value on both sides, and not the same), **missing** (trained on
a value, served none) and **extra** (served a value, trained on none). One whose served side is known to be
older than the trained one is **stale** besides.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Mask = npt.NDArray[np.bool_]
    Places = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Column:
    """Values of one feature, a place each, and whether there is one; NaN counts as none."""

    values: np.ndarray
    valid: Mask

    def __len__(self) -> int:
        return len(self.values)

    def take(self, places: Places) -> Column:
        """The values at these places, in this order; -1 stands for a place that is not there: no value."""
        import numpy as np

        there = places >= 0
        if not len(self.values):
            return Column(np.zeros(len(places), self.values.dtype), np.zeros(len(places), dtype=bool))
        safe = np.where(there, places, 0)
        return Column(self.values[safe], self.valid[safe] & there)

    def at(self, place: int) -> Any:
        """One value as a plain Python one; None when there is none."""
        if not self.valid[place]:
            return None
        value = self.values[place]
        return value.item() if hasattr(value, "item") else value


@dataclass(frozen=True)
class ErrorSize:
    """How far mismatching numbers are off, in absolute terms; zeros when none is."""

    max: float = 0.0
    mean: float = 0.0
    p50: float = 0.0
    p90: float = 0.0
    p99: float = 0.0


@dataclass(frozen=True)
class Differences:
    """One feature, compared at every place; each mask has a place a row."""

    feature: str
    mismatches: Mask
    absent: Mask  # missing: trained on a value, served none
    surplus: Mask  # extra: served a value, trained on none
    outdated: Mask  # stale: differs, and the served side is older
    error: ErrorSize

    @property
    def places(self) -> Mask:
        """Where the two sides differ in any way."""
        return self.mismatches | self.absent | self.surplus

    @property
    def count(self) -> int:
        return int(self.places.sum())

    def row(self) -> dict[str, Any]:
        """As one line of a table of plain values."""
        return {
            "feature": self.feature,
            "compared": len(self.mismatches),
            "mismatch": int(self.mismatches.sum()),
            "missing": int(self.absent.sum()),
            "extra": int(self.surplus.sum()),
            "stale": int(self.outdated.sum()),
            "max_error": self.error.max,
            "mean_error": self.error.mean,
            "p50_error": self.error.p50,
            "p90_error": self.error.p90,
            "p99_error": self.error.p99,
        }


def column_of(values: Any) -> Column:
    """A column of pyarrow (chunked or not), numpy or plain Python values.

    Whole numbers become int64, floats keep their width, timestamps are microseconds as int64, all else
    (text, lists) stays as Python objects. A timestamp without a time zone is read as UTC.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    if isinstance(values, np.ndarray) and values.dtype.kind in "iub":
        return Column(values.astype(np.int64), np.ones(len(values), dtype=bool))
    if isinstance(values, np.ndarray) and values.dtype.kind == "f":
        return Column(values, ~np.isnan(values))
    array = values if isinstance(values, pa.Array | pa.ChunkedArray) else pa.array(values, from_pandas=True)
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    if isinstance(array, pa.ChunkedArray):  # what combines to more than one chunk, or to none
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], array.type)
    valid = np.asarray(array.is_valid())
    if pa.types.is_timestamp(array.type):
        array = array.cast(pa.timestamp("us", tz=array.type.tz), safe=False).cast(pa.int64())
    elif pa.types.is_boolean(array.type) or pa.types.is_integer(array.type):
        array = array.cast(pa.int64())
    if pa.types.is_integer(array.type):
        return Column(pc.fill_null(array, 0).to_numpy(zero_copy_only=False), valid)
    if pa.types.is_floating(array.type):
        numbers = pc.fill_null(array, float("nan")).to_numpy(zero_copy_only=False)
        return Column(numbers, ~np.isnan(numbers))
    if pa.types.is_null(array.type):
        return Column(np.full(len(array), np.nan), np.zeros(len(array), dtype=bool))
    held = np.empty(len(array), dtype=object)
    held[:] = array.to_pylist()
    return Column(held, valid)


def compare(
    feature: str, served: Column, trained: Column, *, tolerance: float = 0.0, outdated: Mask | None = None
) -> Differences:
    """Compare one feature place by place; both sides must be aligned (ValueError when lengths differ).

    Whole numbers and everything that is no number must be equal; where both sides are floats they may be
    apart by `tolerance`, relative above 1: |served - trained| <= tolerance * max(1, |trained|). A whole
    number read back as a float (pandas does that beside nulls) is compared as the whole number.
    `outdated` tells places whose served side is older than the trained one.

    >>> found = compare("f", column_of([1.0, 2.0, None, 4.0]), column_of([1.0, 2.5, 3.0, None]))
    >>> [int(mask.sum()) for mask in (found.mismatches, found.absent, found.surplus)], found.error.max
    ([1, 1, 1], 0.5)
    """
    import numpy as np

    if len(served) != len(trained):
        raise ValueError(f"{feature}: {len(served)} served and {len(trained)} trained values are not aligned")
    both = served.valid & trained.valid
    numbers = served.values.dtype != object and trained.values.dtype != object
    if not numbers:
        unequal = np.fromiter(
            (bool(a != b) for a, b in zip(served.values.tolist(), trained.values.tolist(), strict=True)),
            bool,
            len(served),
        )
        mismatches, error = both & unequal, ErrorSize()
    else:
        off = _apart(served.values, trained.values, both)
        allowed = np.zeros(len(off))
        if served.values.dtype.kind == "f" and trained.values.dtype.kind == "f" and tolerance:
            allowed = tolerance * np.maximum(1.0, np.abs(np.where(both, trained.values, 0.0)))
            allowed[~np.isfinite(allowed)] = 0.0  # next to infinity only infinity is equal
        mismatches = both & ~(off <= allowed)
        error = _sizes(off[mismatches])
    absent = trained.valid & ~served.valid
    surplus = served.valid & ~trained.valid
    differs = mismatches | absent | surplus
    old = differs & outdated if outdated is not None else np.zeros(len(differs), dtype=bool)
    return Differences(feature, mismatches, absent, surplus, old, error)


def compare_all(
    served: Mapping[str, Column],
    trained: Mapping[str, Column],
    *,
    tolerance: float = 0.0,
    outdated: Mask | None = None,
) -> dict[str, Differences]:
    """Every feature of the trained side, by name; KeyError when it is not served at all."""
    return {
        name: compare(name, served[name], column, tolerance=tolerance, outdated=outdated)
        for name, column in trained.items()
    }


def differing_places(differences: Mapping[str, Differences], length: int) -> Mask:
    """Places at which any feature differs."""
    import numpy as np

    found = np.zeros(length, dtype=bool)
    for difference in differences.values():
        found |= difference.places
    return found


def _apart(served: np.ndarray, trained: np.ndarray, both: Mask) -> np.ndarray:
    """Absolute distance of two number columns; 0 where equal, infinite where one is, NaN nowhere."""
    import numpy as np

    if served.dtype.kind == "i" and trained.dtype.kind == "i":
        # equality on integers is exact; the distance, as a float, tells only its size
        off = np.abs(served.astype(np.float64) - trained.astype(np.float64))
        off[(served != trained) & (off == 0.0)] = 1.0  # beyond 2^53 floats see no neighbours
        return off
    left, right = (np.where(both, side, 0).astype(np.float64) for side in (served, trained))
    with np.errstate(invalid="ignore", over="ignore"):
        off = np.abs(left - right)
    off[left == right] = 0.0
    whole, other = (served, trained) if served.dtype.kind == "i" else (trained, served)
    if whole.dtype.kind == "i":
        # float(2^53 + 1) is 2^53: such a pair is compared as integers, where the float is one
        large = both & (np.abs(np.where(both, other, 0.0)) >= 2.0**53) & (np.abs(other) < 2.0**63)
        if large.any():
            exact = other[large].astype(np.int64) == whole[large]
            off[large] = np.where(exact, 0.0, np.maximum(off[large], 1.0))
    off[np.isnan(off)] = np.inf
    return off


def _sizes(off: np.ndarray) -> ErrorSize:
    import numpy as np

    if not len(off):
        return ErrorSize()
    p50, p90, p99 = np.quantile(off, [0.5, 0.9, 0.99], method="higher").tolist()
    return ErrorSize(float(off.max()), float(off.mean()), p50, p90, p99)
