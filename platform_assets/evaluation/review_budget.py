"""Precision and recall when people look at so many rows a day."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np


def rank_of_day(days: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Place of each row among its day's, 0 for the highest score; equal scores in the order of rows."""
    import numpy as np

    order = np.lexsort((np.arange(len(scores)), -scores, days))
    ordered = days[order]
    starts = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1])) if len(days) else np.empty(0, int)
    lengths = np.diff(np.append(starts, len(ordered)))
    rank = np.empty(len(days), np.int64)
    rank[order] = np.arange(len(days)) - np.repeat(starts, lengths)
    return rank


def at_budget(days: np.ndarray, labels: np.ndarray, scores: np.ndarray, per_day: int) -> dict[str, Any]:
    """What looking at the `per_day` highest scores of each day finds, in all and by day.

    Precision is found / reviewed; on days with fewer rows than the budget all are reviewed.
    """
    import numpy as np

    reviewed = rank_of_day(days, scores) < per_day
    names, number = np.unique(days, return_inverse=True)
    positive = labels == 1
    by_day = [
        {"day": str(name), "positives": int(p), "reviewed": int(r), "found": int(f)}
        for name, p, r, f in zip(
            names,
            np.bincount(number, weights=positive),
            np.bincount(number, weights=reviewed),
            np.bincount(number, weights=reviewed & positive),
            strict=True,
        )
    ]
    return {"per_day": per_day, **shares(reviewed, positive), "days": by_day}


def budget_curve(
    days: np.ndarray, labels: np.ndarray, scores: np.ndarray, budgets: Sequence[int]
) -> list[dict[str, Any]]:
    """The same for several budgets, without the days."""
    rank, positive = rank_of_day(days, scores), labels == 1
    return [{"per_day": int(budget), **shares(rank < budget, positive)} for budget in budgets]


def shares(stopped: np.ndarray, positive: np.ndarray) -> dict[str, Any]:
    """Rows stopped and positives among them, precision and recall; None where nothing is divided."""
    found, rows, there = int((stopped & positive).sum()), int(stopped.sum()), int(positive.sum())
    return {
        "stopped": rows,
        "found": found,
        "positives": there,
        "precision": found / rows if rows else None,
        "recall": found / there if there else None,
    }
