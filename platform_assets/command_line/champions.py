"""`platform-assets champion` and `reinstate`: who is champion or was, and putting the alias back."""

from __future__ import annotations

import argparse
import dataclasses
import json
from datetime import UTC, datetime
from typing import Any

from platform_assets.command_line.products import add_product, find_product
from platform_assets.environments import environment
from platform_assets.errors import Blocked
from platform_assets.stores import Stores


def add_parser(commands: Any) -> None:
    """Add the subcommand."""
    parser = commands.add_parser("champion", help="champion now, or at a moment (ISO 8601, UTC)")
    add_product(parser)
    parser.add_argument("--json", action="store_true", help="for a program; null when there was none")
    parser.add_argument("--at", default=None, help="a moment such as 2026-01-31T14:05:00Z; default: now")
    parser.set_defaults(function=show)
    back = commands.add_parser("reinstate", help="put the alias back after it was moved by hand")
    add_product(back)
    back.add_argument("--by", required=True, help="your e-mail address")
    back.add_argument("--reason", required=True, help="why, so that others can judge; kept in the ledger")
    back.set_defaults(function=put_back)


def show(arguments: argparse.Namespace) -> int:
    """Print the champion, and what it was promoted on and was withdrawn since; 1 when there was none."""
    from platform_assets.evidence.ledger import to_the_second
    from platform_assets.registry.champion import champion_at
    from platform_assets.registry.withdrawn_answers import told_since, withdrawn_behind

    product, _, _ = find_product(arguments.product)
    ledger = Stores.at(environment().home).ledger
    at = _moment(arguments.at, ledger.now())
    found = champion_at(ledger, product.name, at)
    moment = to_the_second(at.isoformat())
    entries = ledger.entries()
    behind = withdrawn_behind(entries)
    since = [
        told
        for entry in entries
        if found and entry.kind == "confirm" and entry.body["decision"] == found.decision_id
        for told in told_since(behind.get(entry.sequence, ()))
    ]
    if arguments.json:
        told_of = {**dataclasses.asdict(found), "withdrawn_since": since} if found else None
        print(json.dumps(told_of, indent=1))
    else:
        print("\n  ".join([f"{product.name} at {moment}: {found or 'no champion'}", *since]))
    return 0 if found else 1


def _moment(given: str | None, now: str) -> datetime:
    """A moment in UTC; Blocked for text that is none, and for one that the ledger cannot know of yet."""
    try:
        at = datetime.fromisoformat(given or now)
    except ValueError:
        raise Blocked(f"--at: expected a moment such as 2026-01-31T14:05:00Z, not {given!r}") from None
    at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    if at > datetime.fromisoformat(now):
        raise Blocked(f"--at: {given} lies in the future; who is champion then nobody knows")
    return at


def put_back(arguments: argparse.Namespace) -> int:
    """Point the alias at the champion that the ledger confirms."""
    from platform_assets.evidence.waiver import checked_person, checked_reason
    from platform_assets.registry.champion import reinstate

    product, _, _ = find_product(arguments.product)
    person = checked_person(arguments.by, "a reinstatement")
    reason = checked_reason(arguments.reason, "a reinstatement")
    found = reinstate(Stores.at(environment().home), product, person, reason)
    print(f"{product.name}: {found or 'no champion was ever confirmed, and nobody holds the alias'}")
    return 0
