"""What of a product is stale, blocked or missing, read from manifests, evidence and ledger alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from platform_assets import vocabulary
from platform_assets.automation.plan import Work
from platform_assets.declaration.declared import fingerprint_of
from platform_assets.declaration.product import Product
from platform_assets.declaration.repository import Repository
from platform_assets.errors import PlatformError
from platform_assets.evidence.evidence import Evidence, Verdict
from platform_assets.evidence.ledger import Entry
from platform_assets.evidence.standing import ANSWERS
from platform_assets.lake.manifest import Manifest
from platform_assets.stores import Stores

PRODUCT_STAGES = ("training", "promotion", "predictions", "monitoring")


def observe_product(stores: Stores, repository: Repository, product: Product) -> tuple[Work, ...]:
    """What of a product's chain is stale, in terms of what the lake holds now.

    Raises DeclarationError when a view that a live model reads was changed under the same version.
    """
    from platform_assets.features.live_views import check_live_views

    check_live_views(stores, repository, product.feature_views)
    return (
        *_observe_training(stores, repository, product),
        *_observe_promotion(stores, repository, product),
        *_observe_predictions(stores, repository, product),
        *_observe_monitoring(stores, product),
    )


def _table(stores: Stores, product: Product, noun: str) -> dict[str, Manifest]:
    return stores.lake.table(vocabulary.product_table(product.name, noun)).current()


def _observe_training(stores: Stores, repository: Repository, product: Product) -> list[Work]:
    from platform_assets.evaluation.evaluation_report import evaluation_version
    from platform_assets.evaluation.report_files import METRICS_FILE
    from platform_assets.training.split import resolve_split
    from platform_assets.training.training_set import expected_training_inputs

    newest_day = max(stores.lake.table(vocabulary.raw_table(product.source)).partitions(), default=None)
    if newest_day is None:
        return [Work("training", (product.name, "training_set"), {}, {"": "no raw day yet"})]
    try:
        split = resolve_split(product.split, newest_day)
        inputs = expected_training_inputs(stores, repository, product, split)
    except PlatformError as error:
        return [Work("training", (product.name, "training_set"), {}, {"": str(error)})]
    names = {
        noun: vocabulary.product_table(product.name, noun)
        for noun in ("training_set", "training_run", "evaluation_report", "registered_model")
    }
    rows = stores.lake.table(names["training_set"]).manifest(split.id)
    reasons = []
    if rows is None or not rows.is_made_from(product.training_version, inputs):
        reasons.append("training set is not of the present data and declaration")
    else:
        for kind in ("leakage", "feature_equality"):
            evidence = stores.evidence.latest(kind, names["training_set"], split.id)
            if evidence is None or evidence.versions.get("training_set") != rows.digest:
                reasons.append(f"no {kind} evidence on this training set")
        run = stores.lake.table(names["training_run"]).manifest(split.id)
        run_inputs = {names["training_set"]: {split.id: rows.digest}}
        if run is None or not run.is_made_from(product.estimator_version, run_inputs):
            reasons.append("no model of this training set and estimator")
        else:
            payload = stores.lake.table(names["training_run"]).document_of(run)
            if payload.get("views") != {v.name: v.code_version for v in repository.views_of(product)}:
                reasons.append("model was trained on other versions of its feature views")
            if payload.get("gates_version") != product.gates_version:
                reasons.append("gates changed since training")
            report = stores.lake.table(names["evaluation_report"]).manifest(split.id)
            if (
                report is None
                or report.code_version != evaluation_version(product)
                or dict(report.inputs.get(names["training_run"], {})) != {split.id: run.digest}
            ):
                reasons.append("model is not evaluated")
            elif not (stores.home.reports / product.name / METRICS_FILE).exists():
                reasons.append("the report's files are gone")
            registered = stores.lake.table(names["registered_model"]).manifest(split.id)
            lineage = (
                stores.lake.table(names["registered_model"]).document_of(registered) if registered else {}
            )
            if lineage.get("training_run_digest") != run.digest:
                reasons.append("model is not registered")
            if not reasons:
                return [
                    *observe_hindsight(stores, product, rows, run),
                    *observe_registration(stores, repository, product, lineage),
                ]
    mark = fingerprint_of(
        [
            product.training_version,
            product.estimator_version,
            product.gates_version,
            {k: dict(v) for k, v in inputs.items()},
            split.id,
            rows.sequence if rows else 0,
        ]
    )
    return [
        Work("training", (product.name, noun), {"": mark}, reason="; ".join(reasons))
        for noun in (
            "training_set",
            "training_run",
            "evaluation_report",
            "hindsight_report",
            "registered_model",
        )
    ]


def observe_hindsight(stores: Stores, product: Product, rows: Manifest, run: Manifest) -> list[Work]:
    """The hindsight report of a training set and its model, unless it was measured under these limits."""
    from platform_assets.hindsight.hindsight_report import KIND, hindsight_versions

    subject = vocabulary.product_table(product.name, "hindsight_report")
    evidence = stores.evidence.latest(KIND, subject, rows.partition)
    versions = hindsight_versions(rows, run)
    limits = product.hindsight.model_dump(mode="json")
    if evidence is not None and evidence.holds_for(versions) and dict(evidence.limits) == limits:
        return []
    return [
        Work(
            "training",
            (product.name, "hindsight_report"),
            {"": fingerprint_of([versions, limits])},
            reason="what hindsight adds is not measured",
        )
    ]


def observe_registration(
    stores: Stores, repository: Repository, product: Product, lineage: Mapping[str, Any]
) -> list[Work]:
    """The registration once more where another contract is in force since: the contract gate asks for it."""
    from platform_assets.raw.contract_in_force import contract_standing

    source = repository.source(product.source)
    contract = contract_standing(stores, source, repository.contract_path(source)).in_force
    if contract.suite.problem or lineage["contract_version"] == contract.version:
        return []
    return [
        Work(
            "training",
            (product.name, "registered_model"),
            {"": fingerprint_of([dict(lineage), contract.version])},
            reason="another contract is in force since the model was registered",
        )
    ]


def _observe_promotion(stores: Stores, repository: Repository, product: Product) -> list[Work]:
    from platform_assets.parity.view_parity import view_parity_history
    from platform_assets.parity.view_verdicts import evidence_names
    from platform_assets.registry.model_versions import candidate_manifest

    newest = candidate_manifest(stores, product)
    if newest is None:
        return []
    lineage = stores.lake.table(newest.table).document_of(newest)
    version = str(lineage["version"])
    parity = stores.evidence.latest("parity", vocabulary.product_table(product.name, "parity_report"))
    online = {
        f"online:{view.name}": manifest.digest
        for view in repository.views_of(product)
        if view.online
        and (manifest := stores.lake.table(vocabulary.online_table(view.lake_name)).manifest("current"))
    }
    bound_to = online | evidence_names(
        {
            view.name: view_parity_history(stores, view)[-1:]
            for view in repository.views_of(product)
            if view.online
        }
    )
    measured = (
        parity is not None
        and parity.verdict is not Verdict.UNKNOWN
        and all(parity.versions.get(k) == v for k, v in bound_to.items())
    )
    entries = stores.ledger.entries()
    answers = _answers(entries, product)
    decided = _is_decided(entries, product, lineage, parity)
    works = []
    mark = fingerprint_of(
        [newest.digest, newest.sequence, bound_to, parity.id if parity else "", answers[-1:] or [0]]
    )
    if not measured:
        works.append(
            Work(
                "promotion",
                (product.name, "parity_report"),
                {"": mark},
                reason="parity not measured on the present online store",
            )
        )
    if not decided:
        works.append(
            Work(
                "promotion", (product.name, "promotion"), {"": mark}, reason=f"version {version} is undecided"
            )
        )
    return works


def _answers(entries: Sequence[Entry], product: Product) -> list[int]:
    """Ledger entries in which people answered for the product or its raw days, or took that back."""
    from platform_assets.registry.timeline import concerns

    return [
        entry.sequence
        for entry in entries
        if entry.kind in ANSWERS and concerns(entry, product.name, product.source)
    ]


def _is_decided(
    entries: Sequence[Entry], product: Product, lineage: Mapping[str, Any], parity: Evidence | None
) -> bool:
    """Whether the ledger holds a decision on a version, taken on what its gates would look at now."""
    version = str(lineage["version"])
    told = [
        entry
        for entry in entries
        if entry.product == product.name
        and (
            (entry.kind == "confirm" and str(entry.body.get("to")) == version)
            or (entry.kind == "refusal" and str(entry.body.get("version")) == version)
        )
    ]
    if not told:
        return False
    last = told[-1]
    if last.kind == "confirm" or not last.body.get("gates"):
        return True
    if last.body.get("contract", lineage["contract_version"]) != lineage["contract_version"]:
        return False
    answered = any(sequence > last.sequence for sequence in _answers(entries, product))
    return not answered and (parity is None or parity.id in last.body["evidence"])


def _observe_predictions(stores: Stores, repository: Repository, product: Product) -> list[Work]:
    if not any(e.kind == "confirm" for e in stores.ledger.entries(product.name)):
        return [Work("predictions", (product.name, "predictions"), {}, {"": "no champion yet"})]
    from platform_assets.serving.predictions import days_to_score, tables_scored_from

    tables = tables_scored_from(stores, repository, product)
    digests = {name: stores.lake.table(name).digests() for name in tables}
    built = set.intersection(*(set(days) for days in digests.values()))
    sequences = {day: m.sequence for day, m in _table(stores, product, "predictions_rescored").items()}
    stale = {
        day: fingerprint_of([{name: days[day] for name, days in digests.items()}, sequences.get(day, 0)])
        for day in days_to_score(stores, repository, product, built)
    }
    reason = "days not scored on their present features" if stale else ""
    return [Work("predictions", (product.name, "predictions"), stale, reason=reason)]


def _observe_monitoring(stores: Stores, product: Product) -> list[Work]:
    from platform_assets.lake.digest import digest_of_digests

    scored = _table(stores, product, "predictions")
    if not scored:
        return []
    days = sorted(scored)[-product.drift.current_days :]
    predictions = digest_of_digests({day: scored[day].digest for day in days})
    evidence = stores.evidence.latest("drift", vocabulary.product_table(product.name, "drift_report"))
    confirmed = stores.ledger.entries(product.name, "confirm")
    model = str(confirmed[-1].body.get("model_digest", "")) if confirmed else ""
    fresh = (
        evidence is not None
        and evidence.versions.get("predictions") == predictions
        and evidence.versions.get("model") in ("", model)
    )
    if fresh:
        return []
    return [
        Work(
            "monitoring",
            (product.name, "drift_report"),
            {"": fingerprint_of([predictions, model])},
            reason="drift not measured on the newest days",
        )
    ]
