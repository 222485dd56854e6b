"""Metrics of a scored test set. What cannot be measured is None with a reason, never a number."""

from __future__ import annotations

from typing import TYPE_CHECKING

from platform_assets.errors import TrainingError
from platform_assets.evaluation.card_precision import CardDay, card_precision_days

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from platform_assets.declaration.metric import Metric
    from platform_assets.declaration.product import Product
    from platform_assets.declaration.repository import Repository


def reason_unmeasured(labels: np.ndarray, scores: np.ndarray) -> str | None:
    """Why no metric can be measured on these rows; None when all can."""
    import numpy as np

    labels, scores = np.asarray(labels), np.asarray(scores)
    if len(labels) != len(scores):
        return f"{len(labels)} labels, but {len(scores)} scores"
    if len(labels) == 0:
        return "there are no test rows"
    unusable = int((~np.isfinite(scores)).sum())
    if unusable:
        return f"{unusable} of {len(scores)} scores are missing or infinite"
    values = np.unique(labels.astype(np.float64))
    if not np.isin(values, (0.0, 1.0)).all():
        return f"labels must be 0 or 1; they hold {', '.join(f'{v:g}' for v in values[:5])}"
    if len(values) == 1:
        return f"all {len(labels)} test rows have label {int(values[0])}; one class only"
    return None


def roc_auc(labels: np.ndarray, scores: np.ndarray) -> float | None:
    """Area under the ROC curve (scikit-learn): the chance that a positive outranks a negative."""
    if reason_unmeasured(labels, scores):
        return None
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(labels, scores))


def average_precision(labels: np.ndarray, scores: np.ndarray) -> float | None:
    """Average precision (scikit-learn): sum over thresholds of (R_n - R_n-1) P_n."""
    if reason_unmeasured(labels, scores):
        return None
    from sklearn.metrics import average_precision_score

    return float(average_precision_score(labels, scores))


def card_precision(
    days: np.ndarray, entities: np.ndarray, labels: np.ndarray, scores: np.ndarray, k: int
) -> float | None:
    """Mean over the days of `card_precision_days`."""
    if reason_unmeasured(labels, scores):
        return None
    table = card_precision_days(days, entities, labels, scores, k)
    return sum(day.precision for day in table) / len(table)


def evaluate_metrics(
    product: Product, repository: Repository, rows: pa.Table, scores: np.ndarray
) -> dict[str, float | None]:
    """Every metric a product declares, by `Metric.key`.

    `rows` holds label, event timestamp and the entities' join keys, one row a score.
    """
    labels = label_values(product, rows)
    values: dict[str, float | None] = {}
    for metric in product.metrics:
        if metric.kind == "roc_auc":
            values[metric.key] = roc_auc(labels, scores)
        elif metric.kind == "average_precision":
            values[metric.key] = average_precision(labels, scores)
        elif reason_unmeasured(labels, scores):
            values[metric.key] = None
        else:
            table = days_of_metric(metric, product, repository, rows, scores)
            values[metric.key] = sum(day.precision for day in table) / len(table)
    return values


def days_of_metric(
    metric: Metric, product: Product, repository: Repository, rows: pa.Table, scores: np.ndarray
) -> list[CardDay]:
    """The days behind a `card_precision` metric; days as `YYYY-MM-DD`, in UTC.

    Raises TrainingError when a join key is missing in some row: a card nobody can name cannot be inspected.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    assert metric.entity is not None
    assert metric.k is not None
    join_key = repository.entity(metric.entity).join_key
    keys = rows.column(join_key)
    if keys.null_count:
        raise TrainingError(
            f"metric {metric.key}: column {join_key!r} has no value in {keys.null_count} of {rows.num_rows} "
            f"test rows; declare it not nullable, or take another entity"
        )
    event = rows.column(repository.source(product.source).event_timestamp).cast(pa.timestamp("us"))
    days = pc.floor_temporal(event, unit="day").to_numpy().astype("datetime64[D]")
    return card_precision_days(days, keys.to_numpy(), label_values(product, rows), scores, metric.k)


def label_values(product: Product, rows: pa.Table) -> np.ndarray:
    """The label column as float64; a missing label is NaN, so that no metric takes it for a negative."""
    import pyarrow as pa
    import pyarrow.compute as pc

    column = rows.column(product.label.column).cast(pa.float64())
    values: np.ndarray = pc.fill_null(column, float("nan")).to_numpy()
    return values
