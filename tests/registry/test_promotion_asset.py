"""Promotion as it is materialized: every declared gate has a check in the web UI, whatever was decided."""

from __future__ import annotations

import dagster as dg
from registry_world import GATES, World

from platform_assets.registry.assets import promotion_asset
from platform_assets.registry.promotion import reinstate
from platform_assets.resources import PlatformResource

KEYS = ["floor_roc_auc", "not_worse_than_champion", "contract", "feature_equality", "leakage", "parity"]


def checks(world: World) -> dict[str, dg.AssetCheckEvaluation]:
    """Materialize the promotion; its checks by gate."""
    result = dg.materialize(
        [promotion_asset(world.repository, world.product)],
        instance=dg.DagsterInstance.ephemeral(),
        resources={"platform": PlatformResource(home=str(world.stores.home.root))},
    )
    assert result.success
    return {c.check_name.removeprefix("gate_"): c for c in result.get_asset_check_evaluations()}


def test_promoted_and_then_asked_again(world: World) -> None:
    first = checks(world)
    assert list(first) == KEYS
    assert all(check.passed for check in first.values())
    again = checks(world)
    assert {name: (c.passed, c.description) for name, c in again.items()} == {
        name: (c.passed, c.description) for name, c in first.items()
    }, "the champion is not decided again: what the gates said stands in the ledger"


def test_a_champion_that_was_reinstated_is_told_by_its_own_promotion(world: World) -> None:
    world.promote()
    world.mlflow().delete_registered_model_alias("payment_fraud", "champion")
    reinstate(world.stores, world.product, "ana@example.com", "taken away by hand")
    assert all(check.passed for check in checks(world).values())


def test_refused_before_any_gate_is_red_at_every_gate(world: World) -> None:
    stricter = world.with_product(gates=({**GATES[0], "at_least": 0.72}, *GATES[1:]))
    found = checks(stricter)
    assert list(found) == KEYS
    for check in found.values():
        assert not check.passed
        assert check.severity is dg.AssetCheckSeverity.ERROR
        assert check.description.startswith("UNKNOWN: not decided: gates changed since training")


def test_a_gate_declared_after_the_promotion_was_not_decided(world: World) -> None:
    world.promote()
    another = {"kind": "floor", "metric": "average_precision", "at_least": 0.1}
    found = checks(world.with_product(gates=(*GATES, another)))
    assert [name for name, check in found.items() if not check.passed] == ["floor_average_precision"]
    assert found["floor_average_precision"].description == "UNKNOWN: not decided: already champion"
