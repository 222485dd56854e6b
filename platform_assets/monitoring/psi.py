"""Population stability index on frozen quantiles of a reference.

    PSI = sum over bins of (current share - reference share) * ln(current share / reference share)

The symmetric divergence of Jeffreys (1946) and Kullback and Leibler (1951), under this name in
N. Siddiqi, *Credit Risk Scorecards* (2006). By custom below 0.1 is calm and above 0.25 a shift; what
two samples of one distribution give by chance is about bins * (1/n + 1/m): B. Yurdakul, *Statistical
Properties of the Population Stability Index* (2018).

A share below `SMALLEST_SHARE` counts as `SMALLEST_SHARE`, and nothing is scaled back to one: every
term is then finite and at least zero, and equal shares give exactly zero whatever the row counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

SMALLEST_SHARE = 1e-4


@dataclass(frozen=True)
class Bins:
    """Frozen bins of one column and how many reference rows fell in each.

    Bin i holds values in (edges[i-1], edges[i]]; the first and the last are open; one more at the
    end holds missing values, so there are len(edges) + 2.
    """

    edges: tuple[float, ...]
    counts: tuple[int, ...]

    @property
    def rows(self) -> int:
        """Reference rows, missing values included."""
        return sum(self.counts)

    def to_document(self) -> dict[str, Any]:
        """Plain data that reads back to the same bins, bit for bit."""
        rows = self.rows
        shares = [count / rows if rows else 0.0 for count in self.counts]
        return {"edges": list(self.edges), "counts": list(self.counts), "shares": shares, "rows": rows}

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Bins:
        """The bins a document holds."""
        return cls(tuple(document["edges"]), tuple(document["counts"]))


def numbers(column: pa.ChunkedArray | pa.Array) -> np.ndarray:
    """An Arrow column as float64, missing values as NaN.

    Booleans become 0 and 1, timestamps microseconds. Raises ValueError for text and for infinite
    values, telling how many.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = column.type
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        column = column.cast(pa.timestamp("us")).cast(pa.int64())
    elif pa.types.is_boolean(kind):
        column = column.cast(pa.int8())
    elif not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        raise ValueError(f"holds {kind}; the stability index needs numbers")
    values: np.ndarray = pc.cast(column, pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    infinite = int(np.isinf(values).sum())
    if infinite:
        raise ValueError(f"holds {infinite} infinite values of {len(values)}")
    return values


def freeze(values: np.ndarray, bins: int) -> Bins:
    """Bins at the quantiles i/bins of float64 values, equal edges merged.

    A quantile is a value that occurs (the smallest with at least that share at or below it), so no
    interpolation blurs it. A value that holds a share of at least 1/bins, such as the zero of a
    risk that is mostly zero, gets a bin of its own: its probability can move while quantiles stand
    still.
    """
    import numpy as np

    present = np.sort(values[~np.isnan(values)]) + 0.0  # -0.0 and 0.0 are one value
    if not len(present):
        return Bins((), _counted(values, ()))
    # the smallest rank whose share is at least i/bins, in integers: (i * n) / bins rounded up
    ranks = -(-np.arange(1, bins) * len(present) // bins)
    distinct, held = np.unique(present, return_counts=True)
    heavy = distinct[held * bins >= len(present)]
    with np.errstate(over="ignore"):  # below the lowest number there is nothing to hold
        below = np.nextafter(heavy, -np.inf)
    edges = np.unique(np.concatenate([present[ranks - 1], heavy, below]))
    frozen = tuple(float(edge) for edge in edges if np.isfinite(edge))
    return Bins(frozen, _counted(values, frozen))


def population_stability_index(reference: Bins, current: np.ndarray) -> float:
    """PSI of float64 values (NaN: missing) against frozen bins; 0 for equal shares, never negative.

    NaN when either side has no rows: nothing can be said.
    """
    import numpy as np

    if not reference.rows or not len(current):
        return float("nan")
    expected = np.array(reference.counts, dtype=np.float64) / reference.rows
    actual = np.array(_counted(current, reference.edges), dtype=np.float64) / len(current)
    expected, actual = np.maximum(expected, SMALLEST_SHARE), np.maximum(actual, SMALLEST_SHARE)
    return float(np.sum((actual - expected) * np.log(actual / expected)))


def _counted(values: np.ndarray, edges: tuple[float, ...]) -> tuple[int, ...]:
    """Rows in each bin; missing values in the last."""
    import numpy as np

    places = np.searchsorted(np.array(edges, dtype=np.float64), values, side="left")
    places[np.isnan(values)] = len(edges) + 1
    return tuple(int(count) for count in np.bincount(places, minlength=len(edges) + 2))
