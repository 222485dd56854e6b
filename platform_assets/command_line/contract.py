"""`platform-assets contract`: propose a contract from stored days, judge one by them."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from platform_assets.command_line.products import find_product
from platform_assets.components.repositories import repository
from platform_assets.declaration.repository import Repository
from platform_assets.environments import environment
from platform_assets.errors import DeclarationError, LakeError
from platform_assets.evidence.evidence import Verdict
from platform_assets.stores import Stores
from platform_assets.vocabulary import raw_table


def add_parser(commands: Any) -> None:
    """Add the subcommands."""
    parser = commands.add_parser("contract", help="propose a contract from stored days, or judge one by them")
    actions = parser.add_subparsers(dest="action", required=True)
    proposed = actions.add_parser("propose", help="print a suite that the stored days hold; writes nothing")
    judged = actions.add_parser("judge", help="which stored days a suite would fail; changes nothing")
    for action in (proposed, judged):
        action.add_argument("source", help="name of a source")
        action.add_argument(
            "--product",
            default=None,
            help="whose own feature repository declares the source; default: the one that the home holds",
        )
        action.add_argument("--days", type=_days, default=None, help="only the last so many stored days")
    judged.add_argument(
        "--suite", type=Path, default=None, help="a draft to judge in place of the declared suite"
    )
    proposed.set_defaults(function=propose)
    judged.set_defaults(function=judge)


def propose(arguments: argparse.Namespace) -> int:
    """Print the proposed suite as JSON, ready for `contracts/`."""
    from platform_assets.raw.proposal import propose_contract

    source = _repository(arguments).source(arguments.source)
    suite = propose_contract(Stores.at(environment().home), source, arguments.days)
    print(json.dumps(suite, indent=2, ensure_ascii=False))
    return 0


def judge(arguments: argparse.Namespace) -> int:
    """Print the days that would not pass; 1 when there is one."""
    from platform_assets.raw.contract import judge_contract
    from platform_assets.raw.suite import read_suite

    declared = _repository(arguments)
    source = declared.source(arguments.source)
    suite = arguments.suite or declared.contract_path(source)
    if problem := read_suite(suite).problem:
        raise DeclarationError(problem)
    stores = Stores.at(environment().home)
    days = stores.lake.table(raw_table(source.name)).partitions()
    if not days:
        raise LakeError(f"table {raw_table(source.name)}: no day is stored to judge a contract by")
    found = judge_contract(stores, source, suite, days[-arguments.days :] if arguments.days else days)
    red = {day: evidence for day, evidence in found.items() if evidence.verdict is not Verdict.PASSED}
    for day, evidence in red.items():
        print(f"{day}  {evidence.verdict}  {evidence.reason}")
    warned = [day for day, e in found.items() if day not in red and e.reason != "every expectation holds"]
    for day in warned:
        print(f"{day}  warns  {found[day].reason}")
    passed = len(found) - len(red)
    print(f"{source.name}: {passed} of {len(found)} days pass, {len(warned)} of them with warnings")
    return 1 if red else 0


def _repository(arguments: argparse.Namespace) -> Repository:
    shared = repository()
    if arguments.product is None and arguments.source in shared.sources:
        return shared
    return find_product(arguments.product)[1]


def _days(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a number of days, at least 1, not {text!r}")
    return int(text)
