"""A withdrawal: a waiver or an approval is taken back; from then on it counts for nothing."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date

from platform_assets.errors import Blocked
from platform_assets.evidence.ledger import Entry, Ledger
from platform_assets.evidence.standing import (
    GIVEN,
    WITHDRAWAL,
    giver,
    holds_on,
    today,
    version_of,
    withdrawals,
)
from platform_assets.evidence.waiver import checked_person, checked_reason


def record_withdrawal(
    ledger: Ledger, sequence: int, by: str, reason: str, *, owner: str = "", may: Collection[str] = ()
) -> Entry:
    """Record that the waiver or approval of that sequence is taken back by a person, with a reason.

    Who gave it may, and who is in `may`, or answers for somebody in it (`owner`, such as a team).
    What was promoted before stays promoted; every later decision does without the entry. Raises
    Blocked for anybody else, without a person or a reason, and for what cannot be withdrawn
    (`withdrawable`). Of two withdrawals at once, one is recorded.
    """
    person, told = checked_person(by, "a withdrawal"), checked_reason(reason, "a withdrawal")
    now = today(ledger)
    named = withdrawable(ledger.entries(), sequence, now)
    behalf = owner.strip() or person
    if person != giver(named) and behalf not in may:
        others = sorted({*may} - {giver(named)})
        raise Blocked(
            f"{named.kind} {sequence} may be withdrawn by {giver(named)}, who gave it"
            + (f", or by {', '.join(others)}" if others else "")
            + f", not by {behalf!r}"
        )
    body = {
        "entry": named.sequence,
        "hash": named.hash,
        "of": named.kind,
        "by": person,
        "version": version_of(named),
        "partition": str(named.body.get("partition", "")),
        "reason": told,
    }
    return ledger.append(
        WITHDRAWAL, named.product, behalf, body, check=lambda entries: withdrawable(entries, sequence, now)
    )


def withdrawable(entries: Sequence[Entry], sequence: int, day: date) -> Entry:
    """The entry of that sequence if it can be taken back on that day.

    Raises Blocked when there is none, when it is no waiver or approval, was withdrawn already, or has
    ended by itself.
    """
    named = next((entry for entry in entries if entry.sequence == sequence), None)
    if named is None:
        there = f"it has entries 1 to {len(entries)}" if entries else "it is empty"
        raise Blocked(f"ledger entry {sequence} does not exist; {there} (platform-assets ledger lists them)")
    if named.kind not in GIVEN:
        raise Blocked(
            f"ledger entry {sequence} is of kind {named.kind}; what can be withdrawn is a "
            f"{' or an '.join(GIVEN)}"
        )
    gone = withdrawals(entries).get(sequence)
    if gone is not None:
        raise Blocked(
            f"{named.kind} {sequence} was withdrawn already, by {giver(gone)} at {gone.at} "
            f"(ledger entry {gone.sequence})"
        )
    if not holds_on(named, day):
        raise Blocked(
            f"{named.kind} {sequence} ended on {named.body.get('expires')}; it counts for nothing any more"
        )
    return named
