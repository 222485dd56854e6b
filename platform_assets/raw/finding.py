"""What one check found on one day."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from platform_assets.evidence.evidence import Verdict, worst


@dataclass(frozen=True)
class Finding:
    """One check on one day: `failing` counts rows (None where rows are not what fails)."""

    name: str
    column: str
    severity: str
    verdict: Verdict
    observed: Any = None
    failing: int | None = None
    samples: tuple[dict[str, Any], ...] = ()
    reason: str = ""
    blocking: bool = True

    def to_json(self) -> dict[str, Any]:
        """Plain data for the evidence."""
        return {**asdict(self), "verdict": str(self.verdict), "samples": [dict(s) for s in self.samples]}


def verdict_of(findings: Iterable[Finding]) -> Verdict:
    """The worst of the critical findings that may block; warnings are shown and do not count.

    Only warnings, and no critical check at all, is PASSED: nothing was asked that could fail.
    """
    found = [f.verdict for f in findings if f.severity == "critical" and f.blocking]
    return worst(found) if found else Verdict.PASSED


def reason_of(findings: Iterable[Finding]) -> str:
    """One line: what is wrong with the critical ones first, then the warnings."""
    wrong = [f for f in findings if f.verdict is not Verdict.PASSED]
    wrong.sort(key=lambda f: (f.severity != "critical", not f.blocking, f.verdict != Verdict.FAILED))
    if not wrong:
        return "every expectation holds"
    told = [f"{f.severity} {f.name} {f.verdict}: {f.reason}" for f in wrong[:3]]
    return "; ".join(told) + (f"; and {len(wrong) - 3} more" if len(wrong) > 3 else "")
