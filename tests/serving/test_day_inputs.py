"""What a model may read of a day: fresh, complete and joined one to one, or nothing."""

from __future__ import annotations

import pyarrow as pa
import pytest
from orders_world import SOURCE, VIEW, OrdersWorld, day, raw_rows

from platform_assets.errors import Blocked
from platform_assets.serving.day_inputs import day_inputs
from platform_assets.vocabulary import feature_table, raw_table

DAYS = [day(number) for number in range(5)]


@pytest.fixture
def world(tmp_path) -> OrdersWorld:
    world = OrdersWorld.at(tmp_path)
    for name in DAYS:
        world.put_raw(name)
    world.build(DAYS)
    return world


def inputs_of(world: OrdersWorld, *days: str):
    return day_inputs(world.stores, SOURCE, [world.view], days)


def test_raw_columns_and_features_of_the_same_rows(world: OrdersWorld) -> None:
    inputs = inputs_of(world, DAYS[4])[DAYS[4]]
    rows = inputs.read(world.stores, SOURCE, [VIEW], ["late_share_2d", "amount", "orders_2d", "order_id"])
    assert rows.column_names == ["order_id", "late_share_2d", "amount", "orders_2d"]
    assert rows.column("amount").equals(raw_rows(DAYS[4]).sort_by("order_id").column("amount"))
    features = world.stores.lake.table(feature_table(VIEW.name)).read([DAYS[4]])
    assert rows.column("late_share_2d").equals(features.column("late_share_2d"))
    assert set(inputs.digests) == {raw_table("orders"), feature_table(VIEW.name)}


def newer_view(world: OrdersWorld) -> None:
    newer = VIEW.model_copy(update={"features": VIEW.features[:1]})
    world.repository.feature_views[VIEW.name] = newer  # type: ignore[index]


def corrected(number: int):
    return lambda world: world.put_raw(DAYS[number], raw_rows(DAYS[number], amount=2))


@pytest.mark.parametrize(
    ("change", "asked", "said"),
    [
        pytest.param(lambda w: None, [day(9)], f"raw/orders {day(9)} is missing", id="no raw day"),
        pytest.param(
            lambda w: w.put_raw(day(5)),
            [day(5)],
            f"feature view shop_activity {day(5)} is missing",
            id="no feature day",
        ),
        pytest.param(corrected(4), [DAYS[4]], f"shop_activity {DAYS[4]} is stale", id="its own day changed"),
        pytest.param(
            corrected(1), [DAYS[4]], f"shop_activity {DAYS[4]} is stale", id="a day in reach changed"
        ),
        pytest.param(newer_view, [DAYS[4]], "declared is v1", id="another declaration"),
        pytest.param(corrected(4), DAYS, f"shop_activity {DAYS[4]} is stale", id="one of many"),
    ],
)
def test_missing_and_stale_days_are_named(world: OrdersWorld, change, asked, said) -> None:
    change(world)
    with pytest.raises(Blocked, match=said):
        inputs_of(world, *asked)


def test_a_change_out_of_reach_does_not_block(world: OrdersWorld) -> None:
    corrected(0)(world)  # delay 1d and window 2d reach three days ahead
    assert list(inputs_of(world, DAYS[4])) == [DAYS[4]]


def test_features_of_other_rows_are_refused(world: OrdersWorld) -> None:
    table = world.stores.lake.table(feature_table(VIEW.name))
    made = table.manifest(DAYS[4])
    assert made is not None
    fewer = table.read([DAYS[4]]).slice(0, 150)
    table.write(
        DAYS[4],
        fewer,
        key=SOURCE.primary_key,
        code_version=made.code_version,
        inputs=made.inputs,
        cause="a fault that left rows out",
    )
    inputs = inputs_of(world, DAYS[4])[DAYS[4]]
    with pytest.raises(Blocked, match="150 rows that are not the 200 rows of raw/orders"):
        inputs.read(world.stores, SOURCE, [VIEW], ["amount", "orders_2d"])


def test_a_product_without_features_reads_raw_alone(world: OrdersWorld) -> None:
    inputs = day_inputs(world.stores, SOURCE, [], [DAYS[0]])[DAYS[0]]
    rows = inputs.read(world.stores, SOURCE, [], ["amount"])
    assert isinstance(rows, pa.Table)
    assert rows.column_names == ["order_id", "amount"]
