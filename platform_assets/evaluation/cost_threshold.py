"""A threshold by declared cost: where stopping rows costs least, and what it saves and blocks."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from platform_assets.declaration.evaluation import Costs

if TYPE_CHECKING:
    import numpy as np


def cost_curve(
    labels: np.ndarray, scores: np.ndarray, amounts: np.ndarray, costs: Costs
) -> tuple[np.ndarray, np.ndarray]:
    """Total cost of stopping every row with score >= threshold, for each useful threshold.

    The first threshold is infinity (nothing is stopped), the others are the scores that occur, from
    the highest down. Elkan 2001, example-dependent costs: a positive that passes costs its amount.
    """
    import numpy as np

    order = np.argsort(-scores, kind="stable")
    ordered, positive = scores[order], labels[order] == 1
    saved = np.cumsum(np.where(positive, amounts[order], 0.0))
    alarms = np.cumsum(~positive)
    ends = np.append(np.flatnonzero(np.diff(ordered)), len(ordered) - 1)
    lost = float(np.sum(amounts[labels == 1]))
    stopped = ends + 1
    cost = lost - saved[ends] + costs.review * stopped + costs.false_alarm * alarms[ends]
    return np.append(np.inf, ordered[ends]), np.append(lost, cost)


def cheapest_threshold(labels: np.ndarray, scores: np.ndarray, amounts: np.ndarray, costs: Costs) -> float:
    """The threshold of least cost; of equally cheap ones the one that stops fewest rows. May be infinite."""
    import numpy as np

    thresholds, cost = cost_curve(labels, scores, amounts, costs)
    return float(thresholds[int(np.argmin(cost))])


def outcome(
    labels: np.ndarray, scores: np.ndarray, amounts: np.ndarray, costs: Costs, threshold: float
) -> dict[str, Any]:
    """Rows and amounts at a threshold: what was saved, what still passed, what was blocked for nothing.

    `cost` is what the decisions cost, `cost_of_nothing` what stopping no row would have cost.
    """
    import numpy as np

    stopped, positive = scores >= threshold, labels == 1

    def total(which: np.ndarray) -> float:
        return float(np.sum(amounts[which]))

    alarms = int((stopped & ~positive).sum())
    missed = total(~stopped & positive)
    return {
        "threshold": threshold if math.isfinite(threshold) else None,
        "stopped": int(stopped.sum()),
        "found": int((stopped & positive).sum()),
        "false_alarms": alarms,
        "amount_saved": total(stopped & positive),
        "amount_missed": missed,
        "amount_blocked": total(stopped & ~positive),
        "cost": missed + costs.review * int(stopped.sum()) + costs.false_alarm * alarms,
        "cost_of_nothing": total(positive),
    }
