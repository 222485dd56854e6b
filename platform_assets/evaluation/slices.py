"""Slices of the test rows: those declared, and those found where the model misses more than elsewhere."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from platform_assets.declaration.evaluation import Slice, SliceSearch
from platform_assets.evaluation.metrics import average_precision, roc_auc

if TYPE_CHECKING:
    import numpy as np

FEW_VALUES = 8
"""A column with no more different values is not cut into bins: each value is a condition."""


@dataclass(frozen=True)
class Conditions:
    """A column as conditions: the number of each row's, and their names; -1 fits none."""

    column: str
    codes: np.ndarray
    names: tuple[str, ...]


def slice_figures(
    name: str, inside: np.ndarray, labels: np.ndarray, scores: np.ndarray, stopped: np.ndarray
) -> dict[str, Any]:
    """What the model does inside a slice; ranking metrics are None with one class, shares without rows."""
    positive = labels == 1
    rows, positives = int(inside.sum()), int((inside & positive).sum())
    found = int((inside & positive & stopped).sum())
    alarms = int((inside & ~positive & stopped).sum())
    low, high = wilson(found, positives) if positives else (None, None)
    return {
        "slice": name,
        "rows": rows,
        "positives": positives,
        "rate": positives / rows if rows else None,
        "mean_score": float(scores[inside].mean()) if rows else None,
        "found": found,
        "false_alarms": alarms,
        "recall": found / positives if positives else None,
        "recall_low": low,
        "recall_high": high,
        "precision": found / (found + alarms) if found + alarms else None,
        "roc_auc": roc_auc(labels[inside], scores[inside]) if rows else None,
        "average_precision": average_precision(labels[inside], scores[inside]) if rows else None,
    }


def declared_mask(declared: Slice, values: np.ndarray) -> np.ndarray:
    """Rows of a declared slice; a missing value is in none."""
    import numpy as np

    if declared.equals is not None:
        return np.asarray(values == declared.equals, dtype=bool)
    numbers = np.asarray(values, dtype=np.float64)
    inside = np.isfinite(numbers)
    if declared.at_least is not None:
        inside &= numbers >= declared.at_least
    if declared.below is not None:
        inside &= numbers < declared.below
    return inside


def worst_slices(
    columns: Mapping[str, np.ndarray],
    labels: np.ndarray,
    scores: np.ndarray,
    stopped: np.ndarray,
    search: SliceSearch,
) -> dict[str, Any]:
    """Slices in which the share of positives found is lower than chance allows.

    Each slice with enough support is tested against the rest: drawing its positives at random from all
    of them (hypergeometric, one-sided), how likely are so few found? `q` is that probability
    adjusted for the number of slices judged (Benjamini and Hochberg 1995). Named are slices up to
    the declared false discovery rate; a conjunction only when it is more surprising than both its parts.
    """
    import numpy as np
    from scipy.stats import false_discovery_control, hypergeom

    positive = labels == 1
    conditions = [conditions_of(name, values, search.bins) for name, values in columns.items()]
    found_rows = positive & stopped
    total, hit = int(positive.sum()), int(found_rows.sum())
    candidates: list[tuple[tuple[tuple[int, int], ...], int, int, int]] = []
    searched = 0
    groups: list[tuple[int, ...]] = [(n,) for n in range(len(conditions))]
    if search.depth == 2:
        groups += list(itertools.combinations(range(len(conditions)), 2))
    for group in groups:
        sizes = [len(conditions[n].names) for n in group]
        cells = int(np.prod(sizes))
        code, fits = np.zeros(len(labels), np.int64), np.ones(len(labels), bool)
        for n, size in zip(group, sizes, strict=True):
            code = code * size + conditions[n].codes
            fits &= conditions[n].codes >= 0
        rows, positives, found = (
            np.bincount(code[fits & which], minlength=cells) for which in (np.True_, positive, found_rows)
        )
        searched += int((rows > 0).sum())
        enough = (rows >= search.min_rows) & (positives >= search.min_positives) & (positives < total)
        for cell in np.flatnonzero(enough):
            places = np.unravel_index(cell, sizes)
            key = tuple((n, int(place)) for n, place in zip(group, places, strict=True))
            candidates.append((key, int(rows[cell]), int(positives[cell]), int(found[cell])))
    told: dict[str, Any] = {
        "searched": searched,
        "judged": len(candidates),
        "min_rows": search.min_rows,
        "min_positives": search.min_positives,
        "false_discovery_rate": search.false_discovery_rate,
        "overall_recall": hit / total if total else None,
        "found": [],
    }
    if not candidates:
        return told
    chances = hypergeom.cdf(
        np.array([c[3] for c in candidates]), total, hit, np.array([c[2] for c in candidates])
    )
    adjusted = dict(
        zip((c[0] for c in candidates), false_discovery_control(chances, method="bh"), strict=True)
    )
    chance = dict(zip((c[0] for c in candidates), chances, strict=True))
    for key, *_ in sorted(candidates, key=lambda c: (chance[c[0]], -c[2], c[0])):
        if adjusted[key] > search.false_discovery_rate or len(told["found"]) == search.listed:
            break
        if len(key) == 2 and any(chance.get((part,), 1.0) <= chance[key] for part in key):
            continue
        inside = np.all([conditions[n].codes == place for n, place in key], axis=0)
        name = " and ".join(conditions[n].names[place] for n, place in key)
        told["found"].append(
            {**slice_figures(name, inside, labels, scores, stopped), "q": float(adjusted[key])}
        )
    return told


