"""`platform-assets collect-garbage`: what old versions take, and removing those that nothing needs."""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections import defaultdict
from typing import Any

from platform_assets.environments import environment
from platform_assets.stores import Stores


def add_parser(commands: Any) -> None:
    """Add the subcommand."""
    from platform_assets.lineage.garbage import KEEP_DAYS

    parser = commands.add_parser("collect-garbage", help="what old versions take; --delete removes them")
    parser.add_argument(
        "--keep-days",
        type=int,
        default=KEEP_DAYS,
        help=f"versions younger than this stay; default {KEEP_DAYS}",
    )
    parser.add_argument("--delete", action="store_true", help="remove; without it nothing is touched")
    parser.add_argument("--by", help="your e-mail address; needed with --delete")
    parser.add_argument("--json", action="store_true", help="for a program")
    parser.set_defaults(function=collect)


def collect(arguments: argparse.Namespace) -> int:
    """Tell what could go, or remove it and say so in the ledger."""
    from platform_assets.command_line.run_lock import only_run
    from platform_assets.evidence.waiver import checked_person
    from platform_assets.lineage.garbage import garbage, remove

    home = environment().home
    stores = Stores.at(home)
    if not arguments.delete:
        found = garbage(stores, keep_days=arguments.keep_days)
        if arguments.json:
            print(json.dumps([{**dataclasses.asdict(f), "path": str(f.path)} for f in found], indent=1))
            return 0
        _print(found, "could go")
        if found:
            print("nothing was touched; --delete --by <your address> removes them")
        return 0
    person = checked_person(arguments.by or "", "removing data")
    with only_run(home):
        found = garbage(stores, keep_days=arguments.keep_days)
        if found:
            # before the files go: a record of what may be missing, not a promise
            stores.ledger.append("garbage", "*", person, _by_table(found, arguments.keep_days))
        freed = remove(found)
    _print(found, "removed")
    print(f"{freed / 2**20:,.1f} MiB freed; manifests, evidence and ledger are as they were")
    return 0


def _by_table(found: list[Any], keep_days: int) -> dict[str, Any]:
    counts: dict[str, dict[str, int]] = defaultdict(lambda: {"files": 0, "bytes": 0})
    for item in found:
        counts[item.table]["files"] += 1
        counts[item.table]["bytes"] += item.size_bytes
    return {"keep_days": keep_days, "tables": dict(sorted(counts.items()))}


def _print(found: list[Any], verb: str) -> None:
    for table, counted in _by_table(found, 0)["tables"].items():
        print(f"{counted['files']:>6} {verb:<9} {counted['bytes'] / 2**20:>10,.1f} MiB  {table}")
    if not found:
        print("every file is needed")
