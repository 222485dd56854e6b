"""`platform-assets restore-registry`: MLflow's registry anew, after its database was lost."""

from __future__ import annotations

import argparse
from typing import Any

from platform_assets.command_line.products import add_product, find_product
from platform_assets.environments import environment
from platform_assets.stores import Stores


def add_parser(commands: Any) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "restore-registry", help="register every version anew after MLflow's database was lost"
    )
    add_product(parser)
    parser.add_argument("--by", required=True, help="your e-mail address")
    parser.add_argument("--reason", required=True, help="why, so that others can judge; kept in the ledger")
    parser.set_defaults(function=restore)


def restore(arguments: argparse.Namespace) -> int:
    """Restore versions and alias of one product from lake and ledger."""
    from platform_assets.evidence.waiver import checked_person, checked_reason
    from platform_assets.registry.champion import champion
    from platform_assets.registry.restore import restore_registry

    product, _, _ = find_product(arguments.product)
    stores = Stores.at(environment().home)
    person = checked_person(arguments.by, "restoring a registry")
    versions = restore_registry(
        stores, product.name, person, checked_reason(arguments.reason, "restoring a registry")
    )
    print(f"{product.name}: registered again: {', '.join(versions)}; champion: {champion(stores, product)}")
    return 0
