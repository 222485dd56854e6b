"""Paired bootstrap by entity of the difference of two models' metric on the same rows.

Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13 (percentile interval);
whole entities are drawn, as rows of one entity are not independent. Both models are weighed by
the same draw, so what is common to them cancels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from platform_assets.evaluation.ranked_metrics import METRICS, Ranked, RankMetric

if TYPE_CHECKING:
    import numpy as np

SEED = 20_180_401
UNDEFINED_AT_MOST = 0.05


@dataclass(frozen=True)
class Difference:
    """metric(candidate) - metric(champion): values, one-sided bounds, or why there are none.

    `lower` and `upper` together hold the difference with twice the doubt of either. `undefined`
    counts resamples without both classes.
    """

    candidate: float | None
    champion: float | None
    lower: float | None
    entities: int
    undefined: int = 0
    unknown: str = ""
    upper: float | None = None


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
    upper = float(np.quantile(defined, confidence, method="higher"))
    return Difference(values[0], values[1], lower, len(names), undefined, upper=upper)
