"""Leakage guard: does any input know more than could be known at its row's time?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from platform_assets.declaration.gate import NoLeakage
from platform_assets.declaration.product import Product
from platform_assets.declaration.repository import Repository
from platform_assets.errors import PlatformError
from platform_assets.evidence.evidence import Evidence, Verdict
from platform_assets.lake.digest import document_digest
from platform_assets.lake.manifest import Manifest
from platform_assets.stores import Stores
from platform_assets.training.cut_source import changed_columns, sampled
from platform_assets.training.training_set import read_training_set

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa


def leakage_guard(
    stores: Stores, repository: Repository, product: Product, training_set: Manifest, *, run_id: str = ""
) -> Evidence:
    """Recompute sampled train rows on a source cut at each row's time, and look for telltale columns.

    For a row at time t the cut source holds the entity's rows that had happened and were available
    at t, with labels only where they were known at t. A column that comes out otherwise is named,
    and so is a single column whose average precision against the label, in either direction, is
    above the gate's limit unless it is allowed. Half of the sample are positives, because a window
    of zeros hides what it sees. Records the evidence and returns it; what cannot be measured is
    UNKNOWN.
    """
    gate = next(gate for gate in product.gates if isinstance(gate, NoLeakage))
    views = dict(training_set.notes["views"])
    measured: dict[str, Any] = {}
    not_measurable: tuple[type[Exception], ...] = (PlatformError, OSError, *_engine_errors())
    try:
        verdict, reason = _measure(stores, repository, product, training_set, gate, measured)
    except not_measurable as error:
        verdict, reason = Verdict.UNKNOWN, f"could not be measured: {error}"
    return stores.evidence.record(
        Evidence(
            kind="leakage",
            subject=training_set.table,
            partition=training_set.partition,
            verdict=verdict,
            reason=reason,
            versions={"training_set": training_set.digest, "views": document_digest(views)},
            measured=measured,
            limits={
                "rows": gate.rows,
                "single_column_limit": gate.single_column_limit,
                "allow": list(gate.allow),
            },
            run_id=run_id,
        )
    )


def _measure(
    stores: Stores,
    repository: Repository,
    product: Product,
    training_set: Manifest,
    gate: NoLeakage,
    measured: dict[str, Any],
) -> tuple[Verdict, str]:
    declared = {view.name: view.code_version for view in repository.views_of(product)}
    if declared != dict(training_set.notes["views"]):
        return Verdict.UNKNOWN, "feature views changed since the training set was built; build it again"
    rows = read_training_set(stores, training_set, "train")
    sample = sampled(rows, repository.source(product.source).primary_key, product.label.column, gate.rows)
    changed = changed_columns(stores, repository, product, training_set, sample)
    precisions = single_columns(rows, repository.input_columns(product), product.label.column)
    telling = {
        name: value
        for name, value in precisions.items()
        if value > gate.single_column_limit and name not in gate.allow
    }
    measured.update(
        sampled_rows=sample.num_rows,
        changed_columns={name: count for name, count in changed.items() if count},
        single_column_average_precision={name: round(value, 6) for name, value in precisions.items()},
    )
    found = [
        f"{name} changes in {count} of {sample.num_rows} sampled rows when the source is cut at their time"
        for name, count in changed.items()
        if count
    ]
    found += [
        f"{name} alone has average precision {value:.3f} against {product.label.column}, above "
        f"{gate.single_column_limit:g}"
        for name, value in telling.items()
    ]
    if found:
        return Verdict.FAILED, "; ".join(found) + "; take it out of inputs, or give it the label's delay"
    return Verdict.PASSED, (
        f"no column changes in {sample.num_rows} sampled rows; the most telling single column has average "
        f"precision {max(precisions.values()):.3f}"
    )


def single_columns(rows: pa.Table, columns: Sequence[str], label: str) -> dict[str, float]:
    """Average precision of each column as a score for the label, the better of both directions."""
    import numpy as np

    from platform_assets.training.estimator import input_frame

    frame = input_frame(rows, columns)
    labels = rows.column(label).to_numpy().astype(np.int64)
    return {
        name: max(_average_precision(labels, frame[name].to_numpy() * sign) for sign in (1.0, -1.0))
        for name in columns
    }


def _average_precision(labels: np.ndarray, scores: np.ndarray) -> float:
    """Sum of (recall gained) x (precision) from the highest score down, equal scores taken at once.

    Source: scikit-learn's definition; importing it costs seconds. Missing values rank last.
    """
    import numpy as np

    ranked = np.where(np.isnan(scores), -np.inf, scores)
    order = np.argsort(-ranked, kind="stable")
    ends = np.append(np.nonzero(ranked[order][1:] != ranked[order][:-1])[0], len(order) - 1)
    hits = np.cumsum(labels[order])[ends]
    gained = np.diff(hits, prepend=0) / hits[-1]
    return float(np.sum(gained * hits / (ends + 1)))


def _engine_errors() -> tuple[type[Exception], ...]:
    import duckdb

    return (duckdb.Error,)
