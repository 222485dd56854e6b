"""Online values of a Feast view: made those of its newest rows, measured against training, and repaired."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from driver_world import DRIVERS, END
from redis_server import redis_server
from rides_project import FRESH, HOURLY, Rides, keys, row

from platform_assets.declaration.feast_project import ProjectParity
from platform_assets.errors import Blocked
from platform_assets.evidence.evidence import Verdict
from platform_assets.feast_project.latest_rows import build_latest
from platform_assets.feast_project.online_rows import blank_online, read_online, write_online
from platform_assets.feast_project.online_state import (
    fill_online,
    marker,
    online_state,
    reconcile_registry,
)
from platform_assets.feast_project.open_project import OpenProject, open_project
from platform_assets.feast_project.view_parity import view_parity

NEWEST = END - timedelta(hours=1)
GONE = 1000 + DRIVERS  # its last row is two days old, the TTL one


def stored(opened: OpenProject, name: str, driver: int) -> dict[str, object]:
    found = read_online(opened, opened.snapshot.view(name), keys(driver))
    return {name: values[0] for name, values in found.values.items()}


def test_every_entity_equals_training(rides: Rides) -> None:
    opened = rides.materialize()
    evidence = view_parity(opened, rides.view())
    assert evidence.verdict is Verdict.PASSED, evidence.reason
    assert (evidence.measured["entities"], evidence.measured["differing"]) == (DRIVERS, 0)
    assert [f["compared"] for f in evidence.measured["features"]] == [DRIVERS] * 4
    assert online_state(opened, rides.view()).as_of == NEWEST


def test_an_entity_older_than_its_ttl_is_served_nothing(rides: Rides) -> None:
    opened = rides.materialize()
    assert set(stored(opened, HOURLY, GONE).values()) == {None}
    assert stored(opened, HOURLY, 1001)["city"] is not None


def test_filling_again_changes_nothing(rides: Rides) -> None:
    opened = rides.materialize()
    before = sorted(dump(rides))
    manifest = fill_online(opened, rides.view(), cause="again")
    assert manifest.sequence == 1
    assert sorted(dump(rides)) == before


def dump(rides: Rides) -> list[tuple]:
    with sqlite3.connect(rides.world.repo / "data" / "online.db") as connection:
        return connection.execute(
            "SELECT entity_key, feature_name, value, event_ts FROM rides_driver_hourly_stats"
        ).fetchall()


def foreign(opened: OpenProject, at: datetime, driver: int = 1001, **values: object) -> None:
    write_online(opened, opened.snapshot.view(HOURLY), row(driver, **values), [at])


def same_row(opened: OpenProject, **values: object) -> None:
    """Another value in the row that is there."""
    present = stored(opened, HOURLY, 1001)
    foreign(opened, NEWEST, **{**present, **values})


def lost(opened: OpenProject) -> None:
    path = opened.repo / "data" / "online.db"
    with sqlite3.connect(path) as connection:
        key = connection.execute("SELECT min(entity_key) FROM rides_driver_hourly_stats").fetchone()
        connection.execute("DELETE FROM rides_driver_hourly_stats WHERE entity_key = ?", key)


def served_beyond_its_ttl(opened: OpenProject) -> None:
    foreign(opened, END - timedelta(days=2, hours=1), GONE)


@pytest.mark.parametrize(
    ("plant", "cause", "kind"),
    [
        (lost, "missed write", "missing"),
        (served_beyond_its_ttl, "TTL", "extra"),
        (lambda o: foreign(o, END - timedelta(hours=9)), "stale", "stale"),
        (lambda o: foreign(o, END + timedelta(hours=9)), "foreign write: stored row is newer", "mismatch"),
        (lambda o: foreign(o, NEWEST, 77), "foreign write: the source does not know", "extra"),
        (lambda o: same_row(o, avg_daily_trips=-1), "foreign write: same row", "mismatch"),
        (lambda o: same_row(o, city=None), "null or default", "missing"),
        (
            lambda o: blank_online(o, o.snapshot.view(HOURLY), keys(1002), NEWEST),
            "null or default",
            "missing",
        ),
    ],
    ids=["lost", "ttl", "stale", "newer", "unknown", "value", "null", "blank"],
)
def test_what_differs_is_found_told_and_repaired(
    rides: Rides, plant: Callable[[OpenProject], None], cause: str, kind: str
) -> None:
    opened = rides.materialize()
    plant(opened)
    evidence = view_parity(opened, rides.view())
    assert evidence.verdict is Verdict.FAILED
    assert evidence.measured["differing"] == 1
    assert [c["cause"].startswith(cause) for c in evidence.measured["causes"]] == [True], evidence.measured
    assert sum(feature[kind] for feature in evidence.measured["features"]) >= 1
    assert cause in evidence.reason
    (plan,) = evidence.measured["repair"]
    assert (plan["asset"], plan["keys"]) == ("rides/online_driver_hourly_stats", 1)
    assert not any(str(driver) in str(evidence.measured["examples"]) for driver in (1001, 1002, GONE))
    fill_online(opened, rides.view(), cause="repair")
    assert view_parity(opened, rides.view()).verdict is Verdict.PASSED


def test_float_width_is_told_when_nothing_is_tolerated(rides: Rides) -> None:
    rides.materialize()
    evidence = view_parity(rides.opened(parity=ProjectParity(tolerance=0)), rides.view())
    assert [c["cause"].split(":")[0] for c in evidence.measured["causes"]] == ["float width"]
    assert {f["feature"]: f["mismatch"] for f in evidence.measured["features"]}["acc_rate"] == 0


def test_a_sample_is_measured_above_the_declared_size(rides: Rides) -> None:
    rides.materialize()
    evidence = view_parity(rides.opened(parity=ProjectParity(entities=5)), rides.view())
    assert evidence.measured["entities"] == 5


def test_late_data_is_not_taken_for_a_difference(rides: Rides) -> None:
    opened = rides.materialize()
    rides.rewrite(lambda rows: rows.slice(1))
    evidence = view_parity(opened, rides.view())
    assert evidence.verdict is Verdict.UNKNOWN
    assert "late data" in evidence.reason
    opened = rides.materialize()
    assert view_parity(opened, rides.view()).verdict is Verdict.PASSED


def test_rows_that_come_late_reach_the_store(rides: Rides) -> None:
    """`feast materialize-incremental` never looks behind its last end."""
    rides.rewrite(lambda rows: rows.filter(pc.not_equal(rows["driver_id"], 1001)))
    rides.materialize()
    late = row(1001, city="Bern").append_column(
        "event_timestamp", pa.array([END - timedelta(hours=5)], pa.timestamp("us", tz="UTC"))
    )
    late = late.append_column("created", late.column("event_timestamp"))
    rides.rewrite(lambda rows: pa.concat_tables([rows, late.select(rows.column_names).cast(rows.schema)]))
    assert stored(rides.materialize(), HOURLY, 1001)["city"] == "Bern"


def test_an_entity_that_left_the_source_is_emptied(rides: Rides) -> None:
    rides.materialize()
    rides.rewrite(lambda rows: rows.filter(pc.not_equal(rows["driver_id"], 1001)))
    opened = rides.materialize()
    assert set(stored(opened, HOURLY, 1001).values()) == {None}
    assert view_parity(opened, rides.view()).verdict is Verdict.PASSED


def test_a_killed_fill_is_seen_and_healed(rides: Rides) -> None:
    opened = rides.materialize()
    marker(opened.stores.home, "rides", HOURLY).parent.mkdir(parents=True, exist_ok=True)
    marker(opened.stores.home, "rides", HOURLY).touch()
    evidence = view_parity(opened, rides.view())
    assert evidence.verdict is Verdict.UNKNOWN
    assert "was killed; materialize rides/online_driver_hourly_stats" in evidence.reason
    fill_online(opened, rides.view(), cause="again")
    assert view_parity(opened, rides.view()).verdict is Verdict.PASSED


def test_a_fill_while_it_is_measured_is_seen(rides: Rides, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two states of a store read as one are neither equal nor different."""
    from platform_assets.feast_project import view_parity as measured

    opened, compared = rides.materialize(), measured.compared_view

    def filled_meanwhile(*arguments: Any) -> Any:
        both = compared(*arguments)
        rides.rewrite(lambda rows: rows.filter(pc.not_equal(rows["driver_id"], 1001)))
        rides.materialize()
        return both

    monkeypatch.setattr(measured, "compared_view", filled_meanwhile)
    evidence = view_parity(opened, rides.view())
    assert (evidence.verdict, "was filled again while" in evidence.reason) == (Verdict.UNKNOWN, True)


