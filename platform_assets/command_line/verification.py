"""`platform-assets verify`: recompute every hash there is a record of."""

from __future__ import annotations

import argparse
import dataclasses
import json
from typing import Any

from platform_assets.environments import environment
from platform_assets.errors import Blocked
from platform_assets.stores import Stores

LISTED = 20


def add_parser(commands: Any) -> None:
    """Add the subcommand."""
    parser = commands.add_parser("verify", help="recompute the whole chain of hashes")
    parser.add_argument("--head", help="<sequence>:<hash> of a ledger entry, as an earlier verify printed it")
    parser.add_argument("--json", action="store_true", help="for a program")
    parser.set_defaults(function=show)


def show(arguments: argparse.Namespace) -> int:
    """0 when everything is as recorded, 1 with each thing that is not. Raises Blocked for an empty home."""
    from platform_assets.lineage.verification import verify

    home = environment().home
    found = verify(Stores.at(home), expected_head=_head(arguments.head))
    if not any(found.counted.values()) and not found.broken:
        raise Blocked(f"{home.lake}: nothing is recorded here to verify; is PLATFORM_HOME right?")
    if arguments.json:
        print(json.dumps(dataclasses.asdict(found), indent=1))
        return 1 if found.broken else 0
    print("looked at " + (", ".join(f"{count} {kind}" for kind, count in found.counted.items()) or "nothing"))
    for problem in found.broken[:LISTED]:
        print(f"BROKEN  {problem}")
    if len(found.broken) > LISTED:
        print(f"BROKEN  and {len(found.broken) - LISTED} more; --json lists all")
    if found.head is not None:
        print(f"ledger head {found.head[0]}:{found.head[1]}  (keep it elsewhere; verify --head compares)")
    problems = "1 problem" if len(found.broken) == 1 else f"{len(found.broken)} problems"
    print(problems if found.broken else "everything is as it was recorded")
    return 1 if found.broken else 0


def _head(text: str | None) -> tuple[int, str] | None:
    if text is None:
        return None
    number, _, digest = text.partition(":")
    if not number.isdigit() or not digest:
        raise Blocked(f"--head {text!r} is not <sequence>:<hash>, such as 12:0a1b...")
    return int(number), digest
