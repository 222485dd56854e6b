"""Curves of a scored test set, thinned to what a person can see; plain numbers for a JSON document."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

POINTS = 50
DIGITS = 6
# Positives are rare and their scores lie at the top, so the bins get finer there.
BIN_EDGES = (0.0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 1.0)
QUANTILES = (0.0, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 1.0)

Points = list[list[float]]


def roc_points(labels: np.ndarray, scores: np.ndarray, points: int = POINTS) -> Points:
    """[false positive rate, true positive rate] from (0, 0) to (1, 1); both classes must occur."""
    from sklearn.metrics import roc_curve

    false_positives, true_positives, _ = roc_curve(labels, scores)
    return thinned(false_positives, true_positives, points)


def precision_recall_points(labels: np.ndarray, scores: np.ndarray, points: int = POINTS) -> Points:
    """[recall, precision] by growing recall, from the highest score on; positives must occur."""
    from sklearn.metrics import precision_recall_curve

    precision, recall, _ = precision_recall_curve(labels, scores)
    return thinned(recall[::-1], precision[::-1], points)


def calibration_bins(labels: np.ndarray, scores: np.ndarray) -> list[dict[str, float]]:
    """Rows grouped by score: how many, their mean score, and the share of positives among them.

    Bins end at the quantiles `BIN_EDGES` of the scores; equal scores stay together, so there may be
    fewer bins. Empty without rows.
    """
    import numpy as np

    if len(scores) == 0:
        return []
    edges = np.unique(np.quantile(scores, BIN_EDGES[1:-1], method="inverted_cdf"))
    number = np.searchsorted(edges, scores, side="left")  # (lower, upper]: an edge belongs to the lower bin
    rows = np.bincount(number)
    means = np.bincount(number, weights=scores)
    positives = np.bincount(number, weights=labels)
    return [
        {
            "rows": int(rows[i]),
            "positives": int(positives[i]),
            "mean_score": round(float(means[i] / rows[i]), DIGITS),
            "observed": round(float(positives[i] / rows[i]), DIGITS),
        }
        for i in np.flatnonzero(rows)
    ]


def score_quantiles(scores: np.ndarray) -> dict[str, float]:
    """Scores at `QUANTILES`, by name: `0.5` is the median. Empty without rows."""
    import numpy as np

    if len(scores) == 0:
        return {}
    values = np.quantile(scores, QUANTILES, method="inverted_cdf")
    return {f"{q:g}": round(float(v), DIGITS) for q, v in zip(QUANTILES, values, strict=True)}


def thinned(x: np.ndarray, y: np.ndarray, points: int = POINTS) -> Points:
    """At most `points` of a curve's own points, evenly along its path, both ends kept."""
    import numpy as np

    chosen = np.arange(len(x))
    if len(x) > points:
        path = np.concatenate([[0.0], np.cumsum(np.hypot(np.diff(x), np.diff(y)))])
        chosen = np.unique(np.searchsorted(path, np.linspace(0.0, path[-1], points)).clip(0, len(x) - 1))
        chosen[0], chosen[-1] = 0, len(x) - 1
    return [[round(float(x[i]), DIGITS), round(float(y[i]), DIGITS)] for i in chosen]
