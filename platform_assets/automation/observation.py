"""What is stale, blocked or missing, read from manifests, evidence and ledger alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from platform_assets import vocabulary
from platform_assets.automation.plan import Work
from platform_assets.declaration.declared import fingerprint_of
from platform_assets.declaration.feature_view import FeatureView
from platform_assets.declaration.product import Product
from platform_assets.declaration.repository import Repository
from platform_assets.declaration.source import Source
from platform_assets.errors import PlatformError
from platform_assets.evidence.evidence import Evidence, Verdict
from platform_assets.lake.manifest import Manifest
from platform_assets.stores import Stores

SOURCE_STAGES = ("raw", "features", "online")
PRODUCT_STAGES = ("training", "promotion", "predictions", "monitoring")


@dataclass(frozen=True)
class SourceObservation:
    """A source's open work, its untrusted days, and its newest raw day."""

    work: tuple[Work, ...]
    untrusted: Mapping[str, str]
    newest_day: str | None

    @property
    def waits(self) -> bool:
        """Whether something of the source is still to be built."""
        return any(item.days for item in self.work)


def observe_source(
    stores: Stores, repository: Repository, source: Source, variables: Mapping[str, str]
) -> SourceObservation:
    """Compare what the source offers with what the lake holds.

    Raises SourceError when the source cannot be listed: a broken observation fails loudly. Raises
    DeclarationError when a view that a live model reads was changed under the same version.
    """
    from platform_assets.features.live_views import check_live_views
    from platform_assets.raw.contract import contract_version
    from platform_assets.raw.ingest import raw_code_version
    from platform_assets.raw.source_reader import open_source
    from platform_assets.raw.trust import untrusted_days

    views = [view for view in repository.feature_views.values() if view.source == source.name]
    check_live_views(stores, repository, [view.name for view in views])
    suite_path = repository.contract_path(source)
    reader = open_source(source, repository.folders[source.name], variables)
    tokens = reader.days()
    name = vocabulary.raw_table(source.name)
    current = stores.lake.table(name).current()
    contract = contract_version(source, suite_path)
    code = raw_code_version(source)

    stale: dict[str, str] = {}
    for day, token in tokens.items():
        manifest = current.get(day)
        built = manifest is not None and manifest.is_made_from(code, {"source": {day: token}})
        if built and manifest is not None:
            evidence = stores.evidence.latest("contract", name, day)
            if evidence is not None and evidence.holds_for({"raw": manifest.digest, "contract": contract}):
                continue
        stale[day] = f"{token}:{manifest.sequence if manifest else 0}:{code}:{contract}"
    work = [Work("raw", ("raw", source.name), stale, reason="new or changed days" if stale else "")]

    newest = max(current, default=None)
    known = sorted({*current, *(day for day in tokens if newest is None or day <= newest)})
    untrusted = untrusted_days(stores, source, suite_path, known)
    for view in views:
        work += _observe_view(stores, view.name, repository, current, untrusted)
    return SourceObservation(tuple(work), untrusted, newest)


def _observe_view(
    stores: Stores,
    view_name: str,
    repository: Repository,
    raw: Mapping[str, Manifest],
    untrusted: Mapping[str, str],
) -> list[Work]:
    """A view's open days and online state, of the declared version and of those live models read."""
    from platform_assets.features.live_views import kept_views

    declared = repository.feature_view(view_name)
    versions = [(repository, declared), *kept_views(stores, repository, declared)]
    stale: dict[str, str] = {}
    blocked: dict[str, str] = {}
    marks: list[str] = []
    reasons: list[str] = []
    for its_repository, view in versions:
        its_source = its_repository.source(view.source)
        open_days, its_blocked = _stale_days(stores, its_source, view, raw, untrusted)
        for day, mark in open_days.items():
            stale[day] = fingerprint_of([stale[day], mark]) if day in stale else mark
        blocked |= its_blocked
        if view.online and raw:
            mark, reason = _stale_state(stores, its_repository, view, untrusted)
            marks += [mark] if mark else []
            reasons += [reason] if reason else []
    stale = {day: mark for day, mark in stale.items() if day not in blocked}
    features = ("features", view_name)
    work = [Work("features", features, stale, blocked, reason="raw days in reach changed" if stale else "")]
    online = ("features", f"online_{view_name}")
    parity = ("features", f"parity_{view_name}")
    if reasons:
        work.append(Work("online", online, {}, {"": reasons[0]}))
    elif marks:
        mark = marks[0] if len(marks) == 1 else fingerprint_of(marks)
        work.append(Work("online", online, {"": mark}, reason="newer raw days"))
        work.append(Work("online", parity, {"": mark}, reason="measured after each fill"))
    elif mark := _unmeasured(stores, [view for _, view in versions if view.online and raw]):
        reason = "parity not measured on the present online store"
        work.append(Work("online", parity, {"": mark}, reason=reason))
    return work


