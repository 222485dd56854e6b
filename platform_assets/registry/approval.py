"""Approvals: people say yes to a version, on exactly the evidence of its other gates."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from platform_assets.declaration.gate import Approval
from platform_assets.declaration.product import Product
from platform_assets.errors import Blocked, UnknownName
from platform_assets.evidence.evidence import Verdict
from platform_assets.evidence.ledger import Entry, Ledger
from platform_assets.evidence.standing import APPROVAL, giver, standing, today, withdrawn_of
from platform_assets.evidence.waiver import checked_end, checked_person, checked_reason
from platform_assets.lake.digest import document_digest
from platform_assets.registry.gate_decision import GateDecision
from platform_assets.registry.gates import Candidate


def evidence_to_approve(candidate: Candidate, others: Sequence[GateDecision]) -> str:
    """One digest over the model and what every other gate said on which evidence, by whose word."""
    said = [[d.key, str(d.verdict), d.evidence_id, d.waived_by, *d.answers] for d in others]
    return document_digest([candidate.model_digest, said])[:16]


def decide_approval(
    gate: Approval, candidate: Candidate, others: Sequence[GateDecision], product: str, ledger: Ledger
) -> GateDecision:
    """FAILED until enough of the approvers said yes to this very evidence and none of it has ended.

    An approval that was withdrawn is none. Who waived one of the gates does not approve the same
    version: two people look.
    """
    evidence = evidence_to_approve(candidate, others)
    waived_by = {d.waived_by for d in others}
    named = {
        entry.actor: entry
        for entry in standing(ledger.entries(), APPROVAL, today(ledger))
        if entry.product == product
        and entry.actor in gate.approvers
        and entry.actor not in waived_by
        and entry.body.get("version") == candidate.version
        and entry.body.get("evidence") == evidence
    }
    if len(named) >= gate.count:
        reason = "approved by " + ", ".join(
            f"{who} until {entry.body['expires']} ({entry.body['reason']})" for who, entry in named.items()
        )
        answers = tuple(sorted(entry.sequence for entry in named.values()))
        return GateDecision(
            gate.key, Verdict.PASSED, reason, len(named), gate.count, evidence, answers=answers
        )
    reason = (
        f"{len(named)} of {gate.count} approvals on this evidence, of {', '.join(gate.approvers)}; "
        f"platform-assets approve --product {product} --version {candidate.version}"
    )
    return GateDecision(gate.key, Verdict.FAILED, reason, len(named), gate.count, evidence)


def record_approval(
    ledger: Ledger, product: Product, version: str, by: str, reason: str, expires: str | date
) -> Entry:
    """Record a yes to a version, bound to the evidence of the last decision on it.

    Raises Blocked when the product asks for no approval, when `by` is no approver or waived one of
    the version's gates, when the version was never decided or already promoted, while another gate
    than this one does not hold (there is nothing to approve yet), and when a waiver that one of them
    stood on was withdrawn since.
    """
    gate = next((gate for gate in product.gates if isinstance(gate, Approval)), None)
    if gate is None:
        raise Blocked(f"product {product.name} declares no gate of kind approval; nothing waits for one")
    person = checked_person(by, "an approval")
    if person not in gate.approvers:
        raise Blocked(str(UnknownName.among(f"approver of {product.name}", person, gate.approvers)))
    decided = [
        e for e in ledger.entries(product.name, "refusal") if e.body["version"] == version and e.body["gates"]
    ]
    if not decided:
        versions = {e.body["version"] for e in ledger.entries(product.name, "refusal")}
        unknown = UnknownName.among(f"refused version of {product.name}", version, versions)
        raise Blocked(f"{unknown}; an approval answers a decision, so materialize promotion first")
    gates = decided[-1].body["gates"]
    waived = {g["key"]: g["waived_by"] for g in gates if g.get("waived_by")}
    red = [g["key"] for g in gates if g["verdict"] != "PASSED" and g["key"] not in (gate.key, *waived)]
    if red:
        raise Blocked(
            f"version {version} of {product.name}: {', '.join(red)} did not pass in decision "
            f"{decided[-1].sequence}; there is nothing to approve until they do"
        )
    answers = {sequence for g in gates if g["key"] != gate.key for sequence in g.get("answers", ())}
    for answer, withdrawal in withdrawn_of(ledger.entries(), answers):
        raise Blocked(
            f"version {version} of {product.name}: decision {decided[-1].sequence} stands on {answer.kind} "
            f"{answer.sequence}, which {giver(withdrawal)} withdrew; materialize promotion first"
        )
    if person in waived.values():
        raise Blocked(f"{person} waived a gate of version {version}; somebody else has to approve it")
    return ledger.append(
        APPROVAL,
        product.name,
        person,
        {
            "version": version,
            "model_digest": decided[-1].body["model_digest"],
            "evidence": next(g["evidence_id"] for g in gates if g["key"] == gate.key),
            "decision": decided[-1].sequence,
            "reason": checked_reason(reason, "an approval"),
            "expires": checked_end(expires, "an approval").isoformat(),
        },
    )
