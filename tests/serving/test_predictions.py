"""A day keeps its first result, whatever is promoted or corrected later; and which model was live."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from orders_world import PRODUCT, ROWS, VIEW, OrdersWorld, day, raw_rows

from platform_assets.errors import Blocked, LakeError, PromotionRefused
from platform_assets.registry.champion import Champion
from platform_assets.serving.predictions import _is_retroactive, live_model_at, predict_days
from platform_assets.vocabulary import CHAMPION_ALIAS, feature_table, product_table, raw_table

DAYS = [day(number) for number in range(8)]
SCORED = DAYS[5:7]
PRODUCT_INPUTS = ("amount", "orders_2d", "late_share_2d")


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A home with days, two registered versions and the first of them champion."""
    folder = tmp_path_factory.mktemp("orders")
    world = OrdersWorld.at(folder)
    for name in DAYS:
        world.put_raw(name)
    world.build(DAYS)
    world.crown(world.train(DAYS[:3]))
    world.train(DAYS[1:4], contrary=True)
    return folder


@pytest.fixture
def world(trained: Path, tmp_path: Path) -> OrdersWorld:
    shutil.copytree(trained / "home", tmp_path / "home")
    return OrdersWorld.at(tmp_path)


def predicted(world: OrdersWorld, days=SCORED):
    return predict_days(world.stores, world.repository, world.product, days, cause="test", run_id="r")


def rescored(world: OrdersWorld):
    return world.stores.lake.table(product_table(PRODUCT.name, "predictions_rescored"))


def test_every_row_of_a_day_is_scored_by_the_champion(world: OrdersWorld) -> None:
    made = predicted(world)
    assert [(m.partition, m.rows, m.notes["model_version"]) for m in made] == [(d, ROWS, "1") for d in SCORED]
    rows = world.stores.lake.table(made[0].table).read(SCORED[:1])
    assert rows.column_names == ["order_id", "placed_at", "shop_id", "score"]
    assert rows.column("order_id").equals(raw_rows(SCORED[0]).column("order_id"))
    lake = world.stores.lake
    assert made[0].inputs == {
        raw_table("orders"): lake.table(raw_table("orders")).digests(SCORED[:1]),
        feature_table(VIEW.name): lake.table(feature_table(VIEW.name)).digests(SCORED[:1]),
        product_table(PRODUCT.name, "registered_model"): {"1": made[0].notes["model_digest"]},
    }


def test_the_scores_are_the_models_own(world: OrdersWorld) -> None:
    from platform_assets.training.estimator import fit, score

    def joined(name: str) -> pa.Table:
        columns = world.repository.input_columns(PRODUCT)
        raw = world.stores.lake.table(raw_table("orders")).read([name])
        features = world.stores.lake.table(feature_table(VIEW.name)).read([name])
        both = raw.join(features.select(["order_id", *VIEW.feature_names]), "order_id")
        return both.sort_by("order_id").select([*columns, "late"])

    model = fit(
        PRODUCT.estimator, pa.concat_tables(joined(d) for d in DAYS[:3]), list(PRODUCT_INPUTS), "late"
    )
    expected = score(model, joined(SCORED[0]).select(list(PRODUCT_INPUTS)))
    found = world.stores.lake.table(predicted(world)[0].table).read(SCORED[:1]).column("score").to_numpy()
    assert (found == expected).all()


def test_a_days_digest_does_not_depend_on_the_days_asked_with_it(world: OrdersWorld) -> None:
    alone = predicted(world, [DAYS[6]])[0].digest
    shutil.rmtree(world.stores.lake.table(product_table(PRODUCT.name, "predictions")).folder)
    assert {m.partition: m.digest for m in predicted(world, reversed(DAYS))}[DAYS[6]] == alone


def test_scoring_again_does_nothing_and_a_new_champion_changes_nothing(world: OrdersWorld) -> None:
    first = predicted(world)
    world.crown("2")
    assert predicted(world) == first
    assert not rescored(world).partitions()
    assert predicted(world, DAYS[7:])[0].notes["model_version"] == "2"


def test_a_corrected_day_is_scored_again_by_the_version_that_scored_it_first(world: OrdersWorld) -> None:
    first = predicted(world)
    world.crown("2")
    world.correct(SCORED[0])
    again = predicted(world)
    assert world.stores.lake.table(first[0].table).current(SCORED) == dict(zip(SCORED, first, strict=True))
    assert again[0].table == rescored(world).name
    assert again[0].notes["model_version"] == "1"
    assert again[0].inputs[product_table(PRODUCT.name, "registered_model")].keys() == {"1"}
    same = ROWS - again[0].notes["rows_differing"]
    assert same < 5  # scores of 1.0 stay
    before, after = (
        world.stores.lake.table(made.table).read(SCORED[:1]).column("score").to_numpy()
        for made in (first[0], again[0])
    )
    assert (after >= before).mean() > 0.9  # twice the amount is later; the contrary version would fall
    assert again[0].notes["first_digest"] == first[0].digest
    assert predicted(world) == again
    assert len(rescored(world).history(SCORED[0])) == 1


def test_a_correction_taken_back_gives_the_first_result(world: OrdersWorld) -> None:
    first = predicted(world)
    world.correct(SCORED[1])
    assert predicted(world)[1] != first[1]
    world.correct(SCORED[1], amount=1)
    assert predicted(world) == first


def test_rows_that_came_or_went_are_counted(world: OrdersWorld) -> None:
    predicted(world)
    rows = raw_rows(SCORED[1])
    late = rows.slice(0, 5).set_column(0, "order_id", pa.array(range(900_000, 900_005)))
    world.put_raw(SCORED[1], pa.concat_tables([rows.slice(2), late]))
    world.build(DAYS)
    notes = predicted(world)[1].notes
    assert (notes["rows_added"], notes["rows_removed"]) == (5, 2)
    assert 0 < notes["rows_differing"] <= ROWS - 2


