"""Calibration: how far scores are from being probabilities."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

BINS = 15
SMALLEST = 1e-15


def brier_score(labels: np.ndarray, scores: np.ndarray) -> float:
    """Mean squared difference of score and label (Brier 1950); 0 is perfect."""
    import numpy as np

    return float(np.mean((scores - labels) ** 2))


def log_loss(labels: np.ndarray, scores: np.ndarray) -> float:
    """Mean negative log-likelihood in nats; scores are kept `SMALLEST` away from 0 and 1."""
    import numpy as np

    p = np.clip(scores, SMALLEST, 1 - SMALLEST)
    return float(-np.mean(labels * np.log(p) + (1 - labels) * np.log1p(-p)))


def calibration_error(labels: np.ndarray, scores: np.ndarray, bins: int = BINS) -> tuple[float, float]:
    """Expected and largest calibration error: |mean score - share of positives| over groups of rows.

    Groups of equal mass (Nguyen and O'Connor 2015; Naeini, Cooper and Hauskrecht 2015), equal scores
    together; the first is their mean weighted by rows, the second their maximum.
    """
    import numpy as np

    edges = np.unique(np.quantile(scores, np.arange(1, bins) / bins, method="inverted_cdf"))
    group = np.searchsorted(edges, scores, side="left")
    rows = np.bincount(group)
    held = rows > 0
    gaps = np.abs(np.bincount(group, weights=scores) - np.bincount(group, weights=labels))[held] / rows[held]
    return float(np.sum(gaps * rows[held]) / len(scores)), float(gaps.max())
