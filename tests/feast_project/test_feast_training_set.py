"""Training sets of a Feast repository: judged by a plain loop, and each frame that cannot be joined."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from driver_world import END, hourly_rows, order_rows
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rides_project import HOURLY, Rides

from platform_assets.declaration.feast_project import TrainingSet
from platform_assets.errors import Blocked, DeclarationError, SourceError, UnknownName
from platform_assets.feast_project.training_set import (
    build_training_set,
    feature_references,
    join_features,
    null_counts,
)

RANKING = TrainingSet(name="ranking", entities="data/orders.parquet", feature_service="ranking_v1")
Change = Callable[[pa.Table], pa.Table]


def by_a_plain_loop(frame: list[dict[str, Any]], rows: list[dict[str, Any]]) -> list[tuple[Any, Any, int]]:
    """What each order must get: newest row within a day, the one created last among equal times."""
    made = []
    for order in frame:
        within = [
            row
            for row in rows
            if row["driver_id"] == order["driver_id"]
            and order["event_timestamp"] - timedelta(days=1)
            <= row["event_timestamp"]
            <= order["event_timestamp"]
        ]
        best = max(within, key=lambda row: (row["event_timestamp"], row["created"]), default=None)
        trips = best["avg_daily_trips"] if best else None
        made.append((best["conv_rate"] if best else None, trips, (trips or 0) + order["bonus"]))
    return made


def values(rows: pa.Table) -> list[tuple[Any, Any, int]]:
    names = ("conv_rate", "avg_daily_trips", "trips_with_bonus")
    return list(zip(*(rows.column(name).to_pylist() for name in names), strict=True))


def test_every_row_gets_what_a_plain_loop_finds(rides: Rides) -> None:
    opened = rides.opened()
    manifest = build_training_set(opened, RANKING, cause="test")
    rows = opened.stores.lake.table(manifest.table).read(["all"])
    frame = order_rows()
    assert rows.column("order_id").to_pylist() == frame.column("order_id").to_pylist()
    assert values(rows) == by_a_plain_loop(frame.to_pylist(), hourly_rows().to_pylist())
    assert [n["nulls"] > 0 for n in null_counts(rows, ["conv_rate", "trips_with_bonus"])] == [True, False]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.integers(1000, 1013), st.integers(-60 * 24 * 5, 60 * 24), st.integers(0, 3)),
        min_size=1,
        max_size=12,
    )
)
def test_any_frame_is_joined_row_for_row(rides: Rides, orders: list[tuple[int, int, int]]) -> None:
    frame = pa.table(
        {
            "driver_id": pa.array([driver for driver, _, _ in orders], pa.int64()),
            "event_timestamp": pa.array(
                [END + timedelta(minutes=minute) for _, minute, _ in orders], pa.timestamp("us", tz="UTC")
            ),
            "bonus": pa.array([bonus for _, _, bonus in orders], pa.int64()),
        }
    )
    joined = join_features(rides.opened(), RANKING, frame)
    assert values(joined) == by_a_plain_loop(frame.to_pylist(), hourly_rows().to_pylist())


def test_a_frame_of_lists_and_nanoseconds_is_joined(rides: Rides) -> None:
    """Rows are told apart by lists too, and what is finer than a microsecond is cut off."""
    frame = order_rows()
    frame = frame.append_column("tags", pa.array([[n, n + 1] for n in range(frame.num_rows)]))
    fine = [time.value + 1 for time in frame.column("event_timestamp").to_pandas()]
    pq.write_table(
        replaced("event_timestamp", lambda _: pa.array(fine, pa.timestamp("ns", tz="UTC")))(frame),
        rides.world.orders,
    )
    opened = rides.opened()
    manifest = build_training_set(opened, RANKING, cause="test")
    rows = opened.stores.lake.table(manifest.table).read(["all"])
    assert values(rows) == by_a_plain_loop(order_rows().to_pylist(), hourly_rows().to_pylist())
    assert rows.column("tags").to_pylist() == frame.column("tags").to_pylist()


def test_building_again_is_the_same_version(rides: Rides) -> None:
    made = [build_training_set(rides.opened(), RANKING, cause="test") for _ in range(2)]
    assert [(m.sequence, m.digest) for m in made] == [(1, made[0].digest)] * 2


def test_feasts_own_default_store_loses_rows_and_is_told(rides: Rides) -> None:
    """Its TTL filter drops an order whose driver has no row within a day, labels and all."""
    with pytest.raises(
        Blocked, match=r"offline store dask .* rows came back for 40; its join loses or repeats"
    ):
        build_training_set(rides.opened(offline_store="own"), RANKING, cause="test")
    assert rides.stores.lake.tables() == []


def replaced(name: str, column: Callable[[pa.ChunkedArray], pa.Array]) -> Change:
    def change(rows: pa.Table) -> pa.Table:
        return rows.set_column(rows.column_names.index(name), name, column(rows.column(name)))

    return change


def first_null(column: pa.ChunkedArray) -> pa.Array:
    return pa.array([None, *column.to_pylist()[1:]], column.type)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (replaced("driver_id", first_null), "1 of 40 rows have no 'driver_id'"),
        (replaced("event_timestamp", first_null), "1 of 40 rows have no 'event_timestamp'"),
        (replaced("bonus", first_null), "1 of 40 rows have no 'bonus'"),
        (lambda rows: rows.drop_columns(["bonus"]), "no column 'bonus'"),
        (lambda rows: rows.rename_columns([{"driver_id": "driver"}.get(n, n) for n in rows.column_names]),
         "no column 'driver_id'; did you mean 'driver'"),
        (replaced("event_timestamp", lambda c: c.cast(pa.string())), "is string, not a timestamp"),
        (lambda rows: pa.concat_tables([rows, rows.slice(0, 2)]), "2 of 42 rows repeat another"),
        (lambda rows: rows.append_column("_row", rows["bonus"]), "column '_row' is a name of ours"),
        (lambda rows: rows.append_column("conv_rate", rows["bonus"]), "column 'conv_rate' is called like a feature"),
        (lambda rows: rows.slice(0, 0), "the entity frame has no rows"),
    ],
    ids=["null key", "null time", "null request", "no request", "no key", "text time", "copies", "ours", "a feature", "empty"],
)  # fmt: skip
def test_a_frame_that_cannot_be_joined_is_told_and_writes_nothing(
    rides: Rides, change: Change, told: str
) -> None:
    pq.write_table(change(order_rows()), rides.world.orders)
    with pytest.raises(SourceError) as error:
        build_training_set(rides.opened(), RANKING, cause="test")
    assert told in str(error.value)
    assert "orders.parquet" in str(error.value)
    assert rides.stores.lake.tables() == []


def test_a_missing_frame(rides: Rides) -> None:
    rides.world.orders.unlink()
    with pytest.raises(SourceError, match=r"orders\.parquet: the entity frame cannot be read"):
        build_training_set(rides.opened(), RANKING, cause="test")


@pytest.mark.parametrize(
    ("features", "told"),
    [
        (("driver_hourly:city",), "no feature view 'driver_hourly'; did you mean 'driver_hourly_stats'"),
        (("driver_hourly_stats:town",), "no feature of driver_hourly_stats 'town'"),
        (
            ("driver_hourly_stats:conv_rate", "driver_fresh_stats:conv_rate"),
            "two features are called conv_rate",
        ),
    ],
)
def test_features_that_do_not_exist(rides: Rides, features: tuple[str, ...], told: str) -> None:
    declared = TrainingSet(name="other", entities="x.parquet", features=features)
    with pytest.raises((UnknownName, DeclarationError), match=told):
        feature_references(rides.snapshot, declared)


def test_features_one_by_one(rides: Rides) -> None:
    declared = TrainingSet(name="few", entities="data/orders.parquet", features=(f"{HOURLY}:city",))
    manifest = build_training_set(rides.opened(), declared, cause="test")
    assert manifest.schema[-1] == ("city", "string")
