"""The evaluation report: a model on its test days, in figures, curves, files and evidence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from platform_assets.declaration.declared import fingerprint_of
from platform_assets.declaration.product import Product
from platform_assets.declaration.repository import Repository
from platform_assets.declaration.source import Source
from platform_assets.errors import Blocked
from platform_assets.evaluation.closer_look import closer_look, outside_columns
from platform_assets.evaluation.curves import (
    calibration_bins,
    precision_recall_points,
    roc_points,
    score_quantiles,
)
from platform_assets.evaluation.decision_plots import write_decision_plots
from platform_assets.evaluation.evidently_report import Side, stride, write_evidently
from platform_assets.evaluation.metrics import (
    days_of_metric,
    evaluate_metrics,
    label_values,
    reason_unmeasured,
)
from platform_assets.evaluation.plots import write_plots
from platform_assets.evaluation.prequential import Fold, earlier_splits, fold
from platform_assets.evaluation.report_files import PAGE, write_report_files
from platform_assets.evaluation.report_markdown import evaluation_markdown
from platform_assets.evidence.evidence import Evidence, Verdict
from platform_assets.lake.digest import digest_of_digests
from platform_assets.lake.lake import Inputs
from platform_assets.lake.manifest import Manifest
from platform_assets.stores import Stores
from platform_assets.training.anomaly import AnomalyModel
from platform_assets.training.estimator import score
from platform_assets.training.raw_columns import raw_columns
from platform_assets.training.split import SplitDays
from platform_assets.training.training_run import load_model
from platform_assets.training.training_set import VIEWS, in_fitting_order, read_training_set
from platform_assets.vocabulary import product_table, raw_table

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

__all__ = ["evaluate", "evaluation_markdown", "evaluation_version"]

FORMAT = 2  # of the report's payload; a higher number evaluates every model anew


def evaluate(
    stores: Stores,
    repository: Repository,
    product: Product,
    training_set: Manifest,
    training_run: Manifest,
    *,
    cause: str,
    run_id: str = "",
) -> Manifest:
    """Score the test rows, measure every declared metric, and record the findings.

    Writes the scores, the files in `reports/<product>/`, evidence "evaluation" (UNKNOWN when a metric
    could not be measured) and last the report: after a kill anywhere before that, the next run does all
    of it again. Raises Blocked when the model was fitted on another training set, LakeError when its
    files are not the recorded ones, TrainingError when it cannot score.
    """
    run = stores.lake.table(training_run.table).document_of(training_run)
    if run["training_set_digest"] != training_set.digest:
        raise Blocked(
            f"product {product.name!r}: the model of {training_run.partition} was fitted on training set "
            f"{run['training_set_digest']}, not on {training_set.digest}; materialize training_run first"
        )
    model = load_model(stores, training_run.notes["artifact_path"], training_run.notes["artifact_digest"])
    source = repository.source(product.source)
    train, test = (
        in_fitting_order(source, read_training_set(stores, training_set, part)) for part in ("train", "test")
    )
    scores = score(model, test.select(run["inputs"]))
    folds = _earlier_folds(stores, repository, product, training_set, run)
    test_scores = stores.lake.table(product_table(product.name, "test_scores"))
    inputs = expected_evaluation_inputs(training_set, training_run)
    outside = outside_columns(product, repository, test.column_names)
    raw = training_set.inputs[raw_table(product.source)]
    test_scores.write(
        training_set.partition,
        test.select(list(source.primary_key)).append_column("score", [scores]),
        key=source.primary_key,
        code_version=product.estimator_version,
        inputs=inputs,
        cause=cause,
        run_id=run_id,
    )
    payload = {
        "model_digest": run["model_digest"],
        "training_set_digest": training_set.digest,
        **_counts(product, train, test),
        "train_days": list(training_set.notes["train_days"]),
        "test_days": list(training_set.notes["test_days"]),
        **(found := findings(repository, product, test, scores)),
        "closer_look": closer_look(
            product,
            repository,
            test,
            scores,
            outside=_arrays(raw_columns(stores, source, raw, training_set.notes["test_days"], test, outside)),
            folds=[(fold, _outside_of(stores, source, fold, outside)) for fold in folds],
            metrics=found["metrics"],
            trained_as_of=training_set.notes["trained_as_of"],
            probabilities=not isinstance(model, AnomalyModel),
        ),
    }
    figures = _figures(repository, product, training_set, payload)
    drawn = write_report_files(
        stores,
        product.name,
        figures,
        {
            "plots": lambda folder: write_plots(folder, payload, label_values(product, test), scores),
            "decision plots": lambda folder: write_decision_plots(folder, payload),
            PAGE: lambda folder: write_evidently(
                folder / PAGE,
                _side(product, train, run["inputs"], model),
                _side(product, test, run["inputs"], model),
            ),
        },
    )
    stores.evidence.record(_evidence(product, training_set, payload, run_id))
    return stores.lake.table(product_table(product.name, "evaluation_report")).write_document(
        training_set.partition,
        payload,
        code_version=evaluation_version(product),
        inputs=_with_folds(inputs, folds),
        cause=cause,
        run_id=run_id,
        notes={"not_drawn": {name: reason for name, reason in drawn.items() if reason}},
    )


def evaluation_version(product: Product) -> str:
    """Changes when a model would be evaluated differently: other metrics, or another form of report."""
    metrics = [metric.model_dump(mode="json") for metric in product.metrics]
    return fingerprint_of([FORMAT, metrics, product.evaluation.model_dump(mode="json")])


def expected_evaluation_inputs(training_set: Manifest, training_run: Manifest) -> Inputs:
    """What an evaluation report is made of; the days of its folds come on top."""
    return {
        training_set.table: {training_set.partition: training_set.digest},
        training_run.table: {training_run.partition: training_run.digest},
    }


def findings(repository: Repository, product: Product, rows: pa.Table, scores: np.ndarray) -> dict[str, Any]:
    """Metrics, why some are missing, curves, card days and score quantiles of scored test rows."""
    labels = label_values(product, rows)
    unmeasured = reason_unmeasured(labels, scores)
    ranked = unmeasured is None
    return {
        "metrics": evaluate_metrics(product, repository, rows, scores),
        "unmeasured": unmeasured,
        "curves": {
            "roc": roc_points(labels, scores) if ranked else [],
            "precision_recall": precision_recall_points(labels, scores) if ranked else [],
            "calibration": calibration_bins(labels, scores) if ranked else [],
        },
        "card_days": {
            metric.key: {
                "k": metric.k,
                "entity": metric.entity,
                "days": [asdict(d) for d in days_of_metric(metric, product, repository, rows, scores)],
            }
            for metric in product.metrics
            if metric.kind == "card_precision" and ranked
        },
        "score_quantiles": score_quantiles(scores),
    }


def _counts(product: Product, train: pa.Table, test: pa.Table) -> dict[str, int]:
    counts = {}
    for name, rows in (("train", train), ("test", test)):
        counts[f"{name}_rows"] = rows.num_rows
        counts[f"{name}_positives"] = int((label_values(product, rows) == 1).sum())
    return counts


def _figures(
    repository: Repository, product: Product, training_set: Manifest, payload: Mapping[str, Any]
) -> dict[str, Any]:
    """The content of `metrics.json`: flat, every metric by its key."""
    counts = ("train_rows", "train_positives", "test_rows", "test_positives")
    return {
        "product": product.name,
        **{name: payload[name] for name in counts},
        **payload["metrics"],
        "unmeasured": payload["unmeasured"],
        **_without_curves(payload["closer_look"]),
        "model_digest": payload["model_digest"],
        "training_set_digest": payload["training_set_digest"],
        "data_digest": digest_of_digests(training_set.inputs[raw_table(product.source)]),
        "split": training_set.partition,
        "train_days": payload["train_days"],
        "test_days": payload["test_days"],
        "trained_as_of": training_set.notes["trained_as_of"],
        "inputs": list(repository.input_columns(product)),
        "estimator": product.estimator.model_dump(mode="json"),
    }


def _earlier_folds(
    stores: Stores,
    repository: Repository,
    product: Product,
    training_set: Manifest,
    run: Mapping[str, Any],
) -> list[Fold]:
    notes = training_set.notes
    split = SplitDays(
        tuple(notes["train_days"]), tuple(notes["test_days"]), notes["trained_as_of"], training_set.partition
    )
    searched = run.get("search", {}).get("parameters", {})
    return [
        fold(stores, repository, product, earlier, searched)
        for earlier in earlier_splits(split, product.evaluation.folds)
    ]


def _outside_of(stores: Stores, source: Source, fold: Fold, columns: list[str]) -> dict[str, np.ndarray]:
    if fold.rows is None:
        return {}
    raw = fold.inputs[raw_table(source.name)]
    return _arrays(raw_columns(stores, source, raw, fold.split.test, fold.rows, columns))


def _arrays(columns: Mapping[str, pa.ChunkedArray]) -> dict[str, np.ndarray]:
    return {name: column.to_numpy() for name, column in columns.items()}


def _with_folds(inputs: Inputs, folds: list[Fold]) -> Inputs:
    made: dict[str, dict[str, str]] = {table: dict(parts) for table, parts in inputs.items()}
    for each in folds:
        for table, parts in each.inputs.items():
            if table != VIEWS:
                made.setdefault(table, {}).update(parts)
    return made


def _without_curves(look: Mapping[str, Any]) -> dict[str, Any]:
    """For other programs: the figures, without what is only drawn."""
    names = ("calibration", "intervals", "operating_point", "review_budget", "costs", "folds")
    return {
        name: {k: v for k, v in part.items() if k not in ("curve", "days")} if part else None
        for name in names
        for part in [look.get(name)]
    }


def _side(product: Product, rows: pa.Table, inputs: list[str], model: Any) -> Side:
    sample = rows.take(stride(rows.num_rows))
    columns = sample.select(inputs)
    return Side(columns, label_values(product, sample), score(model, columns))


def _evidence(product: Product, training_set: Manifest, payload: Mapping[str, Any], run_id: str) -> Evidence:
    metrics: Mapping[str, float | None] = payload["metrics"]
    missing = [name for name, value in metrics.items() if value is None]
    rows = f"{payload['test_rows']:,} test rows, {payload['test_positives']:,} positive"
    if missing:
        reason = f"not measured: {', '.join(missing)}: {payload['unmeasured']}"
    else:
        reason = ", ".join(f"{name} {value:.4f}" for name, value in metrics.items()) + f" on {rows}"
    return Evidence(
        kind="evaluation",
        subject=product_table(product.name, "evaluation_report"),
        verdict=Verdict.UNKNOWN if missing else Verdict.PASSED,
        reason=reason,
        versions={"training_set": training_set.digest, "model": payload["model_digest"]},
        partition=training_set.partition,
        measured=dict(metrics),
        run_id=run_id,
    )
