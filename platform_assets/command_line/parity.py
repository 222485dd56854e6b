"""`platform-assets parity`: served values against trained ones, view by view, with causes and repair."""

from __future__ import annotations

import argparse
from typing import Any

from platform_assets import vocabulary
from platform_assets.command_line.products import add_product, find_product
from platform_assets.declaration.feature_view import FeatureView
from platform_assets.declaration.repository import Repository
from platform_assets.environments import environment
from platform_assets.errors import Blocked, UnknownName
from platform_assets.evidence.evidence import Evidence, Verdict
from platform_assets.stores import Stores


def add_parser(commands: Any) -> None:
    """Add the subcommand."""
    parser = commands.add_parser("parity", help="served values against trained ones, causes and repair")
    add_product(parser)
    parser.add_argument("--view", default=None, help="a feature view; default: all served online")
    parser.add_argument("--repair", action="store_true", help="carry out the plan, and measure again")
    parser.set_defaults(function=measure)


def measure(arguments: argparse.Namespace) -> int:
    """Measure each view, tell what differs and why; 1 unless every view passes in the end."""
    from platform_assets.parity.repair import carry_out
    from platform_assets.parity.view_parity import view_parity

    stores = Stores.at(environment().home)
    product, repository, _ = find_product(arguments.product)
    passed = True
    for view in _views(repository, product.feature_views, arguments.view):
        evidence = view_parity(stores, repository, view)
        _tell(view, evidence)
        if arguments.repair and evidence.measured.get("repair"):
            bad = _untrusted(stores, repository, view)
            evidence = carry_out(stores, repository, view, evidence, untrusted=bad)
            print(f"  after the repair of {evidence.measured['after']}:")
            _tell(view, evidence)
        elif arguments.repair and evidence.verdict is not Verdict.PASSED:
            print("  nothing here can be repaired: do what the reason says, and measure again")
        elif evidence.measured.get("repair"):
            named = f" --product {arguments.product}" if arguments.product else ""
            print(f"  carry it out: platform-assets parity{named} --view {view.name} --repair")
        passed &= evidence.verdict is Verdict.PASSED
    return 0 if passed else 1


def _views(repository: Repository, names: tuple[str, ...], wanted: str | None) -> list[FeatureView]:
    views = [repository.feature_view(name) for name in names]
    online = {view.name: view for view in views if view.online}
    if wanted is None:
        return list(online.values())
    if wanted not in names:
        raise UnknownName.among("feature view of the product", wanted, names)
    if wanted not in online:
        raise Blocked(f"feature view {wanted!r} is declared online: false; nothing is served from a store")
    return [online[wanted]]


def _untrusted(stores: Stores, repository: Repository, view: FeatureView) -> dict[str, str]:
    from platform_assets.raw.trust import untrusted_days

    source = repository.source(view.source)
    days = stores.lake.table(vocabulary.raw_table(source.name)).partitions()
    return dict(untrusted_days(stores, source, repository.contract_path(source), days))


def _tell(view: FeatureView, evidence: Evidence) -> None:
    print(f"{view.name}: {evidence.verdict}: {evidence.reason} (evidence {evidence.id})")
    for row in evidence.measured.get("features", []):
        if row["mismatch"] + row["missing"] + row["extra"]:
            print(
                f"  {row['feature']:<32} {row['moment']:<13} {row['mismatch']} mismatch, {row['missing']} "
                f"missing, {row['extra']} extra, {row['stale']} stale; off by at most {row['max_error']:.6g}"
            )
    for row in evidence.measured.get("causes", []):
        print(
            f"  cause: {row['cause']} ({row['wrong side']} side is wrong), entities: {row['entities']}, "
            f"values: {row['values']}; {row['told by']}"
        )
    for row in evidence.measured.get("repair", []):
        days = f", days: {row['days']}" if row["days"] else ""
        stays = f"; so that it stays: {row['so that it stays']}" if row["so that it stays"] else ""
        print(f"  repair: {row['do']} of {row['view']}{days}, entities: {row['entities']}{stays}")