def test_other_feature_views_keep_old_days_and_refuse_new_ones(world: OrdersWorld) -> None:
    first = predicted(world)
    world.repository.feature_views[VIEW.name] = VIEW.model_copy(update={"version": 2})  # type: ignore[index]
    world.correct(SCORED[0])
    assert predicted(world) == first
    with pytest.raises(
        Blocked, match=r"version 1 was trained on other feature views \(shop_activity was v1-"
    ):
        predicted(world, DAYS[7:])


def uncrowned(world: OrdersWorld) -> None:
    shutil.rmtree(world.stores.home.mlflow)
    shutil.rmtree(world.stores.ledger.folder)


def moved_by_hand(world: OrdersWorld) -> None:
    from platform_assets.training.mlflow_store import open_mlflow

    open_mlflow(world.stores).set_registered_model_alias(PRODUCT.name, CHAMPION_ALIAS, "2")


def edited_model(world: OrdersWorld) -> None:
    for path in (world.stores.home.root / "models").glob("*/model.pkl"):
        path.write_bytes(path.read_bytes() + b"\n")


def stale_features(world: OrdersWorld) -> None:
    world.put_raw(SCORED[1], raw_rows(SCORED[1], amount=3))


@pytest.mark.parametrize(
    ("fault", "error", "said"),
    [
        pytest.param(uncrowned, Blocked, "late_orders has no champion.*promote", id="no champion"),
        pytest.param(moved_by_hand, PromotionRefused, "moved by hand", id="alias moved by hand"),
        pytest.param(edited_model, LakeError, "was changed", id="model edited in place"),
        pytest.param(stale_features, Blocked, f"shop_activity {SCORED[1]} is stale", id="stale features"),
    ],
)
def test_nothing_is_scored_when(world: OrdersWorld, fault, error, said) -> None:
    fault(world)
    with pytest.raises(error, match=said):
        predicted(world)
    assert not world.stores.lake.table(product_table(PRODUCT.name, "predictions")).partitions()


def test_the_model_that_was_live(world: OrdersWorld) -> None:
    scored = predicted(world)[0].notes
    world.crown("2")
    live = live_model_at(world.stores, PRODUCT, SCORED[0])
    assert live == {"version": "1", "model_digest": scored["model_digest"], "retroactive": True}
    never = live_model_at(world.stores, PRODUCT, DAYS[7])
    assert (never["version"], never["retroactive"]) == ("2", True)
    assert not live_model_at(world.stores, PRODUCT, datetime.now(UTC).date().isoformat())["retroactive"]


def test_without_champion_nothing_was_live(world: OrdersWorld) -> None:
    uncrowned(world)
    with pytest.raises(Blocked, match="has no champion"):
        live_model_at(world.stores, PRODUCT, DAYS[7])


@pytest.mark.parametrize(
    ("ended", "expected"),
    [
        pytest.param(timedelta(microseconds=-1), True, id="just before"),
        pytest.param(timedelta(0), True, id="at the same moment"),
        pytest.param(timedelta(microseconds=1), False, id="just after"),
    ],
)
def test_retroactive_is_a_day_that_ended_before_its_champion(ended: timedelta, expected: bool) -> None:
    confirmed = datetime(2024, 3, 9, tzinfo=UTC) - ended
    live = Champion("1", "m", "p", "a", confirmed.strftime("%Y-%m-%dT%H:%M:%S.%fZ"), "d")
    assert _is_retroactive("2024-03-08", live) is expected


@pytest.mark.parametrize(
    "estimator",
    [
        {"path": "sklearn.linear_model.LogisticRegression", "calibration": {"fraction": 0.4}},
        {"path": "sklearn.ensemble.IsolationForest", "parameters": {"n_estimators": 20}},
        {"path": "lightgbm.LGBMClassifier", "parameters": {"n_estimators": 5, "verbosity": -1, "n_jobs": 1}},
        {"path": "xgboost.XGBClassifier", "parameters": {"n_estimators": 5}},
    ],
    ids=["calibrated", "outliers", "lightgbm", "xgboost"],
)
def test_days_are_scored_as_the_saved_model_scores_them(tmp_path: Path, estimator) -> None:
    import numpy as np

    from platform_assets.serving.day_inputs import day_inputs
    from platform_assets.training.estimator import score
    from platform_assets.training.model_artifact import load_model

    product = PRODUCT.model_validate({**PRODUCT.model_dump(mode="json"), "estimator": estimator})
    world = replace(OrdersWorld.at(tmp_path), product=product)
    for name in DAYS:
        world.put_raw(name)
    world.build(DAYS)
    version = world.train(DAYS[:3])
    world.crown(version)
    (made,) = predicted(world, SCORED[:1])
    served = world.stores.lake.table(made.table).read(SCORED[:1]).column("score").to_numpy()
    lineage = world.stores.lake.table(product_table(PRODUCT.name, "registered_model"))
    (partition,) = lineage.partitions()
    told = lineage.document(partition)
    model = load_model(world.stores, told["artifact_path"], told["artifact_digest"])
    source = world.repository.source("orders")
    columns = world.repository.input_columns(product)
    rows = day_inputs(world.stores, source, [world.view], SCORED[:1])[SCORED[0]].read(
        world.stores, source, [world.view], ("order_id", *columns)
    )
    rows = rows.sort_by("order_id").select(list(columns))
    assert np.array_equal(served, score(model, rows))
    assert 0 <= served.min() < served.max() <= 1
