"""Gates: each declared gate decided again from evidence bound to the candidate's own versions."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from platform_assets.declaration.declared import Declared
from platform_assets.declaration.gate import (
    ContractHolds,
    FeatureEquality,
    Floor,
    Gate,
    NoLeakage,
    NotWorseThanChampion,
    Parity,
)
from platform_assets.evidence.evidence import Evidence, Verdict, worst
from platform_assets.evidence.ledger import Entry
from platform_assets.lake.digest import digest_of_digests, document_digest
from platform_assets.parity.view_verdicts import evidence_names, judged
from platform_assets.registry.gate_decision import GateDecision


@dataclass(frozen=True)
class Candidate:
    """The exact versions a candidate stands for, as its lineage tells them.

    `raw` maps every raw day that reaches its rows to that day's digest.
    """

    version: str
    model_digest: str
    training_set_digest: str
    views: Mapping[str, str]
    raw: Mapping[str, str]
    contract_version: str

    @classmethod
    def of(cls, lineage: Mapping[str, Any]) -> Candidate:
        """The candidate a lineage describes."""
        return cls(
            version=lineage["version"],
            model_digest=lineage["model_digest"],
            training_set_digest=lineage["training_set"]["digest"],
            views=lineage["views"],
            raw=lineage["raw"],
            contract_version=lineage["contract_version"],
        )

    @property
    def views_digest(self) -> str:
        """One digest over the feature view versions it was trained on."""
        return document_digest(dict(self.views))


@dataclass(frozen=True)
class Comparison:
    """Candidate against champion on one evaluation set; see `comparison.py`.

    `lower` is the lower bound of metric(candidate) - metric(champion). A reason in `unknown` says
    why the two could not be compared; `champion` None means that there is none yet.
    """

    champion: str | None
    candidate_value: float | None = None
    champion_value: float | None = None
    lower: float | None = None
    rows: int = 0
    left_out: int = 0
    entities: int = 0
    unknown: str = ""

    @property
    def id(self) -> str:
        """Digest over the whole finding."""
        return document_digest(asdict(self))[:16]


@dataclass(frozen=True)
class Findings:
    """All that the gates look at: histories of evidence, oldest first, and what is current now.

    `contract` and `waived`, the waiver of a day, are by raw day; `online` maps each online view of the
    product to the digest its store was last filled with, None when it never was; `view_parity` to the
    history of that view's own parity, and `view_versions` to what it must be bound to now.
    """

    evaluation: Sequence[Evidence] = ()
    feature_equality: Sequence[Evidence] = ()
    leakage: Sequence[Evidence] = ()
    parity: Sequence[Evidence] = ()
    contract: Mapping[str, Sequence[Evidence]] = field(default_factory=dict)
    waived: Mapping[str, Entry] = field(default_factory=dict)
    contract_version: str = ""
    online: Mapping[str, str | None] = field(default_factory=dict)
    view_parity: Mapping[str, Sequence[Evidence]] = field(default_factory=dict)
    view_versions: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    comparison: Comparison | None = None


def decide(gates: Sequence[Gate], candidate: Candidate, findings: Findings) -> tuple[GateDecision, ...]:
    """Decide every gate, in order. Evidence that is missing, stale or of other versions is UNKNOWN."""
    return tuple(_DECIDERS[gate.kind](gate, candidate, findings) for gate in gates)


def bound(history: Sequence[Evidence], versions: Mapping[str, str]) -> Evidence | str:
    """The newest evidence measured on exactly these versions, or the reason why none counts.

    Evidence of other versions may lie on top (another candidate was measured since) and is passed
    over; evidence that cannot be read stops the search: it may have been the one that counts.
    """
    if not history:
        return "no evidence was recorded"
    for evidence in reversed(history):
        if evidence.holds_for(versions):
            return evidence
        if not evidence.versions:
            return f"newest evidence is bound to no version: {evidence.reason}"
    newest = history[-1]
    differ = ", ".join(
        f"{name} is {newest.versions.get(name, 'absent')}, the candidate's is {versions.get(name, 'absent')}"
        for name in newest.mismatch(versions)
    )
    return f"evidence is of other versions: {differ}"


def _floor(gate: Floor, candidate: Candidate, findings: Findings) -> GateDecision:
    versions = {"training_set": candidate.training_set_digest, "model": candidate.model_digest}
    found = bound(findings.evaluation, versions)
    limit = gate.at_least
    if isinstance(found, str):
        return GateDecision(gate.key, Verdict.UNKNOWN, f"evaluation: {found}", limit=limit)
    value = found.measured.get(gate.metric)
    if found.verdict is Verdict.UNKNOWN or value is None or not _is_number(value):
        reason = f"{gate.metric} could not be measured: {found.reason or repr(value)}"
        return GateDecision(gate.key, Verdict.UNKNOWN, reason, limit=limit, evidence_id=found.id)
    measured = float(value)
    high_enough = measured >= gate.at_least
    if found.verdict is Verdict.FAILED:
        verdict, reason = Verdict.FAILED, f"evaluation failed: {found.reason}"
    else:
        verdict = Verdict.PASSED if high_enough else Verdict.FAILED
        reason = f"{gate.metric} {measured:.4f} {'>=' if high_enough else '<'} {gate.at_least}"
    return GateDecision(gate.key, verdict, reason, measured, limit, found.id)


def _contract(gate: ContractHolds, candidate: Candidate, findings: Findings) -> GateDecision:
    """Every raw day that reaches the rows has PASSED on the digest that was used, or is waived."""
    if not candidate.raw:
        return GateDecision(gate.key, Verdict.UNKNOWN, "the lineage names no raw day")
    if findings.contract_version != candidate.contract_version:
        reason = (
            f"the contract changed since registration ({candidate.contract_version} -> "
            f"{findings.contract_version}); the next run registers the model of the present split again"
        )
        return GateDecision(gate.key, Verdict.UNKNOWN, reason)
    verdicts: dict[str, Verdict] = {}
    told: dict[str, str] = {}
    ids: dict[str, str] = {}
    answers: list[int] = []
    for day, digest in sorted(candidate.raw.items()):
        versions = {"raw": digest, "contract": candidate.contract_version}
        found = bound(findings.contract.get(day, ()), versions)
        if isinstance(found, str):
            verdicts[day], told[day] = Verdict.UNKNOWN, found
            continue
        ids[day] = found.id
        if found.verdict is Verdict.PASSED:
            verdicts[day] = Verdict.PASSED
        elif (waiver := findings.waived.get(day)) is not None and waiver.body["evidence"] == found.id:
            verdicts[day], ids[day] = Verdict.PASSED, f"{found.id} waived"
            answers.append(waiver.sequence)
        else:
            verdicts[day], told[day] = found.verdict, found.reason
    verdict = worst(list(verdicts.values()))
    waived = sum(1 for value in ids.values() if value.endswith(" waived"))
    reason = f"{len(verdicts)} raw days passed" + (f", {waived} of them by waiver" if waived else "")
    if told:
        first = "; ".join(f"{day}: {why}" for day, why in list(told.items())[:3])
        reason = f"{len(told)} of {len(verdicts)} raw days did not pass: {first}" + (
            "; ..." if len(told) > 3 else ""
        )
    return GateDecision(gate.key, verdict, reason, len(verdicts) - len(told), len(verdicts),
                        digest_of_digests(ids)[:16], answers=tuple(sorted(answers)))  # fmt: skip


def _feature_equality(gate: FeatureEquality, candidate: Candidate, findings: Findings) -> GateDecision:
    return _measured(gate, gate.key, findings.feature_equality, _training_versions(candidate))


def _leakage(gate: NoLeakage, candidate: Candidate, findings: Findings) -> GateDecision:
    return _measured(gate, gate.key, findings.leakage, _training_versions(candidate))


def _parity(gate: Parity, candidate: Candidate, findings: Findings) -> GateDecision:
    unfilled = sorted(view for view, digest in findings.online.items() if digest is None)
    if unfilled:
        reason = f"the online store of {', '.join(unfilled)} was never filled"
        return GateDecision(gate.key, Verdict.UNKNOWN, reason)
    versions = {"views": candidate.views_digest}
    versions |= {f"online:{view}": digest for view, digest in findings.online.items() if digest}
    versions |= evidence_names({view: findings.view_parity.get(view, ()) for view in findings.online})
    by_request = _measured(gate, gate.key, findings.parity[-1:], versions)
    if by_request.verdict is not Verdict.PASSED:
        return by_request
    verdicts = {view: _view_parity(gate, view, candidate, findings) for view in findings.online}
    worst_of_views = worst([Verdict.PASSED, *(verdict for verdict, _ in verdicts.values())])
    if worst_of_views is Verdict.PASSED:
        return by_request
    told = "; ".join(f"{v}: {why}" for v, (verdict, why) in verdicts.items() if verdict is worst_of_views)
    return GateDecision(
        gate.key, worst_of_views, f"parity of view {told}", evidence_id=by_request.evidence_id
    )


def _view_parity(gate: Parity, view: str, candidate: Candidate, findings: Findings) -> tuple[Verdict, str]:
    """The view's newest parity, bound to the candidate's version of it and to its present store."""
    wanted = {**findings.view_versions.get(view, {}), "view": candidate.views.get(view, "absent")}
    found = bound(findings.view_parity.get(view, ())[-1:], wanted)
    if isinstance(found, str):
        return Verdict.UNKNOWN, f"{found}; materialize features/parity_{view}"
    return judged(found, gate)


def _not_worse(gate: NotWorseThanChampion, _: Candidate, findings: Findings) -> GateDecision:
    found, limit = findings.comparison, -gate.margin
    if found is None:
        return GateDecision(
            gate.key, Verdict.UNKNOWN, "champion and candidate were not compared", limit=limit
        )
    if found.unknown:
        return GateDecision(gate.key, Verdict.UNKNOWN, found.unknown, limit=limit, evidence_id=found.id)
    if found.champion is None:
        return GateDecision(gate.key, Verdict.PASSED, "first", limit=limit, evidence_id=found.id)
    if not _is_number(found.lower) or found.lower is None:
        reason = f"the bootstrap gave no lower bound ({found.lower!r})"
        return GateDecision(gate.key, Verdict.UNKNOWN, reason, limit=limit, evidence_id=found.id)
    holds = found.lower >= limit
    reason = (
        f"{gate.metric} {found.candidate_value:.4f} against {found.champion_value:.4f} of version "
        f"{found.champion}; lower bound of the difference {found.lower:+.4f} {'>=' if holds else '<'} "
        f"{limit:+.4f} ({found.rows} rows, {found.entities} entities, {found.left_out} rows left out)"
    )
    verdict = Verdict.PASSED if holds else Verdict.FAILED
    return GateDecision(gate.key, verdict, reason, found.lower, limit, found.id)


def _measured(
    gate: Declared, key: str, history: Sequence[Evidence], versions: Mapping[str, str]
) -> GateDecision:
    """A verdict somebody else measured: taken over when bound to these versions and this gate's settings."""
    found = bound(history, versions)
    if isinstance(found, str):
        return GateDecision(key, Verdict.UNKNOWN, found)
    declared = gate.model_dump(mode="json", exclude={"kind"})
    other = [
        f"{name} {found.limits[name]!r}, the gate says {value!r}"
        for name, value in sorted(declared.items())
        if name in found.limits and _plain(found.limits[name]) != value
    ]
    if other:
        reason = f"measured with other settings: {'; '.join(other)}"
        return GateDecision(key, Verdict.UNKNOWN, reason, evidence_id=found.id)
    return GateDecision(key, found.verdict, found.reason, evidence_id=found.id)


def _training_versions(candidate: Candidate) -> dict[str, str]:
    return {"training_set": candidate.training_set_digest, "views": candidate.views_digest}


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


_DECIDERS: Mapping[str, Callable[[Any, Candidate, Findings], GateDecision]] = {
    "floor": _floor,
    "not_worse_than_champion": _not_worse,
    "contract": _contract,
    "feature_equality": _feature_equality,
    "leakage": _leakage,
    "parity": _parity,
}
