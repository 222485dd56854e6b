"""A waiver: an owner answers for evidence that is not green, with a reason and until a day."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, timedelta

from platform_assets.declaration.owner import check_person
from platform_assets.errors import Blocked
from platform_assets.evidence.evidence import Evidence
from platform_assets.evidence.ledger import Entry, Ledger
from platform_assets.evidence.standing import WAIVER, standing, today

# longer than a quarter is a change of the contract or the gate, which has its own way
LONGEST = timedelta(days=92)


def record_waiver(
    ledger: Ledger, evidence: Evidence, owner: str, reason: str, expires: str | date, *, by: str = ""
) -> Entry:
    """Record that `by` answers, for `owner`, for exactly this evidence until the end of `expires` (UTC).

    `owner` is whom the declaration names, a team or the person; `by` the person, who may be left out
    when the owner is one. Other evidence on the same subject, such as that of changed data, is not
    covered. Raises Blocked without a person or a reason, or when `expires` is no ISO date from today
    on and within `LONGEST`.
    """
    owner = owner.strip()
    person = checked_person(by.strip() or owner, "a waiver")
    until = checked_end(expires, "a waiver")
    return ledger.append(
        WAIVER,
        evidence.subject,
        owner,
        {
            "by": person,
            "evidence": evidence.id,
            "kind": evidence.kind,
            "subject": evidence.subject,
            "partition": evidence.partition,
            "verdict": str(evidence.verdict),
            "reason": checked_reason(reason, "a waiver"),
            "expires": until.isoformat(),
        },
    )


def checked_person(text: str, what: str) -> str:
    """An e-mail address; Blocked for a team or nobody: one person answers, by name."""
    try:
        return check_person(text)
    except ValueError:
        raise Blocked(
            f"{what} needs a person who answers for it (an e-mail address, --by), not {text!r}"
        ) from None


def checked_reason(text: str, what: str) -> str:
    """A reason that is not blank, else Blocked."""
    if not text.strip():
        raise Blocked(f"{what} needs a reason that others can judge")
    return text.strip()


def checked_end(expires: str | date, what: str) -> date:
    """The last day it holds, from today to `LONGEST` from now, else Blocked."""
    try:
        until = expires if isinstance(expires, date) else date.fromisoformat(expires)
    except ValueError:
        raise Blocked(f"{what} needs an end date such as 2026-12-31, not {expires!r}") from None
    if until < today():
        raise Blocked(f"{what} that ended on {until} covers nothing; give a later date")
    if until > today() + LONGEST:
        latest = today() + LONGEST
        raise Blocked(f"{what} until {until} is no exception any more; at most until {latest}")
    return until


def waiver_for(ledger: Ledger, evidence: Evidence, *, owners: Collection[str] | None = None) -> Entry | None:
    """The newest waiver that covers this evidence today; with `owners`, only one given by one of them.

    One that was withdrawn covers nothing. Raises LakeError when the ledger was tampered with.
    """
    for entry in reversed(standing(ledger.entries(), WAIVER, today(ledger))):
        if entry.body.get("evidence") != evidence.id or not entry.actor.strip():
            continue
        if owners is None or entry.actor in owners:
            return entry
    return None
