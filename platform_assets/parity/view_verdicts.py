"""What a view's parity means for a product: its measured share judged by the product's own gate. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from platform_assets.declaration.gate import Parity
from platform_assets.evidence.evidence import Evidence, Verdict


def judged(evidence: Evidence, gate: Parity) -> tuple[Verdict, str]:
    """The verdict by the gate's limits, and why.

    The view's own limits decide its check; whether a product may be promoted, the product's gate decides
    again from the share that was measured. A laxer tolerance than the gate's is no measurement for it.
    """
    tolerance = evidence.limits.get("tolerance")
    if tolerance is not None and tolerance > gate.tolerance:
        return Verdict.UNKNOWN, f"was measured with tolerance {tolerance}, the gate allows {gate.tolerance}"
    share = evidence.measured.get("share")
    if evidence.verdict is Verdict.UNKNOWN or share is None or evidence.measured.get("witnesses_differ"):
        return evidence.verdict, evidence.reason
    if isinstance(share, bool) or not isinstance(share, int | float) or not math.isfinite(share):
        return Verdict.UNKNOWN, f"the share that differs is {share!r}"
    if share > gate.at_most:
        return Verdict.FAILED, evidence.reason
    if reservations := evidence.measured.get("reservations"):
        return Verdict.UNKNOWN, "; ".join(map(str, reservations))
    return Verdict.PASSED, f"{share:.2%} of entities differ, {gate.at_most:.2%} may"


def evidence_names(newest: Mapping[str, Sequence[Evidence]]) -> dict[str, str]:
    """The views' newest evidence by id, as versions that a product's parity is bound to."""
    return {f"parity:{view}": found[-1].id if found else "none" for view, found in newest.items()}
