"""`platform-assets why`, `used-by`, `impact`, `ledger`: what an auditor asks."""

from __future__ import annotations

import argparse
import dataclasses
import json
from typing import Any

from platform_assets.command_line.output_paths import output_file
from platform_assets.command_line.products import add_product, find_product
from platform_assets.environments import environment
from platform_assets.errors import UnknownName
from platform_assets.lineage.raw_day import DayUses
from platform_assets.stores import Stores


def add_parser(commands: Any) -> None:
    """Add the subcommands."""
    why = commands.add_parser("why", help="why a version is or is not champion")
    why.add_argument("version", help="number of a version")
    why.set_defaults(function=explain_version)
    for name, function, text in (
        ("used-by", show_uses, "everything that was ever made from a raw day"),
        ("impact", show_impact, "what would have to be made again if a raw day were wrong"),
    ):
        parser = commands.add_parser(name, help=text)
        parser.add_argument("day", help="YYYY-MM-DD")
        parser.add_argument("--digest", help="one version of the day; default: all")
        parser.set_defaults(function=function)
    page = commands.add_parser("ledger", help="the product's ledger, newest first, or as a page")
    page.add_argument("--html", metavar="FILE", help="write the page here")
    page.set_defaults(function=show_ledger)
    for each in (why, commands.choices["used-by"], commands.choices["impact"], page):
        add_product(each)
        each.add_argument("--json", action="store_true", help="for a program")


def explain_version(arguments: argparse.Namespace) -> int:
    """Print the last decision on a version, gate by gate."""
    from platform_assets.registry.timeline import concerns, explain, timeline

    product, _, _ = find_product(arguments.product)
    entries = Stores.at(environment().home).ledger.entries()
    lines = explain(entries, product.name, arguments.version)
    if not lines:
        known = {event.version for event in timeline(entries, product.name) if event.version}
        raise UnknownName.among(f"version of {product.name} in the ledger", arguments.version, known)
    if arguments.json:
        own = [e for e in entries if concerns(e, product.name)]
        named = [
            dataclasses.asdict(e)
            for e in own
            if arguments.version in (e.body.get("to"), e.body.get("version"), e.body.get("partition"))
        ]
        print(json.dumps(named, indent=1))
    else:
        print("\n".join(lines))
    return 0


def show_uses(arguments: argparse.Namespace) -> int:
    """Print all that ever used a raw day."""
    found = _uses(arguments)
    if arguments.json:
        print(json.dumps(dataclasses.asdict(found), indent=1))
        return 0
    print(f"{found.source} {found.day}: {len(found.digests)} version(s) of the day were used in")
    _print_uses(found)
    return 0


def show_impact(arguments: argparse.Namespace) -> int:
    """Print what counts now and stands on a raw day, live models first."""
    found = _uses(arguments).current()
    if arguments.json:
        print(json.dumps(dataclasses.asdict(found), indent=1))
        return 0
    print(f"if {found.source} {found.day} were wrong, these would have to be made again:")
    _print_uses(found)
    return 0


def show_ledger(arguments: argparse.Namespace) -> int:
    """Print the timeline, or write it as a page."""
    from platform_assets.evidence.ledger import to_the_second
    from platform_assets.lake.atomic_files import write_atomically
    from platform_assets.registry.ledger_page import ledger_page
    from platform_assets.registry.timeline import timeline

    product, _, _ = find_product(arguments.product)
    ledger = Stores.at(environment().home).ledger
    events = timeline(ledger.entries(), product.name, product.source)
    if arguments.html is not None:
        path = output_file(arguments.html, "--html")
        write_atomically(path, ledger_page(product.name, events, ledger.head).encode())
        print(path)
    elif arguments.json:
        print(json.dumps([dataclasses.asdict(event) for event in events], indent=1))
    else:
        for event in events:
            what = f"{event.what:<14} {event.version:>3}"
            print(f"{event.sequence:>4} {to_the_second(event.at)} {what} {event.actor}: {event.detail}")
        if not events:
            print(f"{product.name}: nothing was decided yet")
    return 0


def _uses(arguments: argparse.Namespace) -> DayUses:
    from platform_assets.lineage.raw_day import used_by

    product, _, _ = find_product(arguments.product)
    return used_by(Stores.at(environment().home), product.source, arguments.day, digest=arguments.digest)


def _print_uses(found: DayUses) -> None:
    for use in found.versions():
        live = "LIVE, champion" if found.live.get(use.product) == use.version else "registered"
        print(f"  {live:<14} {use.product} version {use.version}, registered {use.created_at[:19]}")
    for name, count in found.counts().items():
        partitions = sorted({u.partition for u in found.uses if name in (u.noun, f"{u.product}/{u.noun}")})
        span = partitions[0] if count == 1 else f"{partitions[0]} ... {partitions[-1]}"
        print(f"  {count:>6} x {name:<40} {span}")
    if not found.uses:
        print("  nothing")
