"""Each window function by its definition, over the positions of a window's events: loops, and no SQL."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]
    Integers = npt.NDArray[np.int64]


def differences(values: Integers, begin: Integers, end: Integers) -> Integers:
    """Exact sums of integers between positions, by prefix sums."""
    import numpy as np

    sums = np.concatenate([[0], np.cumsum(values)])
    return sums[end] - sums[begin]  # type: ignore[no-any-return]


def sums(
    values: npt.NDArray[Any],
    present: npt.NDArray[np.bool_],
    begin: Integers,
    end: Integers,
    left_out: Integers,
) -> Floats:
    """Sums of each window; prefix sums drift on floats, so those are added window by window."""
    import numpy as np

    kept = np.where(present, values, 0)
    if kept.dtype.kind == "i":
        return (differences(kept, begin, end) - np.where(left_out >= 0, kept[left_out], 0)).astype(np.float64)
    out = np.empty(len(begin))
    for i, (first, last, own) in enumerate(zip(begin, end, left_out, strict=True)):
        part = kept[first:last] if own < 0 else np.delete(kept[first:last], own - first)
        out[i] = math.fsum(part) if np.isfinite(part).all() else part.sum()
    return out


def extremes(
    values: npt.NDArray[Any],
    present: npt.NDArray[np.bool_],
    begin: Integers,
    end: Integers,
    left_out: Integers,
    function: str,
) -> Floats:
    """Smallest or largest value of each window; NaN when it holds none."""
    import numpy as np

    out = np.full(len(begin), np.nan)
    for i, (first, last, own) in enumerate(zip(begin, end, left_out, strict=True)):
        used = present[first:last].copy()
        if own >= 0:
            used[own - first] = False
        part = values[first:last][used]
        if len(part):
            out[i] = part.min() if function == "min" else part.max()
    return out


def counts(present: npt.NDArray[np.bool_], begin: Integers, end: Integers, left_out: Integers) -> Integers:
    """Values in each window."""
    import numpy as np

    found = differences(present.astype(np.int64), begin, end)
    taken = left_out >= 0
    found[taken] -= present[left_out[taken]]
    return found


def distinct(
    values: npt.NDArray[Any],
    present: npt.NDArray[np.bool_],
    begin: Integers,
    end: Integers,
    left_out: Integers,
) -> Floats:
    """Different values of each window."""
    import numpy as np

    used = _used(present, begin, end, left_out)
    return np.array([len(set(values[place].tolist())) for place in used], dtype=np.float64)


def deviations(
    values: npt.NDArray[Any],
    present: npt.NDArray[np.bool_],
    begin: Integers,
    end: Integers,
    left_out: Integers,
) -> Floats:
    """Standard deviation of each window as of a sample; NaN under two values or beside one not finite."""
    import numpy as np

    exact = values.dtype.kind == "i"
    used = _used(present, begin, end, left_out)
    return np.array([_deviation(values[place].tolist(), exact) for place in used], dtype=np.float64)


def _deviation(values: list[Any], exact: bool) -> float:
    n = len(values)
    if n < 2 or not all(map(math.isfinite, values)):
        return math.nan
    if exact:
        spread = n * sum(value * value for value in values) - sum(values) ** 2
        return math.sqrt(float(spread) / (float(n) * (n - 1)))
    mean = math.fsum(values) / n
    return math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1))


def newest(present: npt.NDArray[np.bool_], begin: Integers, end: Integers, left_out: Integers) -> Integers:
    """Position of the last value of each window; -1 when it holds none."""
    import numpy as np

    used = _used(present, begin, end, left_out)
    return np.array([place[-1] if len(place) else -1 for place in used], dtype=np.int64)


def _used(
    present: npt.NDArray[np.bool_], begin: Integers, end: Integers, left_out: Integers
) -> Iterator[Integers]:
    """Positions of the values that each window holds."""
    import numpy as np

    for first, last, own in zip(begin, end, left_out, strict=True):
        places = np.arange(first, last)
        yield places[present[first:last] & (places != own)]
