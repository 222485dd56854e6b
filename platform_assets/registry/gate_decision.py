"""What one gate said of a candidate, and of all of them together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from platform_assets.evidence.evidence import Verdict, worst
from platform_assets.evidence.ledger import Entry


@dataclass(frozen=True)
class GateDecision:
    """What one gate says of a candidate, on which evidence, and by whose word.

    `answers` are the sequences of the ledger entries, waivers and approvals, that it holds by.
    """

    key: str
    verdict: Verdict
    reason: str
    measured: float | str | None = None
    limit: float | str | None = None
    evidence_id: str = ""
    waived_by: str = ""
    waiver: str = ""
    answers: tuple[int, ...] = ()

    @property
    def holds(self) -> bool:
        """Passed, or a person answers for its failure."""
        return self.verdict is Verdict.PASSED or bool(self.waived_by)

    @property
    def told(self) -> str:
        """Verdict and reason as one line, a waiver with them."""
        return f"{self.verdict}: {self.reason}" + (f" ({self.waiver})" if self.waived_by else "")


def decided_gates(entries: Sequence[Entry], version: str) -> tuple[GateDecision, ...]:
    """What the gates said when a version was promoted, as the ledger tells it; empty if it never was."""
    promotions = [e for e in entries if e.kind == "intent" and e.body.get("to") == version]
    told = promotions[-1].body["gates"] if promotions else ()
    return tuple(
        GateDecision(
            **{**gate, "verdict": Verdict(gate["verdict"]), "answers": tuple(gate.get("answers", ()))}
        )
        for gate in told
    )


def verdict_of(decisions: Sequence[GateDecision]) -> Verdict:
    """PASSED only when there is a decision and all of them passed or are waived."""
    return worst([Verdict.PASSED if decision.holds else decision.verdict for decision in decisions])
