"""Served feature vectors, on-demand features too, against those that training takes."""

from __future__ import annotations

from datetime import timedelta

import pyarrow.compute as pc
import pytest
from driver_world import END
from rides_project import HOURLY, Rides, row

from platform_assets.declaration.feast_project import TrainingSet
from platform_assets.evidence.evidence import Verdict
from platform_assets.feast_project.online_rows import write_online
from platform_assets.feast_project.service_parity import service_parity

RANKING = TrainingSet(name="ranking", entities="data/orders.parquet", feature_service="ranking_v1")


def test_requests_are_served_what_training_takes(rides: Rides) -> None:
    evidence = service_parity(rides.materialize(), RANKING)
    assert evidence.verdict is Verdict.PASSED, evidence.reason
    assert {f["feature"] for f in evidence.measured["features"]} == {
        "conv_rate", "avg_daily_trips", "trips_with_bonus",
    }  # fmt: skip
    assert evidence.measured["requests"] > 20


def test_an_on_demand_feature_differs_where_its_input_does(rides: Rides) -> None:
    opened = rides.materialize()
    write_online(opened, rides.view(), row(1004, avg_daily_trips=-1), [END - timedelta(hours=1)])
    evidence = service_parity(opened, RANKING)
    assert evidence.verdict is Verdict.FAILED
    found = {f["feature"]: f["mismatch"] for f in evidence.measured["features"]}
    assert found["trips_with_bonus"] == found["avg_daily_trips"] > 0


def test_requests_of_pushed_entities_are_left_out(rides: Rides) -> None:
    declared = TrainingSet(
        name="fresh", entities="data/orders.parquet", features=("driver_fresh_stats:avg_daily_trips",)
    )
    opened = rides.materialize("driver_fresh_stats")
    asked = service_parity(opened, declared).measured["requests"]
    pushed = row(1004, avg_daily_trips=-1).select(["driver_id", "conv_rate", "avg_daily_trips"])
    write_online(opened, rides.view("driver_fresh_stats"), pushed, [END])
    evidence = service_parity(opened, declared)
    assert evidence.verdict is Verdict.PASSED, evidence.reason
    assert (evidence.measured["requests"], evidence.measured["pushed_since"]) == (asked - 1, 1)


@pytest.mark.parametrize("features", [(f"{HOURLY}:city", "driver_fresh_stats:avg_daily_trips")])
def test_views_of_different_moments_are_not_compared(rides: Rides, features: tuple[str, ...]) -> None:
    declared = TrainingSet(name="two", entities="data/orders.parquet", features=features)
    opened = rides.materialize()
    assert "nothing was materialized" in service_parity(opened, declared).reason
    rides.materialize("driver_fresh_stats")
    assert service_parity(rides.opened(), declared).verdict is Verdict.PASSED
    rides.rewrite(lambda rows: rows.filter(pc.less(rows["event_timestamp"], END - timedelta(hours=3))))
    assert "late data" in service_parity(rides.opened(), declared).reason
    rides.materialize("driver_fresh_stats")
    evidence = service_parity(rides.opened(), declared)
    assert (evidence.verdict, "different moments" in evidence.reason) == (Verdict.UNKNOWN, True)
