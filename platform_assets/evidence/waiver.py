"""A waiver: an owner answers for evidence that is not green, with a reason and until a day."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, date, datetime

from platform_assets.errors import Blocked
from platform_assets.evidence.evidence import Evidence
from platform_assets.evidence.ledger import Entry, Ledger

KIND = "waiver"


def record_waiver(ledger: Ledger, evidence: Evidence, owner: str, reason: str, expires: str | date) -> Entry:
    """Record that `owner` answers for exactly this evidence until the end of the day `expires` (UTC).

    Other evidence on the same subject, such as that of changed data, is not covered. Raises Blocked
    without an owner or a reason, or when `expires` is no ISO date of today or later.
    """
    if not owner.strip():
        raise Blocked("a waiver needs an owner who answers for it")
    if not reason.strip():
        raise Blocked("a waiver needs a reason that others can judge")
    try:
        until = expires if isinstance(expires, date) else date.fromisoformat(expires)
    except ValueError:
        raise Blocked(f"a waiver needs an end date such as 2026-12-31, not {expires!r}") from None
    if until < _today():
        raise Blocked(f"a waiver that ended on {until} covers nothing; give a later date")
    return ledger.append(
        KIND,
        evidence.subject,
        owner.strip(),
        {
            "evidence": evidence.id,
            "kind": evidence.kind,
            "subject": evidence.subject,
            "partition": evidence.partition,
            "verdict": str(evidence.verdict),
            "reason": reason.strip(),
            "expires": until.isoformat(),
        },
    )


def waiver_for(ledger: Ledger, evidence: Evidence, *, owners: Collection[str] | None = None) -> Entry | None:
    """The newest waiver that covers this evidence today; with `owners`, only one given by one of them.

    Raises LakeError when the ledger was tampered with.
    """
    today = _today()
    for entry in reversed(ledger.entries(kind=KIND)):
        body = entry.body
        if body.get("evidence") != evidence.id or not entry.actor.strip():
            continue
        if owners is not None and entry.actor not in owners:
            continue
        try:
            if date.fromisoformat(str(body.get("expires"))) >= today:
                return entry
        except ValueError:
            continue
    return None


def _today() -> date:
    return datetime.now(UTC).date()
