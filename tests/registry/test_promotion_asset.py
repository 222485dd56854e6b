"""Promotion as it is materialized: every declared gate has a check in the web UI, whatever was decided."""

from __future__ import annotations

import dagster as dg
import pytest
from pydantic import TypeAdapter
from registry_world import GATES, World

from platform_assets.declaration.gate import Gate
from platform_assets.registry.assets import promotion_asset
from platform_assets.registry.promotion import reinstate
from platform_assets.resources import PlatformResource

KEYS = ["floor_roc_auc", "not_worse_than_champion", "contract", "feature_equality", "leakage", "parity"]


def checks(world: World) -> dict[str, dg.AssetCheckEvaluation]:
    """Materialize the promotion; its checks by gate."""
    # entered: else Dagster looks up its state storage in whichever instance was left open last
    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize(
            [promotion_asset(world.repository, world.product)],
            instance=instance,
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


def test_a_gate_says_what_it_demands_and_shows_its_evidence(world: World) -> None:
    specs = {
        spec.name: spec.description for spec in promotion_asset(world.repository, world.product).check_specs
    }
    assert specs["gate_floor_roc_auc"] == "roc_auc is at least 0.7 on the test days."
    assert specs["gate_not_worse_than_champion"] == (
        "average_precision is not below the champion's by more than 0.02: lower bound at 95% of 60 paired "
        "resamples of card."
    )
    found = checks(world)
    decided = world.stores.ledger.entries("payment_fraud", "intent")[-1].body["gates"]
    shown = found["floor_roc_auc"].metadata["evidence/id"].value
    assert shown in [gate["evidence_id"] for gate in decided if gate["key"] == "floor_roc_auc"]


@pytest.mark.parametrize(
    ("gate", "says"),
    [
        (
            {"kind": "floor", "metric": "roc_auc", "at_least": 0.7, "waivable_by": ["ana@example.com"]},
            "roc_auc is at least 0.7 on the test days. A failure may be waived by ana@example.com.",
        ),
        (
            {"kind": "parity", "requests": 500, "at_most": 0.01},
            "Values served equal training values at the same moment: at most 1% of about 500 requests, and of "
            "each view's entities, may differ.",
        ),
        (
            {"kind": "leakage", "allow": ["habit"]},
            "Nothing changes for 200 rows when source and labels are cut at what was available; no single input "
            "but habit has an average precision above 0.8.",
        ),
        (
            {"kind": "approval", "approvers": ["ana@example.com", "ben@example.com"], "count": 2},
            "2 of ana@example.com, ben@example.com approve this version, on exactly the evidence of the other gates.",
        ),
    ],
    ids=["waivable", "parity", "leakage", "approval"],
)
def test_what_a_gate_demands(gate: dict[str, object], says: str) -> None:
    assert TypeAdapter(Gate).validate_python(gate).demand == says


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
