"""Everything an evaluation looks at beyond its metrics, as one JSON-ready document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from platform_assets.declaration.product import Product
from platform_assets.declaration.repository import Repository
from platform_assets.errors import TrainingError
from platform_assets.evaluation import entity_bootstrap as bootstrap
from platform_assets.evaluation.calibration import brier_score, calibration_error, log_loss
from platform_assets.evaluation.cost_threshold import cheapest_threshold, cost_curve, outcome
from platform_assets.evaluation.metrics import evaluate_metrics, label_values, reason_unmeasured
from platform_assets.evaluation.prequential import Fold, known_then, summary
from platform_assets.evaluation.review_budget import at_budget, budget_curve, rank_of_day, shares
from platform_assets.evaluation.slices import declared_mask, slice_figures, worst_slices

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

RANKED = ("roc_auc", "average_precision")
BUDGETS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
COST_POINTS = 60


def closer_look(
    product: Product,
    repository: Repository,
    rows: pa.Table,
    scores: np.ndarray,
    *,
    outside: Mapping[str, np.ndarray],
    folds: Sequence[tuple[Fold, Mapping[str, np.ndarray]]],
    metrics: Mapping[str, float | None],
    trained_as_of: str,
    probabilities: bool,
) -> dict[str, Any]:
    """Calibration, intervals, operating point, review budget, costs, slices and folds of scored test rows.

    `rows` are in fitting order; `outside` holds declared columns that the rows lack, one value a row,
    and beside each fold those of its rows. `probabilities` is false for scores that are none. A part
    that was not declared is None; one that could not be measured says why in `unmeasured`.
    """
    declared = product.evaluation
    labels = label_values(product, rows)
    if reason := reason_unmeasured(labels, scores):
        return {"unmeasured": reason}
    days = days_of(repository, product, rows)
    costs = _costs(product, repository, rows, scores, outside, folds, trained_as_of)
    stopped, point = operating_point(product, days, labels, scores, costs)
    entity = declared.entity or product.entities[0]
    names = _values(rows, outside, repository.entity(entity).join_key)
    return {
        "unmeasured": None,
        "calibration": _calibration(labels, scores) if probabilities else None,
        "operating_point": point,
        "intervals": _intervals(product, names, labels, scores, stopped),
        "interval_of": {
            "entity": entity,
            "resamples": declared.resamples,
            "confidence": declared.confidence,
        },
        "review_budget": _budget(product, days, labels, scores),
        "costs": costs,
        "slices": _slices(product, repository, rows, labels, scores, stopped, outside),
        "folds": _folds(product, repository, folds, metrics),
    }


def operating_point(
    product: Product,
    days: np.ndarray,
    labels: np.ndarray,
    scores: np.ndarray,
    costs: Mapping[str, Any] | None,
) -> tuple[np.ndarray, dict[str, Any]]:
    """Which rows are stopped: by declared cost, else by review budget, else as many as are positive."""
    import numpy as np

    if costs is not None and not costs["unmeasured"]:
        threshold = costs["threshold"]
        stopped = scores >= (np.inf if threshold is None else threshold)
        told = "the threshold of least cost"
    elif product.evaluation.review_budget is not None:
        per_day = product.evaluation.review_budget.per_day
        stopped = rank_of_day(days, scores) < per_day
        told = f"the {per_day} highest scores of each day"
    else:
        positives = int((labels == 1).sum())
        rank = np.empty(len(scores), np.int64)
        rank[np.argsort(-scores, kind="stable")] = np.arange(len(scores))
        stopped = rank < positives
        told = "as many rows as are positive, by falling score"
    return stopped, {"stops": told, **shares(stopped, labels == 1)}


def days_of(repository: Repository, product: Product, rows: pa.Table) -> np.ndarray:
    """The UTC day of each row."""
    import pyarrow as pa
    import pyarrow.compute as pc

    event = rows.column(repository.source(product.source).event_timestamp).cast(pa.timestamp("us"))
    days: np.ndarray = pc.floor_temporal(event, unit="day").to_numpy().astype("datetime64[D]")
    return days


def outside_columns(product: Product, repository: Repository, columns: Sequence[str]) -> list[str]:
    """Columns the evaluation names that a training set with these columns does not hold."""
    declared = product.evaluation
    wanted = [each.column for each in declared.slices]
    wanted += list(declared.slice_search.columns) if declared.slice_search else []
    wanted += [declared.costs.amount] if declared.costs else []
    wanted.append(repository.entity(declared.entity or product.entities[0]).join_key)
    return [name for name in dict.fromkeys(wanted) if name not in columns]


def _calibration(labels: np.ndarray, scores: np.ndarray) -> dict[str, float]:
    expected, largest = calibration_error(labels, scores)
    return {
        "brier_score": brier_score(labels, scores),
        "log_loss": log_loss(labels, scores),
        "calibration_error": expected,
        "largest_calibration_error": largest,
        "mean_score": float(scores.mean()),
        "observed_rate": float(labels.mean()),
    }


def _intervals(
    product: Product, names: np.ndarray, labels: np.ndarray, scores: np.ndarray, stopped: np.ndarray
) -> dict[str, Any]:
    declared, positive = product.evaluation, labels == 1
    measures = {
        metric.key: bootstrap.ranked_metric(metric.kind, labels, scores)
        for metric in product.metrics
        if metric.kind in RANKED
    }
    measures["precision"] = bootstrap.share_metric(positive, stopped)
    measures["recall"] = bootstrap.share_metric(stopped, positive)
    measures["brier_score"] = bootstrap.mean_metric((scores - labels) ** 2)
    found = bootstrap.entity_intervals(
        names, measures, confidence=declared.confidence, resamples=declared.resamples
    )
    return {name: asdict(interval) for name, interval in found.items()}


def _budget(
    product: Product, days: np.ndarray, labels: np.ndarray, scores: np.ndarray
) -> dict[str, Any] | None:
    declared = product.evaluation.review_budget
    if declared is None:
        return None
    budgets = sorted({*BUDGETS, declared.per_day})
    return {
        **at_budget(days, labels, scores, declared.per_day),
        "curve": budget_curve(days, labels, scores, budgets),
    }


def _costs(
    product: Product,
    repository: Repository,
    rows: pa.Table,
    scores: np.ndarray,
    outside: Mapping[str, np.ndarray],
    folds: Sequence[tuple[Fold, Mapping[str, np.ndarray]]],
    trained_as_of: str,
) -> dict[str, Any] | None:
    """The threshold chosen on earlier rows whose labels were known when the model was trained."""
    import numpy as np

    declared = product.evaluation.costs
    if declared is None:
        return None
    labels = label_values(product, rows)
    amounts = _amounts(declared.amount, _values(rows, outside, declared.amount))
    try:
        chosen = [
            (
                label_values(product, fold.rows)[known],
                fold.scores[known],
                amount[known],
                days_of(repository, product, fold.rows)[known],
            )
            for fold, columns in folds
            if fold.rows is not None and fold.scores is not None
            for known in [known_then(product, repository, fold.rows, trained_as_of)]
            for amount in [_amounts(declared.amount, _values(fold.rows, columns, declared.amount))]
            if known.any()
        ]
    except TrainingError as error:
        return {"unmeasured": str(error)}
    positives = sum(int((part[0] == 1).sum()) for part in chosen)
    if not positives:
        return {
            "unmeasured": "no threshold could be chosen: it takes scored rows with known labels from before "
            "the test days; declare more `folds`, or load earlier days"
        }
    earlier_labels, earlier_scores, earlier_amounts = (
        np.concatenate([part[n] for part in chosen]) for n in range(3)
    )
    threshold = cheapest_threshold(earlier_labels, earlier_scores, earlier_amounts, declared)
    thresholds, cost = cost_curve(labels, scores, amounts, declared)
    best = int(np.argmin(cost))
    return {
        "unmeasured": None,
        "amount": declared.amount,
        **outcome(labels, scores, amounts, declared, threshold),
        "chosen_on": {
            "rows": len(earlier_labels),
            "positives": positives,
            "days": [str(min(part[3].min() for part in chosen)), str(max(part[3].max() for part in chosen))],
        },
        "least_possible_cost": float(cost[best]),
        "curve": [
            [int(np.count_nonzero(scores >= thresholds[n])), float(cost[n])]
            for n in np.unique([*_spread(len(thresholds)), best])
        ],
    }


def _spread(length: int) -> list[int]:
    """Places along a curve, denser at its beginning: few rows are stopped."""
    import numpy as np

    return [int(n) for n in np.unique(np.geomspace(1, length, COST_POINTS).astype(int) - 1)]


def _amounts(column: str, values: np.ndarray) -> np.ndarray:
    import numpy as np

    amounts = np.asarray(values, dtype=np.float64)
    wrong = int((~(np.isfinite(amounts) & (amounts >= 0))).sum())
    if wrong:
        raise TrainingError(
            f"evaluation.costs: column {column!r} is missing or negative in {wrong} of {len(amounts)} rows; "
            f"an amount is needed for each"
        )
    return amounts


def _slices(
    product: Product,
    repository: Repository,
    rows: pa.Table,
    labels: np.ndarray,
    scores: np.ndarray,
    stopped: np.ndarray,
    outside: Mapping[str, np.ndarray],
) -> dict[str, Any]:
    declared = product.evaluation
    told: dict[str, Any] = {
        "declared": [
            slice_figures(
                each.name, declared_mask(each, _values(rows, outside, each.column)), labels, scores, stopped
            )
            for each in declared.slices
        ],
        "search": None,
    }
    if declared.slice_search is not None:
        names = declared.slice_search.columns or repository.input_columns(product)
        columns = {name: _values(rows, outside, name) for name in names}
        told["search"] = worst_slices(columns, labels, scores, stopped, declared.slice_search)
    return told


def _folds(
    product: Product,
    repository: Repository,
    folds: Sequence[tuple[Fold, Mapping[str, np.ndarray]]],
    metrics: Mapping[str, float | None],
) -> dict[str, Any] | None:
    if not folds:
        return None
    told: list[dict[str, Any]] = []
    for each, _ in reversed(folds):
        values: Mapping[str, float | None] = dict.fromkeys(metrics)
        unmeasured = each.unmeasured
        if each.rows is not None and each.scores is not None:
            values = evaluate_metrics(product, repository, each.rows, each.scores)
            labels = label_values(product, each.rows)
            unmeasured = reason_unmeasured(labels, each.scores) or ""
        told.append(
            {
                "train_days": [each.split.train[0], each.split.train[-1]],
                "test_days": [each.split.test[0], each.split.test[-1]],
                "train_rows": each.train_rows,
                "test_rows": each.rows.num_rows if each.rows is not None else 0,
                "metrics": dict(values),
                "unmeasured": unmeasured,
            }
        )
    every = [*(each["metrics"] for each in told), dict(metrics)]
    return {"splits": told, "with_this_one": summary(every)}


def _values(rows: pa.Table, outside: Mapping[str, np.ndarray], column: str) -> np.ndarray:
    """A column of the rows or from outside; text and missing values as objects."""
    import pyarrow as pa

    if column in outside:
        return outside[column]
    values = rows.column(column)
    if pa.types.is_boolean(values.type):
        values = values.cast(pa.int8())
    if pa.types.is_integer(values.type) and values.null_count:
        values = values.cast(pa.float64())
    found: np.ndarray = values.to_numpy()
    return found
