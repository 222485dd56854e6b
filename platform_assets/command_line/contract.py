"""`platform-assets contract`: propose one from stored days, judge it by them, accept it, its history."""

from __future__ import annotations

import argparse
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

from platform_assets.command_line.products import find_product
from platform_assets.command_line.waivers import refuse_stranger
from platform_assets.components.repositories import repository
from platform_assets.declaration.repository import Repository
from platform_assets.environments import environment
from platform_assets.errors import Blocked, DeclarationError, LakeError, UnknownName
from platform_assets.evidence.evidence import Verdict
from platform_assets.evidence.ledger import to_the_second
from platform_assets.stores import Stores
from platform_assets.vocabulary import raw_table


def add_parser(commands: Any) -> None:
    """Add the subcommands."""
    parser = commands.add_parser("contract", help="propose a contract, judge and accept a changed one")
    actions = parser.add_subparsers(dest="action", required=True)
    proposed = actions.add_parser("propose", help="print a suite that the stored days hold; writes nothing")
    judged = actions.add_parser("judge", help="which stored days a suite would fail; changes nothing")
    accepted = actions.add_parser(
        "accept",
        help="answer for the stored days that a changed contract fails, so that it takes effect",
    )
    told = actions.add_parser("history", help="every contract that was in force, since when and why")
    for action in (proposed, judged, accepted, told):
        action.add_argument("source", help="name of a source")
        action.add_argument(
            "--product",
            default=None,
            help="whose own feature repository declares the source; default: the one that the home holds",
        )
    for action in (proposed, judged):
        action.add_argument("--days", type=_days, default=None, help="only the last so many stored days")
    judged.add_argument(
        "--suite", type=Path, default=None, help="a draft to judge in place of the declared suite"
    )
    accepted.add_argument("--by", required=True, help="your e-mail address")
    accepted.add_argument("--owner", default="", help="the source's owner you answer for; default: yourself")
    accepted.add_argument("--reason", required=True, help="why, so that others can judge; kept in the ledger")
    accepted.add_argument(
        "--expires", default=None, help="YYYY-MM-DD, the last day it can take effect; default: in a week"
    )
    told.add_argument("--version", default=None, help="print the suite of this version")
    accepted.set_defaults(function=accept)
    told.set_defaults(function=history)
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
    from platform_assets.raw.declared_contract import declared_contract
    from platform_assets.raw.judgement import judge_contract

    declared = _repository(arguments)
    source = declared.source(arguments.source)
    contract = declared_contract(source, arguments.suite or declared.contract_path(source))
    if contract.suite.problem:
        raise DeclarationError(contract.suite.problem)
    stores = Stores.at(environment().home)
    days = stores.lake.table(raw_table(source.name)).partitions()
    if not days:
        raise LakeError(f"table {raw_table(source.name)}: no day is stored to judge a contract by")
    found = judge_contract(stores, source, contract, days[-arguments.days :] if arguments.days else days)
    red = {day: evidence for day, evidence in found.items() if evidence.verdict is not Verdict.PASSED}
    for day, evidence in red.items():
        print(f"{day}  {evidence.verdict}  {evidence.reason}")
    warned = [day for day, e in found.items() if day not in red and e.reason != "every expectation holds"]
    for day in warned:
        print(f"{day}  warns  {found[day].reason}")
    passed = len(found) - len(red)
    print(f"{source.name}: {passed} of {len(found)} days pass, {len(warned)} of them with warnings")
    return 1 if red else 0


def accept(arguments: argparse.Namespace) -> int:
    """Record that an owner accepts what the changed contract does to stored days."""
    from platform_assets.evidence.standing import today
    from platform_assets.evidence.waiver import record_waiver
    from platform_assets.raw.contract_in_force import contract_standing

    repo = _repository(arguments)
    source = repo.source(arguments.source)
    owner = arguments.owner or arguments.by
    refuse_stranger(source, owner)
    stores = Stores.at(environment().home)
    found = contract_standing(stores, source, repo.contract_path(source))
    if not found.pending:
        raise Blocked(f"the declared contract of {source.name} is in force; there is nothing to accept")
    if found.change is None:
        raise Blocked(
            f"the declared contract of {source.name} was not judged by the stored days as they are; "
            f"`platform-assets run` judges it"
        )
    if found.may_take_effect:
        raise Blocked(f"the declared contract of {source.name} takes effect with the next run as it is")
    expires = arguments.expires or today() + timedelta(days=7)
    entry = record_waiver(stores.ledger, found.change, owner, arguments.reason, expires, by=arguments.by)
    print(
        f"{entry.body['by']} accepted contract {found.declared.version} of {source.name}: ledger entry "
        f"{entry.sequence}; {found.change.reason}. It takes effect with the next run, until "
        f"{entry.body['expires']}"
    )
    return 0


def history(arguments: argparse.Namespace) -> int:
    """Print the contracts that were in force, newest first, or the suite of one of them."""
    from platform_assets.raw.contract_in_force import contracts_in_force

    source = _repository(arguments).source(arguments.source)
    table, kept = contracts_in_force(Stores.at(environment().home), source)
    if not kept:
        raise LakeError(f"table {table.name}: no contract of {source.name} was in force yet; run first")
    if arguments.version is None:
        for manifest in reversed(kept):
            print(f"{to_the_second(manifest.created_at)}  {manifest.notes['version']}  {manifest.cause}")
        return 0
    for manifest in reversed(kept):
        if manifest.notes["version"] == arguments.version:
            print(json.dumps(table.document_of(manifest)["suite"], indent=2, ensure_ascii=False))
            return 0
    raise UnknownName.among(
        f"contract of {source.name}", arguments.version, [manifest.notes["version"] for manifest in kept]
    )


def _repository(arguments: argparse.Namespace) -> Repository:
    shared = repository()
    if arguments.product is None and arguments.source in shared.sources:
        return shared
    return find_product(arguments.product)[1]


def _days(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a number of days, at least 1, not {text!r}")
    return int(text)
