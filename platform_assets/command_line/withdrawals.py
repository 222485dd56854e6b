"""`platform-assets withdraw`: a waiver or an approval is taken back by its number in the ledger."""

from __future__ import annotations

import argparse
from typing import Any

from platform_assets.command_line.products import add_product, find_product
from platform_assets.environments import environment
from platform_assets.stores import Stores


def add_parser(commands: Any) -> None:
    """Add the subcommand."""
    parser = commands.add_parser("withdraw", help="take back a waiver or an approval")
    parser.add_argument("entry", type=int, help="its number in the ledger (platform-assets ledger)")
    add_product(parser)
    parser.add_argument("--by", required=True, help="your e-mail address")
    parser.add_argument("--owner", default="", help="the owner you answer for; default: yourself")
    parser.add_argument("--reason", required=True, help="why, so that others can judge; kept in the ledger")
    parser.set_defaults(function=withdraw)


def withdraw(arguments: argparse.Namespace) -> int:
    """Record a withdrawal; the next decision does without what was withdrawn."""
    from platform_assets.evidence.standing import giver, today
    from platform_assets.evidence.withdrawal import record_withdrawal, withdrawable
    from platform_assets.raw.contract_in_force import in_force_by
    from platform_assets.registry.who_may_withdraw import champions_on, product_of, who_may_withdraw

    stores = Stores.at(environment().home)
    ledger = stores.ledger
    named = withdrawable(ledger.entries(), arguments.entry, today(ledger))
    may: set[str] = set()
    if arguments.by.strip() != giver(named):  # who gave it needs no declaration to take it back
        product, repository, _ = find_product(arguments.product or product_of(named))
        may = who_may_withdraw(named, product, repository)
    entry = record_withdrawal(
        ledger, arguments.entry, arguments.by, arguments.reason, owner=arguments.owner, may=may
    )
    print(
        f"{giver(entry)} withdrew {named.kind} {named.sequence} of {giver(named)}: ledger entry "
        f"{entry.sequence}; no decision counts it from now on"
    )
    for product_name, version in champions_on(ledger.entries(), named.sequence).items():
        print(
            f"{product_name}: champion version {version} was promoted on it and stays champion; promote "
            f"another version to replace it"
        )
    source = named.product.removeprefix("raw/")
    if version := in_force_by(stores, source, named.sequence):
        print(
            f"{source}: contract {version} took effect by it and stays in force; declare another contract to "
            f"replace it"
        )
    return 0
