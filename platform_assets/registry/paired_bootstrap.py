"""Paired bootstrap by entity of the difference of two models' metric on the same rows.

Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13 (percentile interval);
whole entities are drawn, as rows of one entity are not independent. Both models are weighed by
the same draw, so what is common to them cancels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import numpy as np

SEED = 20_180_401
UNDEFINED_AT_MOST = 0.05
RankMetric = Literal["roc_auc", "average_precision"]


@dataclass(frozen=True)
class Difference:
    """metric(candidate) - metric(champion): values, one-sided lower bound, or why there is none.

    `undefined` counts resamples without both classes.
    """

    candidate: float | None
    champion: float | None
    lower: float | None
    entities: int
    undefined: int = 0
    unknown: str = ""


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


def paired_difference(
    entities: np.ndarray,
    labels: np.ndarray,
    candidate: np.ndarray,
    champion: np.ndarray,
    *,
    metric: RankMetric,
    confidence: float,
    resamples: int,
    seed: int = SEED,
) -> Difference:
    """The difference on all rows, and its lower bound: the (1 - confidence) quantile of the resamples.

    Arrays hold one value a row; labels are 0 or 1. Unknown without both classes, or when more than
    a twentieth of the resamples lack one: then too few entities carry the bound.
    """
    import numpy as np

    names, codes = np.unique(entities, return_inverse=True)
    if not len(labels):
        return Difference(None, None, None, 0, unknown="there are no rows to compare on")
    measure = METRICS[metric]
    ranked = (Ranked.by(candidate, labels), Ranked.by(champion, labels))
    whole = np.ones(len(labels))
    values = [measure(each, whole) for each in ranked]
    if np.isnan(values).any():
        return Difference(
            None, None, None, len(names), unknown=f"{metric} needs both classes among the {len(labels)} rows"
        )
    generator = np.random.default_rng(seed)
    differences = np.empty(resamples)
    for n in range(resamples):
        drawn = np.bincount(generator.integers(0, len(names), len(names)), minlength=len(names))
        weights = drawn[codes].astype(np.float64)
        differences[n] = measure(ranked[0], weights) - measure(ranked[1], weights)
    defined = differences[~np.isnan(differences)]
    undefined = resamples - len(defined)
    if undefined > UNDEFINED_AT_MOST * resamples:
        return Difference(
            values[0],
            values[1],
            None,
            len(names),
            undefined,
            f"{undefined} of {resamples} resamples of {len(names)} entities hold one class only",
        )
    lower = float(np.quantile(defined, 1 - confidence, method="lower"))
    return Difference(values[0], values[1], lower, len(names), undefined)
