"""`platform-assets waive`: an owner takes a red raw day on himself, with reason and expiry."""

from __future__ import annotations

import argparse
from datetime import date
from typing import Any

from platform_assets import vocabulary
from platform_assets.command_line.products import find_product
from platform_assets.environments import environment
from platform_assets.errors import Blocked
from platform_assets.evidence.evidence import Verdict
from platform_assets.stores import Stores


def add_parser(commands: Any) -> None:
    """Add the subcommand."""
    parser = commands.add_parser("waive", help="record an owner's waiver for a red raw day")
    parser.add_argument("--product", default=None)
    parser.add_argument("--day", required=True, help="YYYY-MM-DD")
    parser.add_argument("--owner", required=True, help="one of the source's owners")
    parser.add_argument("--reason", required=True)
    parser.add_argument("--expires", required=True, type=date.fromisoformat, help="YYYY-MM-DD")
    parser.set_defaults(function=waive)


def waive(arguments: argparse.Namespace) -> int:
    """Record a waiver bound to the day's present contract evidence."""
    from platform_assets.evidence.waiver import record_waiver

    stores = Stores.at(environment().home)
    product, repository, _ = find_product(arguments.product)
    source = repository.source(product.source)
    if arguments.owner not in source.owners:
        raise Blocked(
            f"{arguments.owner!r} does not own source {source.name}; owners: {', '.join(source.owners)}"
        )
    evidence = stores.evidence.latest("contract", vocabulary.raw_table(source.name), arguments.day)
    if evidence is None or evidence.verdict is Verdict.PASSED:
        raise Blocked(f"raw day {arguments.day} of {source.name} has no red contract verdict to waive")
    entry = record_waiver(
        stores.ledger,
        evidence,
        owner=arguments.owner,
        reason=arguments.reason,
        expires=arguments.expires.isoformat(),
    )
    print(f"waived {arguments.day} of {source.name} until {arguments.expires}: ledger entry {entry.sequence}")
    return 0
