"""Promotion: gates decided on evidence of the candidate's own versions, then the alias moved."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from platform_assets.declaration.gate import Approval, Gate, NotWorseThanChampion, Waivable
from platform_assets.declaration.product import Product
from platform_assets.declaration.repository import Repository
from platform_assets.errors import PromotionRefused
from platform_assets.evidence.evidence import Evidence, Verdict
from platform_assets.evidence.ledger import Entry
from platform_assets.evidence.waiver import waiver_for
from platform_assets.registry.alias_move import (
    FOREIGN,
    Alias,
    Holder,
    agrees,
    foreign,
    last_confirmed,
    lease,
    move,
    reconcile,
)
from platform_assets.registry.approval import decide_approval
from platform_assets.registry.champion import Champion, champion, champion_at, reinstate
from platform_assets.registry.comparison import compare
from platform_assets.registry.gate_decision import GateDecision, decided_gates, verdict_of
from platform_assets.registry.gates import (
    Candidate,
    decide,
)
from platform_assets.registry.gathered_findings import gathered_findings
from platform_assets.registry.model_versions import MODEL_TAG, RUN_TAG, candidate_version, lineage
from platform_assets.registry.timeline import concerns
from platform_assets.registry.withdrawn_answers import (
    WithdrawnMeanwhile,
    still_given,
    told_since,
    withdrawn_behind,
)
from platform_assets.stores import Stores
from platform_assets.vocabulary import product_table

__all__ = ["Champion", "Decision", "champion", "champion_at", "promote", "reinstate"]

Outcome = Literal["promoted", "refused", "already_champion"]
REFUSAL = "refusal"


@dataclass(frozen=True)
class Decision:
    """What became of a candidate. `champion` is the version that holds the alias afterwards."""

    outcome: Outcome
    product: str
    version: str
    champion: str | None
    reason: str
    verdict: Verdict
    gates: tuple[GateDecision, ...] = ()
    decision_id: str = ""

    @property
    def promoted(self) -> bool:
        """Whether this decision moved the alias."""
        return self.outcome == "promoted"


def promote(
    stores: Stores,
    repository: Repository,
    product: Product,
    *,
    suite_path: Path,
    actor: str,
    run_id: str = "",
    version: str | None = None,
) -> Decision:
    """Decide every gate for a version (the candidate, if none is named); promote it if all passed.

    An interrupted decision is closed first. Raises PromotionRefused when another promotion is being
    decided or the alias was moved by hand, Blocked without a registered version, LakeError when
    the ledger was tampered with. A red or unknown gate is a decision, not an error. What a person
    withdraws while it is decided does not count: then it is decided again.
    """
    while True:
        with contextlib.suppress(WithdrawnMeanwhile):
            return _promote(stores, repository, product, suite_path, actor, run_id, version)


def _promote(
    stores: Stores,
    repository: Repository,
    product: Product,
    suite_path: Path,
    actor: str,
    run_id: str,
    version: str | None,
) -> Decision:
    with lease(stores, product.name):
        alias = Alias(stores, product.name)
        reconcile(stores, alias, actor)
        entries = stores.ledger.entries(product.name)
        confirmed, holder = last_confirmed(entries), alias.holder()
        if not agrees(holder, confirmed):
            reason = foreign(product.name, holder, confirmed)
            _tell_once(stores, FOREIGN, product, actor, {"reason": reason})
            raise PromotionRefused(reason)
        name = version or candidate_version(stores, product)
        recorded = lineage(stores, product, name)
        if holder is not None and holder.version == name and _same_artifact(confirmed, recorded):
            since = withdrawn_behind(stores.ledger.entries()).get(confirmed.sequence, ()) if confirmed else ()
            reason = "; ".join(["already champion", *told_since(since)])
            return Decision(
                "already_champion", product.name, name, name, reason, Verdict.PASSED,
                decided_gates(entries, name),
            )  # fmt: skip
        problems = _problems(stores, product, recorded)
        if problems:
            return _refused(stores, product, actor, recorded, holder, (), problems)
        gates = _decided(stores, repository, product, recorded, holder, suite_path, run_id)
        if verdict_of(gates) is not Verdict.PASSED:
            reasons = [f"{g.key} {g.verdict}: {g.reason}" for g in gates if not g.holds]
            return _refused(stores, product, actor, recorded, holder, gates, reasons)
        about = {
            "lineage": {
                key: recorded[key] for key in ("training_set", "training_run_digest", "gates_version")
            },
            "evidence": [gate.evidence_id for gate in gates],
            "gates": [asdict(gate) for gate in gates],
            "run_id": run_id,
        }
        done = move(
            stores, alias, "intent", holder=holder, to=name, model=recorded, actor=actor,
            about=about, check=still_given({answer for gate in gates for answer in gate.answers}),
        )  # fmt: skip
        before = f"version {holder.version}" if holder else "no champion"
        waived = [g.key for g in gates if g.waived_by]
        held = f"all {len(gates)} gates passed" + (f", {', '.join(waived)} by waiver" if waived else "")
        return Decision(
            "promoted", product.name, name, name, f"{held}; replaces {before}",
            Verdict.PASSED, gates, done.body["decision"],
        )  # fmt: skip


def _same_artifact(confirmed: Entry | None, recorded: Mapping[str, Any]) -> bool:
    """Whether the confirmed files are the lineage's: a model lost and trained again has others."""
    names = ("model_digest", "artifact_digest", "artifact_path")
    return confirmed is not None and all(confirmed.body[name] == recorded[name] for name in names)


