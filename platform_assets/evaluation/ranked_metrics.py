"""Ranking metrics under row weights: sorted once, weighed as often as a bootstrap asks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import numpy as np

RankMetric = Literal["roc_auc", "average_precision"]


@dataclass(frozen=True)
class Ranked:
    """Rows in falling order of one model's score; equal scores form one group.

    `order` sorts rows, `ends` holds the last position of each group, `labels` is in that order.
    """

    order: np.ndarray
    ends: np.ndarray
    labels: np.ndarray

    @classmethod
    def by(cls, scores: np.ndarray, labels: np.ndarray) -> Ranked:
        """Sort once; every resample only changes weights."""
        import numpy as np

        order = np.argsort(-scores, kind="stable")
        ordered = scores[order]
        ends = np.append(np.flatnonzero(np.diff(ordered)), len(ordered) - 1)
        return cls(order, ends, labels[order].astype(np.float64))

    def counts(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Weight of positives and of all rows down to the end of each group."""
        import numpy as np

        ordered = weights[self.order]
        return np.cumsum(ordered * self.labels)[self.ends], np.cumsum(ordered)[self.ends]


def weighted_average_precision(ranked: Ranked, weights: np.ndarray) -> float:
    """Sum over thresholds of (R_n - R_n-1) P_n with row weights; NaN without a positive.

    Equal to scikit-learn's `average_precision_score(..., sample_weight=weights)`.
    """
    import numpy as np

    positives, rows = ranked.counts(weights)
    if positives[-1] <= 0:
        return float("nan")
    gained = np.diff(positives, prepend=0.0)
    held = gained > 0
    return float(np.sum(gained[held] * positives[held] / rows[held]) / positives[-1])


def weighted_roc_auc(ranked: Ranked, weights: np.ndarray) -> float:
    """Chance that a positive outranks a negative, ties half, with row weights; NaN with one class.

    Equal to scikit-learn's `roc_auc_score(..., sample_weight=weights)`.
    """
    import numpy as np

    positives, rows = ranked.counts(weights)
    negatives = rows - positives
    if positives[-1] <= 0 or negatives[-1] <= 0:
        return float("nan")
    middle = positives - np.diff(positives, prepend=0.0) / 2
    return float(np.sum(np.diff(negatives, prepend=0.0) * middle) / (positives[-1] * negatives[-1]))


METRICS: dict[str, Callable[[Ranked, np.ndarray], float]] = {
    "average_precision": weighted_average_precision,
    "roc_auc": weighted_roc_auc,
}
