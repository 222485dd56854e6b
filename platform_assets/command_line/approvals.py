"""`platform-assets approve`: a person says yes to a version on the evidence of its last decision."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime, timedelta
from typing import Any

from platform_assets.command_line.products import add_product, find_product
from platform_assets.environments import environment
from platform_assets.stores import Stores

DAYS = 7


def add_parser(commands: Any) -> None:
    """Add the subcommand."""
    parser = commands.add_parser("approve", help="approve a version that waits for it")
    add_product(parser)
    parser.add_argument("--version", required=True, help="a version that was refused for want of it")
    parser.add_argument("--by", required=True, help="your e-mail address, one of the gate's approvers")
    parser.add_argument("--reason", required=True, help="why, so that others can judge; kept in the ledger")
    parser.add_argument(
        "--expires", default="", help=f"YYYY-MM-DD, the last day it holds; default: {DAYS} days from now"
    )
    parser.set_defaults(function=approve)


def approve(arguments: argparse.Namespace) -> int:
    """Record an approval; the next materialization of the promotion decides with it."""
    from platform_assets.registry.approval import record_approval

    product, _, _ = find_product(arguments.product)
    expires = arguments.expires or (datetime.now(UTC).date() + timedelta(days=DAYS)).isoformat()
    entry = record_approval(
        Stores.at(environment().home).ledger,
        product,
        arguments.version,
        arguments.by,
        arguments.reason,
        expires,
    )
    print(
        f"{entry.actor} approved version {arguments.version} of {product.name} on evidence "
        f"{entry.body['evidence']} until {expires}: ledger entry {entry.sequence}. "
        f"Materialize {product.name}/promotion, or run again"
    )
    return 0
