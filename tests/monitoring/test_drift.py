"""The drift report: loud when something moved, loud when nothing could be measured, quiet only otherwise."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from orders_world import PRODUCT, ROWS, VIEW, OrdersWorld, day, raw_rows

from platform_assets.evidence.evidence import Evidence, Verdict
from platform_assets.lake.digest import digest_of_digests
from platform_assets.monitoring.drift import drift_report
from platform_assets.serving.predictions import predict_days
from platform_assets.vocabulary import feature_table, product_table

DAYS = [day(number) for number in range(9)]
TRAIN, CURRENT = DAYS[3:6], DAYS[7:9]


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("orders")
    world = OrdersWorld.at(folder)
    for name in DAYS:
        world.put_raw(name)
    world.build(DAYS)
    world.crown(world.train(TRAIN))
    world.train(TRAIN, contrary=True)
    return folder


@pytest.fixture
def world(trained: Path, tmp_path: Path) -> OrdersWorld:
    shutil.copytree(trained / "home", tmp_path / "home")
    return OrdersWorld.at(tmp_path)


def predicted(world: OrdersWorld, days=CURRENT):
    return predict_days(world.stores, world.repository, world.product, days, cause="test", run_id="r")


def reported(world: OrdersWorld, **drift) -> Evidence:
    monitor = PRODUCT.drift.model_copy(update=drift)
    product = PRODUCT.model_copy(update={"drift": monitor})
    return drift_report(world.stores, world.repository, product, run_id="r")


def references(world: OrdersWorld):
    return world.stores.lake.table(product_table(PRODUCT.name, "drift_reference"))


def test_nothing_moved(world: OrdersWorld) -> None:
    made = predicted(world)
    evidence = reported(world)
    assert evidence.verdict is Verdict.PASSED, evidence.reason
    names = [feature["name"] for feature in evidence.measured["features"]]
    assert names == ["amount", "orders_2d", "late_share_2d", "score"]
    assert {f["rows_reference"] for f in evidence.measured["features"]} == {3 * ROWS}
    assert {f["rows_current"] for f in evidence.measured["features"]} == {2 * ROWS}
    assert evidence.measured["worst"] in names
    assert evidence.versions["model"] == made[0].notes["model_digest"]
    assert evidence.versions["predictions"] == digest_of_digests({m.partition: m.digest for m in made})
    assert world.stores.evidence.latest("drift", product_table(PRODUCT.name, "drift_report")) == evidence


def test_the_training_rows_against_themselves_give_zero(world: OrdersWorld) -> None:
    predicted(world, TRAIN)  # the newest scored days are then the training days
    evidence = reported(world, current_days=3)
    *inputs, score = [feature["psi"] for feature in evidence.measured["features"]]
    assert inputs == [0.0] * 3
    assert score < 1e-3  # a score on an edge may differ in its last bit
    assert evidence.verdict is Verdict.PASSED


def test_amounts_that_moved_are_failed_and_named(world: OrdersWorld) -> None:
    for name in CURRENT:
        world.correct(name, amount=2.7)
    predicted(world)
    evidence = reported(world)
    assert evidence.verdict is Verdict.FAILED
    by_name = {feature["name"]: feature for feature in evidence.measured["features"]}
    assert by_name["amount"]["psi"] > 0.5
    assert by_name["amount"]["verdict"] == "FAILED"
    assert by_name["score"]["verdict"] == "FAILED"
    assert "amount" in evidence.reason


def no_champion(world: OrdersWorld) -> None:
    shutil.rmtree(world.stores.home.mlflow)
    shutil.rmtree(world.stores.ledger.folder)


def no_predictions(world: OrdersWorld) -> None:
    shutil.rmtree(world.stores.lake.table(product_table(PRODUCT.name, "predictions")).folder)


def a_gap(world: OrdersWorld) -> None:
    no_predictions(world)
    predicted(world, [DAYS[8], DAYS[6]])


def stale(world: OrdersWorld) -> None:
    world.put_raw(CURRENT[0], raw_rows(CURRENT[0], amount=2))


def no_features(world: OrdersWorld) -> None:
    shutil.rmtree(world.stores.lake.table(feature_table(VIEW.name)).folder / "manifests" / CURRENT[0])


def infinite(world: OrdersWorld) -> None:
    rows = raw_rows(CURRENT[0])
    amounts = rows.column("amount").to_numpy().copy()
    amounts[:3] = np.inf
    world.put_raw(CURRENT[0], rows.set_column(3, "amount", pa.array(amounts)))
    world.build(DAYS)


def lost_training_set(world: OrdersWorld) -> None:
    shutil.rmtree(world.stores.lake.table(product_table(PRODUCT.name, "training_set")).folder / "data")


def edited_model(world: OrdersWorld) -> None:
    for path in (world.stores.home.root / "models").glob("*/model.pkl"):
        path.write_bytes(path.read_bytes() + b"\n")


def broken_lineage(world: OrdersWorld) -> None:
    for path in world.stores.lake.table(product_table(PRODUCT.name, "registered_model")).folder.rglob(
        "*.json"
    ):
        if "data" in path.parts:
            path.write_text(json.dumps({}))


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        pytest.param(no_champion, "has no champion", id="no champion"),
        pytest.param(no_predictions, "holds no day", id="nothing scored"),
        pytest.param(a_gap, f"lacks 1 of the 2 days.*{CURRENT[0]}", id="a day missing"),
        pytest.param(stale, "is stale", id="stale features"),
        pytest.param(no_features, "is missing", id="features missing"),
        pytest.param(infinite, "amount: holds 3 infinite values", id="infinite values"),
        pytest.param(lost_training_set, "a manifest promises this file", id="training set lost"),
        pytest.param(edited_model, "was changed", id="model edited in place"),
        pytest.param(broken_lineage, "KeyError", id="an error nobody foresaw"),
    ],
)
def test_what_could_not_be_measured_is_unknown(world: OrdersWorld, fault, said: str) -> None:
    predicted(world)
    fault(world)
    evidence = reported(world)
    assert evidence.verdict is Verdict.UNKNOWN
    assert re.search(said, evidence.reason), evidence.reason


@pytest.mark.parametrize(
    ("min_rows", "verdict"),
    [
        pytest.param(2 * ROWS, Verdict.PASSED, id="just enough"),
        pytest.param(2 * ROWS + 1, Verdict.UNKNOWN, id="one row too few"),
    ],
)
def test_too_few_rows_are_unknown(world: OrdersWorld, min_rows: int, verdict: Verdict) -> None:
    predicted(world)
    evidence = reported(world, min_rows=min_rows)
    assert evidence.verdict is verdict, evidence.reason


def test_drift_is_failed_even_if_something_else_is_unknown(world: OrdersWorld) -> None:
    world.correct(CURRENT[1], amount=9)
    predicted(world)
    infinite(world)
    evidence = reported(world)
    assert evidence.verdict is Verdict.FAILED
    assert "not measured: amount" in evidence.reason


def test_the_reference_is_frozen_with_the_model(world: OrdersWorld) -> None:
    predicted(world)
    reported(world)
    (partition,) = references(world).partitions()
    frozen = references(world).manifest(partition)
    world.correct(TRAIN[0], amount=5)
    reported(world)
    assert references(world).history(partition) == [frozen]


def test_a_new_champion_has_its_own_reference_and_scores_days_of_the_old_one(world: OrdersWorld) -> None:
    first = predicted(world)
    before = reported(world)
    world.crown("2")
    after = reported(world)
    assert after.verdict is Verdict.PASSED, after.reason
    assert after.versions["model"] != before.versions["model"]
    (partition,) = references(world).partitions()
    assert [m.notes["model_version"] for m in references(world).history(partition)] == ["1", "2"]
    assert world.stores.lake.table(first[0].table).current(CURRENT) == {m.partition: m for m in first}
