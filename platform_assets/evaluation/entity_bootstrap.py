"""Confidence intervals by drawing whole entities, as rows of one entity are not independent.

Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13 (percentile interval).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from platform_assets.evaluation.ranked_metrics import METRICS, Ranked

if TYPE_CHECKING:
    import numpy as np

SEED = 20_180_401
UNDEFINED_AT_MOST = 0.05

Weighted = Callable[["np.ndarray"], float]


@dataclass(frozen=True)
class Interval:
    """Both ends, or why there is none; `undefined` counts resamples in which the metric has no value."""

    low: float | None
    high: float | None
    undefined: int = 0
    unknown: str = ""


def entity_intervals(
    entities: np.ndarray,
    metrics: Mapping[str, Weighted],
    *,
    confidence: float,
    resamples: int,
    seed: int = SEED,
) -> dict[str, Interval]:
    """An interval for each metric, all from the same draws.

    `entities` names each row's; a metric takes a weight a row and gives NaN where it has no value.
    An interval is unknown when that is so in more than a twentieth of the draws.
    """
    import numpy as np

    names, codes = np.unique(entities, return_inverse=True)
    generator = np.random.default_rng(seed)
    values = np.full((resamples, len(metrics)), np.nan)
    for n in range(resamples):
        drawn = np.bincount(generator.integers(0, len(names), len(names)), minlength=len(names))
        weights = drawn[codes].astype(np.float64)
        values[n] = [metric(weights) for metric in metrics.values()]
    return {name: _interval(values[:, n], confidence, len(names)) for n, name in enumerate(metrics)}


def _interval(values: np.ndarray, confidence: float, entities: int) -> Interval:
    import numpy as np

    defined = values[~np.isnan(values)]
    undefined = len(values) - len(defined)
    if undefined > UNDEFINED_AT_MOST * len(values):
        return Interval(
            None,
            None,
            undefined,
            f"{undefined} of {len(values)} resamples of {entities} entities give no value",
        )
    doubt = (1 - confidence) / 2
    low = float(np.quantile(defined, doubt, method="lower"))
    return Interval(low, float(np.quantile(defined, 1 - doubt, method="higher")), undefined)


def ranked_metric(name: str, labels: np.ndarray, scores: np.ndarray) -> Weighted:
    """`roc_auc` or `average_precision` of these rows as a function of weights."""
    ranked, measure = Ranked.by(scores, labels), METRICS[name]
    return lambda weights: measure(ranked, weights)


def share_metric(hit: np.ndarray, among: np.ndarray) -> Weighted:
    """Share of `hit` among `among`, both one boolean a row, as a function of weights."""
    import numpy as np

    def share(weights: np.ndarray) -> float:
        whole = float(np.sum(weights[among]))
        return float(np.sum(weights[hit & among])) / whole if whole else float("nan")

    return share


def mean_metric(values: np.ndarray) -> Weighted:
    """Mean of one value a row as a function of weights."""
    import numpy as np

    return lambda weights: float(np.sum(weights * values) / np.sum(weights))