def conditions_of(column: str, values: np.ndarray, bins: int) -> Conditions:
    """A column as conditions: its values when they are few, else `bins` of equal mass; missing is one."""
    import numpy as np

    if values.dtype.kind in "OUS":
        return _of_values(column, np.array(["missing" if v is None else str(v) for v in values]))
    numbers = values.astype(np.float64)
    known = np.isfinite(numbers)
    distinct = np.unique(numbers[known])
    if len(distinct) <= FEW_VALUES:
        codes = np.searchsorted(distinct, np.where(known, numbers, distinct[0] if len(distinct) else 0.0))
        names = [f"{column} = {value:g}" for value in distinct]
    else:
        edges = np.unique(np.quantile(numbers[known], np.arange(1, bins) / bins, method="inverted_cdf"))
        codes = np.searchsorted(edges, np.where(known, numbers, edges[0]), side="left")
        names = [f"{column} <= {edges[0]:g}"]
        names += [f"{low:g} < {column} <= {high:g}" for low, high in itertools.pairwise(edges)]
        names += [f"{column} > {edges[-1]:g}"]
    codes = np.where(known, codes, len(names))
    return Conditions(column, codes, (*names, f"{column} missing"))


def _of_values(column: str, values: np.ndarray) -> Conditions:
    """The most frequent values; rows with another one fit no condition."""
    import numpy as np

    names, number, counts = np.unique(values, return_inverse=True, return_counts=True)
    frequent = np.argsort(-counts, kind="stable")[:FEW_VALUES]
    place = np.full(len(names), -1)
    place[frequent] = np.arange(len(frequent))
    return Conditions(column, place[number], tuple(f"{column} = {names[n]}" for n in frequent))


def wilson(hits: float, rows: float, z: float = 1.959963984540054) -> tuple[float, float]:
    """Wilson's score interval of a share (Wilson 1927), 95 % by default."""
    share = hits / rows
    middle = share + z * z / (2 * rows)
    spread = z * (share * (1 - share) / rows + z * z / (4 * rows * rows)) ** 0.5
    scale = 1 + z * z / rows
    return max((middle - spread) / scale, 0.0), min((middle + spread) / scale, 1.0)


def columns_needed(slices: Sequence[Slice], search: SliceSearch | None, inputs: Sequence[str]) -> list[str]:
    """Columns that slices look at, each once."""
    searched = (search.columns or tuple(inputs)) if search else ()
    return list(dict.fromkeys([*(each.column for each in slices), *searched]))
