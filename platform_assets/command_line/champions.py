"""`platform-assets champion`: who is champion, or who was at a moment."""

from __future__ import annotations

import argparse
from typing import Any

from platform_assets.command_line.products import find_product
from platform_assets.environments import environment
from platform_assets.stores import Stores


def add_parser(commands: Any) -> None:
    """Add the subcommand."""
    parser = commands.add_parser("champion", help="champion now, or at a moment (ISO 8601, UTC)")
    parser.add_argument("--product", default=None)
    parser.add_argument("--at", default=None, help="2026-01-31T14:05:00Z")
    parser.set_defaults(function=show)


def show(arguments: argparse.Namespace) -> int:
    """Print the champion; 1 when there was none."""
    from platform_assets.lake.lake import utc_now
    from platform_assets.registry.champion import champion_at

    product, _, _ = find_product(arguments.product)
    moment = arguments.at or utc_now()
    found = champion_at(Stores.at(environment().home).ledger, product.name, moment)
    print(f"{product.name} at {moment}: {found or 'no champion'}")
    return 0 if found else 1
