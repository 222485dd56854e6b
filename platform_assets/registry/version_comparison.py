"""Two registered versions side by side, on rows that neither was trained on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from platform_assets.declaration.product import Product
from platform_assets.declaration.repository import Repository
from platform_assets.errors import LakeError, TrainingError
from platform_assets.evaluation.calibration import brier_score, calibration_error
from platform_assets.evaluation.curves import precision_recall_points
from platform_assets.evaluation.metrics import label_values
from platform_assets.registry.comparison import (
    Incomparable,
    entity_codes,
    evaluation_rows,
    inputs_of,
    scores_of,
)
from platform_assets.registry.model_versions import lineage
from platform_assets.registry.paired_bootstrap import Difference, paired_difference
from platform_assets.stores import Stores
from platform_assets.vocabulary import product_table

if TYPE_CHECKING:
    import numpy as np

RESAMPLES = 400
ONE_SIDED = 0.975
"""Both bounds of a difference at this level make an interval of 95 %."""


@dataclass(frozen=True)
class VersionComparison:
    """What tells two versions apart; `second` minus `first` in every difference.

    `settings` are (what, first, second) where the two were made otherwise; `agreement` counts
    positives and alarms that both, one or neither stop, when each stops as many rows as are positive.
    `unknown` says why no figure could be measured.
    """

    product: str
    first: str
    second: str
    settings: tuple[tuple[str, str, str], ...]
    unknown: str = ""
    rows: int = 0
    positives: int = 0
    left_out: int = 0
    differences: Mapping[str, Difference] = field(default_factory=dict)
    calibration: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    curves: tuple[Any, Any] = ((), ())
    agreement: Mapping[str, int] = field(default_factory=dict)


def compare_versions(
    stores: Stores, repository: Repository, product: Product, first: str, second: str
) -> VersionComparison:
    """Score both on the later one's test rows, less those before either's label cut-off.

    Raises UnknownName for a version that was never registered. What keeps them from being compared is
    told in `unknown`; settings are told all the same.
    """
    import numpy as np

    lineages = [lineage(stores, product, version) for version in (first, second)]
    settings = _settings(stores, product, *lineages)
    later = max(lineages, key=lambda each: (each["test_days"][-1], int(each["version"])))
    try:
        rows, left_out = evaluation_rows(
            stores, repository, product, later, min(lineages, key=lambda e: e is later)
        )
        scores = [
            scores_of(stores, product, each, inputs_of(stores, repository, product, each, later, rows))
            for each in lineages
        ]
    except (Incomparable, LakeError, TrainingError) as error:
        return VersionComparison(product.name, first, second, settings, str(error))
    labels = label_values(product, rows)
    entity = repository.entity(product.evaluation.entity or product.entities[0]).join_key
    differences = {
        metric: paired_difference(
            entity_codes(rows.column(entity)), labels, scores[1], scores[0],
            metric=metric, confidence=ONE_SIDED, resamples=RESAMPLES,
        )
        for metric in ("roc_auc", "average_precision")
    }  # fmt: skip
    unknown = next((each.unknown for each in differences.values() if each.unknown), "")
    if np.unique(labels).size < 2:
        return VersionComparison(product.name, first, second, settings, unknown, len(labels))
    return VersionComparison(
        product=product.name,
        first=first,
        second=second,
        settings=settings,
        unknown=unknown,
        rows=len(labels),
        positives=int(labels.sum()),
        left_out=left_out,
        differences=differences,
        calibration={
            "brier score": (brier_score(labels, scores[0]), brier_score(labels, scores[1])),
            "calibration error": (
                calibration_error(labels, scores[0])[0],
                calibration_error(labels, scores[1])[0],
            ),
        },
        curves=(
            precision_recall_points(labels, scores[0]),
            precision_recall_points(labels, scores[1]),
        ),
        agreement=_agreement(labels, *scores),
    )


def _settings(
    stores: Stores, product: Product, first: Mapping[str, Any], second: Mapping[str, Any]
) -> tuple[tuple[str, str, str], ...]:
    table = stores.lake.table(product_table(product.name, "training_run"))

    def told(each: Mapping[str, Any]) -> dict[str, str]:
        run = table.document_of(table.version(each["training_set"]["partition"], each["training_run_digest"]))
        estimator = dict(run.get("estimator", {}))
        return {
            "train days": f"{each['train_days'][0]} to {each['train_days'][-1]}",
            "test days": f"{each['test_days'][0]} to {each['test_days'][-1]}",
            "inputs": ", ".join(run.get("inputs", ())),
            "training set": each["training_set"]["digest"][:12],
            "model": each["model_digest"][:12],
            **{f"view {name}": version for name, version in each["views"].items()},
            **{f"estimator {name}": _plain(name, value) for name, value in estimator.items()},
        }

    a, b = told(first), told(second)
    return tuple(
        (name, a.get(name, "none"), b.get(name, "none"))
        for name in dict.fromkeys((*a, *b))
        if a.get(name) != b.get(name)
    )


def _plain(name: str, value: Any) -> str:
    """A setting of an estimator as people read it: what a declaration leaves unset is not told."""
    if isinstance(value, Mapping):
        # a parameter of the model may be None on purpose
        kept = value if name == "parameters" else {k: v for k, v in value.items() if v not in (None, [], ())}
        parts = (f"{key} {_nested(str(key), kept[key])}" for key in sorted(kept, key=str))
        return ", ".join(parts) or "none"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "none"
    return "none" if value is None else str(value)


def _nested(name: str, value: Any) -> str:
    return f"({_plain(name, value)})" if isinstance(value, Mapping) else str(value)


def _agreement(labels: np.ndarray, first: np.ndarray, second: np.ndarray) -> dict[str, int]:
    import numpy as np

    positives = int(labels.sum())
    stopped = []
    for scores in (first, second):
        mask = np.zeros(len(scores), bool)
        mask[np.argsort(-scores, kind="stable")[:positives]] = True
        stopped.append(mask)
    told = {}
    for name, which in (("positives", labels == 1), ("false alarms", labels == 0)):
        told[f"{name} both stop"] = int((which & stopped[0] & stopped[1]).sum())
        told[f"{name} only the first stops"] = int((which & stopped[0] & ~stopped[1]).sum())
        told[f"{name} only the second stops"] = int((which & ~stopped[0] & stopped[1]).sum())
    return told