def _problems(stores: Stores, product: Product, recorded: Mapping[str, Any]) -> list[str]:
    """What refuses before any gate: gates changed since training, or not the model the lineage claims."""
    from mlflow.exceptions import MlflowException

    from platform_assets.training.mlflow_store import open_mlflow
    from platform_assets.training.model_artifact import artifact_digest

    problems = []
    if product.gates_version != recorded["gates_version"]:
        problems.append(
            f"gates changed since training ({recorded['gates_version']} -> {product.gates_version}): a "
            f"version is held to the gates it was trained under; train again under the new ones"
        )
    try:
        tags = open_mlflow(stores).get_model_version(product.name, recorded["version"]).tags
    except MlflowException as error:
        return [*problems, f"version {recorded['version']} is not in the registry: {error.message}"]
    for tag, digest in ((MODEL_TAG, recorded["model_digest"]), (RUN_TAG, recorded["training_run_digest"])):
        if tags.get(tag) != digest:
            problems.append(f"the registry says {tag} {tags.get(tag)}, the lineage {digest}")
    folder = stores.home.root / recorded["artifact_path"]
    found = artifact_digest(folder) if folder.is_dir() else "gone"
    if found != recorded["artifact_digest"]:
        problems.append(f"{folder}: the saved model is {found}, recorded was {recorded['artifact_digest']}")
    return problems


def _decided(
    stores: Stores,
    repository: Repository,
    product: Product,
    recorded: Mapping[str, Any],
    holder: Holder | None,
    suite_path: Path,
    run_id: str,
) -> tuple[GateDecision, ...]:
    """Gather what the gates look at, decide them, and record each decision as evidence."""
    candidate = Candidate.of(recorded)
    partition = recorded["training_set"]["partition"]
    before = lineage(stores, product, holder.version) if holder else None
    against = next(gate for gate in product.gates if isinstance(gate, NotWorseThanChampion))
    comparison = compare(stores, repository, product, against, recorded, before)
    findings = gathered_findings(stores, repository, product, candidate, partition, suite_path, comparison)
    others = [gate for gate in product.gates if not isinstance(gate, Approval)]
    made: dict[str, GateDecision] = {}
    for gate, decision in zip(others, decide(others, candidate, findings), strict=True):
        evidence = stores.evidence.record(
            Evidence(
                kind=f"gate/{decision.key}",
                subject=product_table(product.name, "promotion"),
                partition=candidate.version,
                verdict=decision.verdict,
                reason=decision.reason,
                versions={
                    "model": candidate.model_digest,
                    "training_set": candidate.training_set_digest,
                    "views": candidate.views_digest,
                    "gates": product.gates_version,
                    "evidence": decision.evidence_id,
                },
                measured={"value": decision.measured},
                limits={"value": decision.limit},
                run_id=run_id,
            )
        )
        made[decision.key] = _waived(stores, gate, decision, evidence)
    said = list(made.values())
    for approval in product.gates:
        if isinstance(approval, Approval):
            made[approval.key] = decide_approval(approval, candidate, said, product.name, stores.ledger)
    return tuple(made[gate.key] for gate in product.gates)


def _waived(stores: Stores, gate: Gate, decision: GateDecision, evidence: Evidence) -> GateDecision:
    """The decision with the waiver that covers it. What could not be measured nobody can answer for."""
    if decision.verdict is not Verdict.FAILED or not isinstance(gate, Waivable) or not gate.waivable_by:
        return decision
    entry = waiver_for(stores.ledger, evidence, owners=gate.waivable_by)
    if entry is None:
        return decision
    told = f"waived by {entry.body['by']} until {entry.body['expires']}: {entry.body['reason']}"
    return replace(decision, waived_by=str(entry.body["by"]), waiver=told, answers=(entry.sequence,))


def _refused(
    stores: Stores,
    product: Product,
    actor: str,
    recorded: Mapping[str, Any],
    holder: Holder | None,
    gates: tuple[GateDecision, ...],
    reasons: list[str],
) -> Decision:
    body = {
        "version": recorded["version"],
        "model_digest": recorded["model_digest"],
        "champion": holder.version if holder else None,
        "contract": recorded["contract_version"],
        "reasons": reasons,
        "evidence": [gate.evidence_id for gate in gates],
        "gates": [asdict(gate) for gate in gates],
    }
    entry = _tell_once(stores, REFUSAL, product, actor, body)
    verdict = verdict_of(gates) if gates else Verdict.FAILED
    return Decision(
        "refused", product.name, recorded["version"], holder.version if holder else None, "; ".join(reasons),
        verdict, gates, entry.hash[:32],
    )  # fmt: skip


def _tell_once(stores: Stores, kind: str, product: Product, actor: str, body: Mapping[str, Any]) -> Entry:
    """Add to the ledger, unless the newest entry about the product says exactly this: no news twice."""
    import json

    # a waiver given since is news: the entry says that it was decided on, and that it changed nothing
    entries = [entry for entry in stores.ledger.entries() if concerns(entry, product.name, product.source)]
    plain = json.loads(json.dumps(body))
    if entries and entries[-1].kind == kind and dict(entries[-1].body) == plain:
        return entries[-1]
    return stores.ledger.append(kind, product.name, actor, body)