def _unmeasured(stores: Stores, views: Sequence[FeatureView]) -> str:
    """Mark of the online states whose parity is not known as they are now; empty when all are.

    UNKNOWN is open: a store that was down is measured again when somebody looks again.
    """
    from platform_assets.parity.view_parity import newest_view_parity, view_limits, view_parity_versions

    newest = [newest_view_parity(stores, view) for view in views]
    open_views = [
        view
        for view, found in zip(views, newest, strict=True)
        if found is None or found.verdict is Verdict.UNKNOWN
    ]
    if not open_views:
        return ""
    return fingerprint_of([[view_parity_versions(stores, v), view_limits(v)] for v in open_views])


def _stale_days(
    stores: Stores,
    source: Source,
    view: FeatureView,
    raw: Mapping[str, Manifest],
    untrusted: Mapping[str, str],
) -> tuple[dict[str, str], dict[str, str]]:
    """Days of one version of a view to build, with marks, and blocked days with the reason."""
    from platform_assets.features.reach import raw_days

    raw_name = vocabulary.raw_table(source.name)
    built = stores.lake.table(vocabulary.feature_table(view.lake_name)).current()
    stale: dict[str, str] = {}
    blocked: dict[str, str] = {}
    for day in sorted(raw):
        reaching = sorted(raw_days([day], view, start=source.start))
        bad = [d for d in reaching if d in untrusted or d not in raw]
        if bad:
            blocked[day] = f"raw day {bad[0]}: {untrusted.get(bad[0], 'missing')}"
            continue
        inputs = {raw_name: {d: raw[d].digest for d in reaching}}
        manifest = built.get(day)
        if manifest is None or not manifest.is_made_from(view.code_version, inputs):
            stale[day] = fingerprint_of([view.code_version, inputs, manifest.sequence if manifest else 0])
    return stale, blocked


def _stale_state(
    stores: Stores, repository: Repository, view: FeatureView, untrusted: Mapping[str, str]
) -> tuple[str, str]:
    """Mark of one version's stale online state, or the reason why it cannot be filled; or neither."""
    from platform_assets.online.online_events import lost_state
    from platform_assets.online.online_store import online_inputs

    manifest = stores.lake.table(vocabulary.online_table(view.lake_name)).manifest("current")
    try:
        inputs = dict(online_inputs(stores, repository, view))
    except PlatformError as error:
        return "", str(error)
    red = sorted(set(inputs[vocabulary.raw_table(view.source)]) & set(untrusted))
    if red:
        return "", f"raw day {red[0]}: {untrusted[red[0]]}"
    current = manifest is not None and manifest.is_made_from(view.code_version, inputs)
    lost = [lost_state(stores, repository, view)] if current else []
    if current and not any(lost):
        return "", ""
    made_from = {k: dict(v) for k, v in inputs.items()}
    return fingerprint_of([view.code_version, made_from, manifest.sequence if manifest else 0, *lost]), ""


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
                return observe_hindsight(stores, product, rows, run)
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
    decided = _is_decided(stores, product, version, parity)
    works = []
    answers = [e.sequence for e in stores.ledger.entries() if e.kind in ("waiver", "approval")]
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


def _is_decided(stores: Stores, product: Product, version: str, parity: Evidence | None) -> bool:
    """Whether the ledger holds a decision on a version, taken on what its gates would look at now."""
    entries = stores.ledger.entries()
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
    answered = any(e.kind in ("waiver", "approval") and e.sequence > last.sequence for e in entries)
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