def test_pushed_values_stay_and_are_no_difference(rides: Rides) -> None:
    opened = rides.materialize(FRESH)
    pushed = row(1001, conv_rate=0.25).select(["driver_id", "conv_rate", "avg_daily_trips"])
    write_online(opened, rides.view(FRESH), pushed, [END])
    evidence = view_parity(opened, rides.view(FRESH))
    assert (evidence.verdict, evidence.measured["pushed_since"]) == (Verdict.PASSED, 1)
    opened = rides.materialize(FRESH)
    assert stored(opened, FRESH, 1001)["conv_rate"] == pytest.approx(0.25)
    assert view_parity(opened, rides.view(FRESH)).measured["pushed_since"] == 1


def test_nothing_is_measured_before_it_is_materialized(rides: Rides) -> None:
    opened = rides.opened()
    evidence = view_parity(opened, rides.view())
    assert (evidence.verdict, evidence.reason.split(";")[1].strip()) == (
        Verdict.UNKNOWN,
        "materialize rides/online_driver_hourly_stats",
    )
    with pytest.raises(Blocked, match="was not read yet; materialize rides/offline_driver_hourly_stats"):
        fill_online(opened, rides.view(), cause="test")


def test_no_row_up_to_the_moment(rides: Rides) -> None:
    with pytest.raises(Blocked, match=r"no row of source 'driver_hourly' up to 2020.*from 2026-03-04"):
        build_latest(rides.opened(), rides.view(), datetime(2020, 1, 1, tzinfo=UTC), cause="test")


