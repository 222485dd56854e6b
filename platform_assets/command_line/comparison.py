"""`platform-assets compare`: two registered versions side by side."""

from __future__ import annotations

import argparse
import dataclasses
import json
from typing import Any

from platform_assets.command_line.products import add_product, find_product
from platform_assets.environments import environment
from platform_assets.stores import Stores


def add_parser(commands: Any) -> None:
    """Add the subcommand."""
    parser = commands.add_parser("compare", help="two registered versions on rows neither was trained on")
    parser.add_argument("first", help="number of a registered version")
    parser.add_argument("second", help="number of another one")
    add_product(parser)
    parser.add_argument("--json", action="store_true", help="for a program")
    parser.set_defaults(function=show)


def show(arguments: argparse.Namespace) -> int:
    """Print what tells them apart, and write the page; 1 when no figure could be measured."""
    from platform_assets.lake.atomic_files import write_atomically
    from platform_assets.registry.comparison_page import comparison_page, figures, verdict
    from platform_assets.registry.version_comparison import compare_versions

    product, repository, _ = find_product(arguments.product)
    home = environment().home
    found = compare_versions(Stores.at(home), repository, product, arguments.first, arguments.second)
    page = home.reports / product.name / f"compare_{found.first}_{found.second}.html"
    write_atomically(page, comparison_page(found).encode())
    if arguments.json:
        print(json.dumps(dataclasses.asdict(found), indent=1))
        return 1 if found.unknown else 0
    print(verdict(found))
    for name, first, second, difference in figures(found):
        print(f"  {name:<20} {first} -> {second}  {difference}".rstrip())
    for name, first_setting, second_setting in found.settings:
        print(f"  {name}: {first_setting} -> {second_setting}")
    print(page)
    return 1 if found.unknown else 0
