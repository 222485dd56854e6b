"""`platform-assets plan`: what a run would rebuild under the present declarations; nothing is written."""

from __future__ import annotations

import argparse
import json
from typing import Any

from platform_assets.automation.forecast import Forecast, Rebuild
from platform_assets.automation.past_runs import Pace
from platform_assets.automation.plan import unbroken
from platform_assets.command_line.declaration_check import check_declaration
from platform_assets.declaration.product import Product
from platform_assets.environments import environment
from platform_assets.stores import Stores


def add_parser(commands: Any) -> None:
    """Add the subcommand."""
    parser = commands.add_parser("plan", help="what a run would rebuild; writes nothing")
    parser.add_argument("--product", default=None, help="name, or a defs.yaml anywhere; default: card_fraud")
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.set_defaults(function=plan)


def plan(arguments: argparse.Namespace) -> int:
    """Print the forecast; 0 whether there is something to rebuild or not."""
    from platform_assets.automation.forecast import forecast
    from platform_assets.automation.past_runs import paces
    from platform_assets.command_line.products import default_file, find_product, packaged_file

    home = environment().home
    product, repository, file = find_product(
        str(default_file()) if arguments.product is None else arguments.product
    )
    check_declaration(product, repository, file or packaged_file(product.name))
    variables = environment().source_variables(product.source)
    found = forecast(Stores.at(home), repository, product, variables)
    pace = paces(home.dagster, [item.asset for item in found.rebuilds])
    shared = {name: _sharing(name, product.name) for name in product.feature_views}
    if arguments.json:
        print(json.dumps(_plain(product.name, found, pace, shared), indent=2))
    else:
        _print(product, found, pace, shared)
    return 0


def _print(
    product: Product, found: Forecast, pace: dict[tuple[str, ...], Pace], shared: dict[str, list[str]]
) -> None:
    if not found.rebuilds:
        print(f"{product.name}: nothing would be rebuilt")
    else:
        print(f"{product.name}: a run would rebuild")
    total, unknown = 0.0, 0
    for item in found.rebuilds:
        seconds = _seconds(item, pace)
        total, unknown = total + (seconds or 0.0), unknown + (seconds is None)
        days = f"{len(item.days)} days" if item.days else ""
        told = "no estimate" if seconds is None else f"about {seconds:.1f} s"
        sure = "" if item.certain else " (unless values before it come out the same)"
        print(f"  {'/'.join(item.asset):<44} {days:>9}  {told:>13}  {item.reason}{sure}")
        for first, last in unbroken(item.days):
            print(f"      {first}" if first == last else f"      {first} .. {last}")
        others = shared.get(item.asset[-1], []) if item.asset[0] == "features" else []
        if others:
            print(f"      shared with {', '.join(others)}")
    if found.contract is not None:
        print(f"  CONTRACT changed; {found.contract.told}. {_effect(found, product.source)}")
    for line in found.live:
        print(f"  LIVE {line}")
    for what, why in list(found.blocked.items())[:5]:
        print(f"  BLOCKED {what}: {why}")
    if len(found.blocked) > 5:
        print(f"  BLOCKED and {len(found.blocked) - 5} more")
    if found.rebuilds:
        more = f"; {unknown} assets have no past run to estimate from" if unknown else ""
        known = "no estimate" if unknown == len(found.rebuilds) else f"about {total:.1f} s of wall time"
        print(f"  in all {known}{more}")


def _plain(
    product: str, found: Forecast, pace: dict[tuple[str, ...], Pace], shared: dict[str, list[str]]
) -> dict[str, Any]:
    return {
        "product": product,
        "rebuilds": [
            {
                "asset": "/".join(item.asset),
                "days": list(item.days),
                "reason": item.reason,
                "certain": item.certain,
                "seconds": _seconds(item, pace),
                "shared_with": shared.get(item.asset[-1], []) if item.asset[0] == "features" else [],
            }
            for item in found.rebuilds
        ],
        "live": list(found.live),
        "blocked": dict(found.blocked),
        "contract": found.contract
        and {
            "days": list(found.contract.days),
            "fails": dict(found.contract.fails),
            "heals": list(found.contract.heals),
        },
        "contract_accepted": found.accepted,
    }


def _effect(found: Forecast, source: str) -> str:
    """What becomes of a changed contract in the next run."""
    if found.contract is None or not found.contract.fails:
        return "It takes effect with the next run"
    if found.accepted:
        return "It takes effect with the next run, as accepted: what these days reach is not built on then"
    return (
        f"It does not take effect: change it, or accept that: platform-assets contract accept {source} "
        f"--by <you> --reason <why>; `platform-assets contract judge {source}` lists the days"
    )


def _seconds(item: Rebuild, pace: dict[tuple[str, ...], Pace]) -> float | None:
    """Wall seconds by the asset's own past runs; None when there is none."""
    known = pace.get(item.asset)
    return None if known is None else known.for_days(len(item.days))


def _sharing(view: str, product: str) -> list[str]:
    """Other products, packaged or run before, that name a view."""
    from platform_assets.command_line.products import packaged_files
    from platform_assets.components.model_product import read_product

    declared = [read_product(path) for path in (*packaged_files(), *environment().products)]
    return sorted({other.name for other in declared if view in other.feature_views and other.name != product})
