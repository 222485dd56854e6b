"""What hindsight adds to the metrics: the same estimator on the rows as known now and as known then."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from platform_assets.declaration.gate import NotWorseThanChampion
from platform_assets.declaration.product import Product
from platform_assets.declaration.repository import Repository
from platform_assets.evaluation.metrics import evaluate_metrics, label_values
from platform_assets.hindsight.difference import Difference
from platform_assets.lake.manifest import Manifest
from platform_assets.registry.comparison import entity_codes
from platform_assets.registry.paired_bootstrap import paired_difference
from platform_assets.stores import Stores
from platform_assets.training.estimator import score
from platform_assets.training.model_artifact import load_model
from platform_assets.training.training_rows import SPLIT_COLUMN
from platform_assets.training.training_run import fitted

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class MetricAdded:
    """What hindsight adds to the metric that the comparison gate names, and to every other one.

    `added` is that metric as it is reported less as it would have been known then; `lower` and `upper`
    are its one-sided bounds by paired bootstrap. `metrics` has one line a declared metric. `unknown`
    says why there is no bound.
    """

    metric: str
    added: float | None
    lower: float | None
    upper: float | None
    rows: int
    entities: int
    metrics: tuple[dict[str, Any], ...]
    unknown: str = ""


def metric_added(
    stores: Stores,
    repository: Repository,
    product: Product,
    training_run: Manifest,
    now: pa.Table,
    then: pa.Table,
    found: Difference,
) -> MetricAdded:
    """Fit on the rows as known then, and score the test rows that both sides have.

    Three scores of the same rows, judged by the labels as known now: the reported model on the inputs
    as known now (`now`), the same model on the inputs as known then (`served`), and a model fitted on
    what was known then on the inputs as known then (`then`). now - then is what hindsight adds; of
    that, served - then comes by fitting on repaired rows and now - served by testing on them.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    run = stores.lake.table(training_run.table).document_of(training_run)
    model_now = load_model(stores, training_run.notes["artifact_path"], training_run.notes["artifact_digest"])
    model_then, _, _ = fitted(repository, product, then, trials=training_run.notes.get("search_trials"))
    tests = pc.equal(now.column(SPLIT_COLUMN), "test").to_numpy(zero_copy_only=False)[found.now]
    judged = now.take(pa.array(found.now[tests]))
    inputs_now, inputs_then = (
        judged.select(run["inputs"]),
        then.take(pa.array(found.then[tests])).select(run["inputs"]),
    )
    scores = {
        "now": score(model_now, inputs_now),
        "served": score(model_now, inputs_then),
        "then": score(model_then, inputs_then),
    }
    values = {name: evaluate_metrics(product, repository, judged, each) for name, each in scores.items()}
    lines = [
        _line(metric.key, {side: values[side][metric.key] for side in scores}) for metric in product.metrics
    ]
    gate = next(gate for gate in product.gates if isinstance(gate, NotWorseThanChampion))
    bound = paired_difference(
        entity_codes(judged.column(repository.entity(gate.entity).join_key)),
        label_values(product, judged),
        scores["now"],
        scores["then"],
        metric=gate.metric,
        confidence=gate.confidence,
        resamples=gate.resamples,
    )
    added = None
    if bound.candidate is not None and bound.champion is not None:
        added = bound.candidate - bound.champion
    return MetricAdded(
        gate.metric,
        added,
        bound.lower,
        bound.upper,
        judged.num_rows,
        bound.entities,
        tuple(lines),
        bound.unknown,
    )


def _line(name: str, value: dict[str, float | None]) -> dict[str, Any]:
    now, served, then = value["now"], value["served"], value["then"]
    if now is None or served is None or then is None:
        return {"metric": name, **value, "added": None, "by_fitting": None, "by_testing": None}
    return {
        "metric": name,
        **value,
        "added": now - then,
        "by_fitting": served - then,
        "by_testing": now - served,
    }
