"""`platform-assets reproduce`: rebuild a registered version and compare."""

from __future__ import annotations

import argparse
from typing import Any

from platform_assets.command_line.dagster_home import prepare
from platform_assets.command_line.products import add_product, find_product
from platform_assets.environments import environment
from platform_assets.stores import Stores


def add_parser(commands: Any) -> None:
    """Add the subcommand."""
    parser = commands.add_parser("reproduce", help="rebuild a registered version from its lineage")
    add_product(parser)
    parser.add_argument("--version", help="registered version; default: the newest", default=None)
    parser.set_defaults(function=reproduce_version)


def reproduce_version(arguments: argparse.Namespace) -> int:
    """0 when predictions are identical, 1 with what differs."""
    from platform_assets.registry.model_versions import candidate_version, lineage
    from platform_assets.training.reproduce import reproduce

    home = environment().home
    prepare(home)
    product, repository, _ = find_product(arguments.product)
    stores = Stores.at(home)
    version = arguments.version or candidate_version(stores, product)
    lineage(stores, product, version)  # tells which versions there are when this one is none of them
    result = reproduce(stores, repository, product, version)
    print(result.summary())
    return 0 if result.identical else 1