def test_the_registry_follows_and_is_healed(rides: Rides) -> None:
    """A killed `feast materialize` leaves a view that Feast refuses to serve."""
    from feast.feature_view import FeatureViewState

    opened = rides.materialize()
    known = opened.feast_view(HOURLY)
    assert (known.state, known.most_recent_end_time) == (FeatureViewState.AVAILABLE_ONLINE, NEWEST)
    known.state = FeatureViewState.MATERIALIZING
    opened.feast.registry.apply_feature_view(known, "rides", commit=True)
    asked = {"features": [f"{HOURLY}:city"], "entity_rows": [{"driver_id": 1001}]}
    with pytest.raises(ValueError, match="cannot serve"):
        rides.opened().feast.get_online_features(**asked)
    again = rides.opened()
    assert reconcile_registry(again, [rides.view()]) == [HOURLY]
    assert rides.opened().feast.get_online_features(**asked).to_dict()["city"] != [None]
    assert reconcile_registry(rides.opened(), [rides.view()]) == []


def test_a_view_that_was_not_applied_is_told(rides: Rides, tmp_path: Path) -> None:
    opened = rides.opened()
    view = rides.view().__class__(**{**rides.view().__dict__, "ttl": 7.0})
    with pytest.raises(Blocked, match=r"is another one in the registry .*; materialize rides/registry first"):
        build_latest(opened, view, END, cause="test")


def test_two_fills_of_a_view_do_not_mix(rides: Rides) -> None:
    import threading

    rides.materialize()
    opened = [rides.opened(), rides.opened()]
    failed: list[BaseException] = []

    def fill(mine: OpenProject) -> None:
        try:
            fill_online(mine, rides.view(), cause="test")
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=fill, args=[mine]) for mine in opened]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert view_parity(rides.opened(), rides.view()).verdict is Verdict.PASSED


def test_stores_that_are_down(rides: Rides) -> None:
    rides.materialize()
    online = rides.world.repo / "data" / "online.db"
    online.write_bytes(b"this is no database" * 100)
    evidence = view_parity(rides.opened(), rides.view())
    assert evidence.verdict is Verdict.UNKNOWN
    assert "online store sqlite" in evidence.reason
    assert "not a database" in evidence.reason
    with pytest.raises(Blocked, match="not a database"):
        fill_online(rides.opened(), rides.view(), cause="test")


def on_redis(rides: Rides, address: str) -> OpenProject:
    """The same repository with its online store in Redis; its definitions need not be read again."""
    kept = rides.snapshot
    rides.world.change(
        "online_store: {type: sqlite, path: data/online.db}",
        f"online_store: {{type: redis, connection_string: '{address}'}}",
        "feature_store.yaml",
    )
    return open_project(rides.stores, rides.project, rides.world.repo, kept)


@pytest.fixture(scope="module")
def redis_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with redis_server(tmp_path_factory.mktemp("redis")) as url:
        yield url.removeprefix("redis://").removesuffix("/0")


def test_redis_is_filled_corrected_and_measured(rides: Rides, redis_address: str) -> None:
    """Feast's own write skips a corrected row with the same event timestamp."""
    rides.materialize()
    opened = on_redis(rides, redis_address)
    fill_online(opened, opened.snapshot.view(HOURLY), cause="test")
    evidence = view_parity(opened, opened.snapshot.view(HOURLY))
    assert evidence.verdict is Verdict.PASSED, evidence.reason
    corrected = rides.world.hourly
    rows = pq.read_table(corrected)
    cities = rows.column("city").to_pylist()
    pq.write_table(
        rows.set_column(rows.column_names.index("city"), "city", [["Lima"] * len(cities)]), corrected
    )
    build_latest(opened, opened.snapshot.view(HOURLY), NEWEST, cause="test")
    evidence = view_parity(opened, opened.snapshot.view(HOURLY))
    assert evidence.verdict is Verdict.UNKNOWN
    fill_online(opened, opened.snapshot.view(HOURLY), cause="test")
    assert stored(opened, HOURLY, 1001)["city"] == "Lima"
    assert view_parity(opened, opened.snapshot.view(HOURLY)).verdict is Verdict.PASSED


@pytest.mark.slow  # its client tries for seconds
def test_redis_that_is_down(rides: Rides) -> None:
    rides.materialize()
    opened = on_redis(rides, "127.0.0.1:1")
    kept = rides.stores.lake.table("feast/rides/views/driver_hourly_stats")
    with pytest.raises(Blocked, match=r"online store redis .*ConnectionError.*start it, or correct"):
        fill_online(opened, opened.snapshot.view(HOURLY), cause="test")
    assert len(kept.history("latest")) == 1
