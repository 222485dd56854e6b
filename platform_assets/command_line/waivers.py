"""`platform-assets waive`: a person answers for a red raw day or a failed gate, with reason and end."""

from __future__ import annotations

import argparse
from typing import Any

from platform_assets import vocabulary
from platform_assets.command_line.products import add_product, find_product
from platform_assets.declaration.gate import Waivable
from platform_assets.declaration.product import Product
from platform_assets.declaration.repository import Repository
from platform_assets.declaration.source import Source
from platform_assets.environments import environment
from platform_assets.errors import Blocked, UnknownName
from platform_assets.evidence.evidence import Evidence, Verdict
from platform_assets.stores import Stores


def add_parser(commands: Any) -> None:
    """Add the subcommand."""
    parser = commands.add_parser("waive", help="answer for a red raw day or a failed gate")
    add_product(parser)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--day", help="a red raw day, YYYY-MM-DD")
    what.add_argument("--gate", help="a failed gate, such as floor_roc_auc; with --version")
    parser.add_argument("--version", help="the version whose gate failed")
    parser.add_argument("--by", default="", help="your e-mail address")
    parser.add_argument("--owner", default="", help="the source's owner you answer for; default: yourself")
    parser.add_argument("--reason", required=True, help="why, so that others can judge; kept in the ledger")
    parser.add_argument("--expires", required=True, help="YYYY-MM-DD, the last day it holds")
    parser.set_defaults(function=waive)


def waive(arguments: argparse.Namespace) -> int:
    """Record a waiver bound to the present evidence."""
    from platform_assets.evidence.waiver import record_waiver

    stores = Stores.at(environment().home)
    product, repository, _ = find_product(arguments.product)
    owner = arguments.owner or arguments.by
    if arguments.day:
        evidence = _red_day(stores, repository, product, arguments.day, owner)
        what = f"{arguments.day} of {product.source}"
    else:
        evidence = _failed_gate(stores, product, arguments.gate, arguments.version, arguments.by)
        owner, what = arguments.by, f"gate {arguments.gate} of version {arguments.version}"
    entry = record_waiver(
        stores.ledger, evidence, owner, arguments.reason, arguments.expires, by=arguments.by
    )
    print(
        f"{entry.body['by']} waived {what} until {arguments.expires}: ledger entry {entry.sequence}; "
        f"it covers evidence {evidence.id} and nothing else"
    )
    return 0


def refuse_stranger(source: Source, owner: str) -> None:
    """Raise Blocked for whom the source does not name among its owners."""
    if owner not in source.owners:
        raise Blocked(f"{owner!r} does not own source {source.name}; owners: {', '.join(source.owners)}")


def _red_day(stores: Stores, repository: Repository, product: Product, day: str, owner: str) -> Evidence:
    source = repository.source(product.source)
    refuse_stranger(source, owner)
    evidence = stores.evidence.latest("contract", vocabulary.raw_table(source.name), day)
    if evidence is None or evidence.verdict is Verdict.PASSED:
        raise Blocked(f"raw day {day} of {source.name} has no red contract verdict to waive")
    return evidence


def _failed_gate(stores: Stores, product: Product, key: str, version: str | None, by: str) -> Evidence:
    gate = next((gate for gate in product.gates if gate.key == key), None)
    if gate is None:
        raise UnknownName.among(f"gate of {product.name}", key, [gate.key for gate in product.gates])
    if not isinstance(gate, Waivable) or by not in gate.waivable_by:
        allowed = ", ".join(gate.waivable_by) if isinstance(gate, Waivable) else ""
        allowed = allowed or "nobody (waivable_by is not declared)"
        raise Blocked(f"gate {key} of {product.name} may be waived by {allowed}, not by {by!r}")
    subject = vocabulary.product_table(product.name, "promotion")
    evidence = stores.evidence.latest(f"gate/{key}", subject, version or "")
    if evidence is None:
        known = stores.evidence.partitions(f"gate/{key}", subject)
        raise UnknownName.among(f"decided version of {product.name} (--version)", version or "", known)
    if evidence.verdict is not Verdict.FAILED:
        raise Blocked(
            f"gate {key} of version {version} is {evidence.verdict}: {evidence.reason}; only a failure can "
            f"be waived, what could not be measured has to be measured"
        )
    return evidence
