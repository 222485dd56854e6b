"""Whose word stands: waivers and approvals that have neither ended nor been withdrawn."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, date, datetime

from platform_assets.evidence.ledger import Entry, Ledger

WAIVER, APPROVAL, WITHDRAWAL = "waiver", "approval", "withdrawal"
GIVEN = (WAIVER, APPROVAL)
"""What a person gives, and can take back."""
ANSWERS = (*GIVEN, WITHDRAWAL)
"""After any of these a refused version is worth another decision."""


def standing(entries: Sequence[Entry], kind: str, day: date) -> list[Entry]:
    """Entries of one kind that stand on a day, in order; `entries` are the whole ledger's."""
    gone = withdrawals(entries)
    return [e for e in entries if e.kind == kind and e.sequence not in gone and holds_on(e, day)]


def withdrawals(entries: Sequence[Entry]) -> dict[int, Entry]:
    """The withdrawal of each entry that was withdrawn, by the sequence of the entry.

    Whoever wrote it: a word taken back wrongly makes a gate stricter, and can be given again.
    """
    found: dict[int, Entry] = {}
    for entry in entries:
        if entry.kind == WITHDRAWAL and isinstance(named := entry.body.get("entry"), int):
            found.setdefault(named, entry)
    return found


def holds_on(entry: Entry, day: date) -> bool:
    """Whether a waiver or an approval has not ended; one without a readable end never held."""
    try:
        return date.fromisoformat(str(entry.body.get("expires"))) >= day
    except ValueError:
        return False


def giver(entry: Entry) -> str:
    """The person who gave a waiver or an approval; whom a waiver was given for is its actor."""
    return str(entry.body.get("by") or entry.actor)


def version_of(entry: Entry) -> str:
    """The model version that a waiver or an approval is about; empty for a raw day's."""
    if str(entry.body.get("kind", "")).startswith("gate/"):
        return str(entry.body.get("partition", ""))
    return str(entry.body.get("version", ""))


def today(ledger: Ledger | None = None) -> date:
    """The present day in UTC; with a ledger not before its newest entry, whatever the clock says."""
    now = datetime.now(UTC).date()
    return max(now, date.fromisoformat(ledger.now()[:10])) if ledger is not None else now


def withdrawn_of(entries: Sequence[Entry], sequences: Collection[int]) -> list[tuple[Entry, Entry]]:
    """Of the entries named, those that were withdrawn, each with its withdrawal."""
    gone = withdrawals(entries)
    return [(e, gone[e.sequence]) for e in entries if e.sequence in sequences and e.sequence in gone]
