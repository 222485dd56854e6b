"""Reach: a change of a raw day changes feature rows in no other day, and the edges are really reached."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from platform_assets.declaration.feature_view import Entity, Feature, FeatureView
from platform_assets.declaration.source import Column, Source
from platform_assets.errors import Blocked
from platform_assets.features.compute import build_feature_days, expected_inputs
from platform_assets.features.reach import feature_days, ranges, raw_days
from platform_assets.features.window_sql import view_sql
from platform_assets.home import Home
from platform_assets.lake.manifest import Manifest
from platform_assets.stores import Stores
from platform_assets.vocabulary import feature_table, raw_table

START = date(2020, 1, 1)
SOURCE = Source(
    name="events",
    owners=("team:x",),
    location="x",
    start=START,
    columns=(
        Column(name="id", type="int64"),
        Column(name="at", type="timestamp"),
        Column(name="who", type="int64"),
        Column(name="cents", type="float64", scale=2),
    ),
    primary_key=("id",),
    event_timestamp="at",
    contract="x.json",
)
WHO = Entity(name="who", join_key="who")


def view_of(*windows: tuple[str, Any], function: str = "sum") -> FeatureView:
    features: list[dict[str, Any]] = [
        {"name": f"f{i}", "function": function, "column": "cents", "window": w, "delay": d}
        for i, (w, d) in enumerate(windows)
    ]
    features.append({"name": "night", "function": "hour_at_most", "hour": 6})
    return FeatureView(
        name="v", owners=("team:x",), source="events", entity="who", features=[Feature(**f) for f in features]
    )


def day(number: int) -> str:
    return (START + timedelta(days=number)).isoformat()


def days(*numbers: int) -> set[str]:
    return {day(number) for number in numbers}


# view, then the feature days that raw day 50 reaches
REACHES: dict[str, tuple[FeatureView, set[str]]] = {
    "no window": (view_of(), days(50)),
    "30 days": (view_of(("30d", 0)), days(*range(50, 81))),
    "30 days, 7 days late: two ranges": (view_of(("30d", "7d")), days(50, *range(57, 88))),
    "union over windows": (view_of(("1d", "7d"), ("1d", 0)), days(50, 51, 57, 58)),
    "half a day": (view_of(("12h", 0)), days(50, 51)),
    "half a day, half a day late": (view_of(("12h", "12h")), days(50, 51)),
    "one hour, 36 hours late": (view_of(("1h", "36h")), days(50, 51, 52)),
    "one second": (view_of(("1s", 0)), days(50, 51)),
}


@pytest.mark.parametrize(("view", "reached"), REACHES.values(), ids=REACHES.keys())
def test_reach_of_one_day(view: FeatureView, reached: set[str]) -> None:
    assert feature_days([day(50)], view, start=START) == reached


def test_ranges() -> None:
    view = view_of(("30d", "7d"))
    assert ranges(feature_days([day(0)], view, start=START)) == [
        ("2020-01-01", "2020-01-01"),
        ("2020-01-08", "2020-02-07"),
    ]
    assert ranges([]) == []


def test_nothing_before_the_start() -> None:
    view = view_of(("30d", 0))
    assert raw_days([day(2)], view, start=START) == days(0, 1, 2)
    assert feature_days([day(-1)], view, start=START) == set()


lengths = st.integers(1, 60).map(lambda hours: f"{hours}h")
delays = st.integers(0, 60).map(lambda hours: f"{hours}h")
windows = st.lists(st.tuples(lengths, delays), max_size=3)


@settings(max_examples=100, deadline=None)
@given(windows=windows, number=st.integers(0, 40), other=st.integers(0, 40))
def test_raw_days_is_the_inverse(windows: list[Any], number: int, other: int) -> None:
    view = view_of(*windows)
    forwards = day(other) in feature_days([day(number)], view, start=START)
    backwards = day(number) in raw_days([day(other)], view, start=START)
    assert forwards == backwards


HOUR = 3_600_000_000
LAST_DAY = 12
# midnight to the microsecond, and one before it, are where a reach goes wrong
moment_in_day = st.sampled_from([0, 24 * HOUR - 1, 12 * HOUR]) | st.integers(0, 24 * HOUR - 1)
events = st.lists(
    st.tuples(st.integers(0, LAST_DAY), moment_in_day, st.integers(1, 2), st.integers(1, 999)),
    min_size=1,
    max_size=25,
)


def table(rows: list[tuple[int, int, int, int]], first_id: int = 0) -> pa.Table:
    """Raw rows from (day, microsecond in the day, who, cents)."""
    began = datetime(2020, 1, 1, tzinfo=UTC).replace(tzinfo=None)
    moments = pa.array([began + timedelta(days=r[0], microseconds=r[1]) for r in rows], pa.timestamp("us"))
    return pa.table(
        {
            "id": pa.array(range(first_id, first_id + len(rows)), pa.int64()),
            "at": moments,
            "who": pa.array([r[2] for r in rows], pa.int64()),
            "cents": pa.array([r[3] / 100 for r in rows], pa.float64()),
            "_available_at": moments,
        }
    )


def rows_by_day(view: FeatureView, raw: pa.Table) -> dict[str, set[tuple[Any, ...]]]:
    with duckdb.connect() as connection:
        connection.register("raw_in", raw)
        rows = connection.sql(view_sql(SOURCE, WHO, view, relation="raw_in")).fetchall()
    found: dict[str, set[tuple[Any, ...]]] = {}
    for row in rows:
        found.setdefault(row[2].date().isoformat(), set()).add(row)
    return found


def days_changed(view: FeatureView, before: pa.Table, after: pa.Table) -> set[str]:
    first, second = rows_by_day(view, before), rows_by_day(view, after)
    return {name for name in first.keys() | second.keys() if first.get(name) != second.get(name)}


@settings(max_examples=80, deadline=None)
@given(
    windows=st.lists(st.tuples(lengths, delays), min_size=1, max_size=2),
    rows=events,
    changed=st.integers(0, LAST_DAY),
    new=st.lists(st.tuples(moment_in_day, st.integers(1, 2), st.integers(1, 999)), max_size=4),
    kept=st.sets(st.integers(0, 24)),
)
def test_a_change_stays_in_its_reach(
    windows: list[Any], rows: list[Any], changed: int, new: list[Any], kept: set[int]
) -> None:
    """Rows of one raw day are added, deleted and modified; feature rows of days out of reach are the same."""
    view = view_of(*windows)
    before = table(rows)
    stays = [n for n, row in enumerate(rows) if row[0] != changed or n in kept]
    added = table([(changed, *row) for row in new], first_id=1000)
    after = pa.concat_tables([before.take(pa.array(stays, pa.int64())), added])
    assert days_changed(view, before, after) <= feature_days([day(changed)], view, start=START)


@pytest.mark.parametrize("delay", [0, 1, 2, 7])
@pytest.mark.parametrize("width", [1, 2, 5])
def test_reach_is_no_wider_than_needed(width: int, delay: int) -> None:
    """For whole days every day of the reach is changed by some change of the raw day."""
    view = view_of((f"{width}d", f"{delay}d"))
    probes = [(n, at, 1, 100) for n in range(0, 20) for at in (0, 12 * HOUR, 24 * HOUR - 2)]
    changed: set[str] = set()
    before = table(probes)
    for at in (0, 12 * HOUR, 24 * HOUR - 1):
        after = pa.concat_tables([before, table([(3, at, 1, 777)], first_id=1000)])
        changed |= days_changed(view, before, after)
    assert changed == feature_days([day(3)], view, start=START)


# ---- the lake


def write_raw(stores: Stores, number: int, rows: list[tuple[int, int, int]]) -> Manifest:
    part = table([(number, *row) for row in rows], first_id=number * 100)
    return stores.lake.table(raw_table("events")).write(
        day(number), part, key=["id"], code_version="1", inputs={}, cause="test"
    )


@pytest.fixture
def stores(tmp_path: Path) -> Stores:
    stores = Stores.at(Home.at(tmp_path))
    for number in range(15):
        write_raw(stores, number, [(0, 1, 100 + number), (12 * HOUR, 1, 200), (24 * HOUR - 1, 2, 300)])
    return stores


VIEW = view_of(("2d", "3d"))
ALL = [day(number) for number in range(15)]


def build(stores: Stores, wanted: list[str], untrusted: dict[str, str] | None = None) -> list[Manifest]:
    return build_feature_days(stores, SOURCE, WHO, VIEW, wanted, untrusted=untrusted or {}, cause="test")


def manifests(stores: Stores) -> dict[str, tuple[int, str]]:
    current = stores.lake.table(feature_table("v")).current()
    return {name: (manifest.sequence, manifest.digest) for name, manifest in current.items()}


def test_a_backfill_leaves_every_other_day_alone(stores: Stores) -> None:
    build(stores, ALL)
    before = manifests(stores)
    write_raw(stores, 5, [(0, 1, 999), (24 * HOUR - 1, 1, 998)])
    reached = feature_days([day(5)], VIEW, start=START)
    build(stores, sorted(reached))
    after = manifests(stores)
    assert {name for name in ALL if before[name] != after[name]} == reached == days(5, 8, 9, 10)
    fresh = [m.digest for m in build(Stores.at(Home.at(stores.home.root)), ALL)]
    assert [after[name][1] for name in ALL] == fresh


def test_a_changed_day_makes_exactly_its_reach_stale(stores: Stores) -> None:
    build(stores, ALL)
    features = stores.lake.table(feature_table("v"))
    write_raw(stores, 5, [(0, 1, 999)])
    stale = {
        name
        for name, manifest in features.current().items()
        if not manifest.is_made_from(VIEW.code_version, expected_inputs(stores, SOURCE, VIEW, name) or {})
    }
    assert stale == feature_days([day(5)], VIEW, start=START)


def test_building_again_writes_nothing(stores: Stores) -> None:
    first = build(stores, ALL)
    assert build(stores, list(reversed(ALL))) == list(reversed(first))
    assert all(sequence == 1 for sequence, _ in manifests(stores).values())


def test_one_by_one_equals_all_at_once(stores: Stores, tmp_path: Path) -> None:
    at_once = [m.digest for m in build(stores, ALL)]
    stores.lake.table(feature_table("v")).folder.rename(tmp_path / "aside")
    assert [build(stores, [name])[0].digest for name in ALL] == at_once


def test_a_lost_file_is_built_again(stores: Stores) -> None:
    manifest = build(stores, [day(6)])[0]
    path = stores.lake.table(feature_table("v")).path(manifest)
    path.unlink()
    assert build(stores, [day(6)])[0].digest == manifest.digest
    assert path.exists()


def test_a_day_without_rows_has_an_empty_partition(stores: Stores) -> None:
    write_raw(stores, 7, [])
    manifest = build(stores, [day(6), day(7)])[1]
    assert (manifest.rows, [name for name, _ in manifest.schema][-1]) == (0, "night")


def test_manifest_names_every_raw_day_in_reach(stores: Stores) -> None:
    manifest = build(stores, [day(10)])[0]
    assert set(manifest.inputs[raw_table("events")]) == days(5, 6, 7, 10)
    assert manifest.code_version == VIEW.code_version


@pytest.mark.parametrize(
    ("untrusted", "remove", "asked", "says"),
    [
        ({day(5): "contract failed: amount"}, None, ALL, rf"{day(5)}: contract failed: amount; blocks"),
        ({}, 5, ALL, rf"{day(5)}: missing"),
        ({day(5): "contract failed"}, None, [day(10)], rf"blocks feature days {day(10)}"),
        ({day(5): "x"}, None, [day(5), day(9)], "1 raw days of source 'events'"),
    ],
    ids=["untrusted", "missing", "through the window", "two feature days"],
)
def test_blocked_days_block_everything(
    stores: Stores, untrusted: dict[str, str], remove: int | None, asked: list[str], says: str
) -> None:
    if remove is not None:
        (stores.lake.table(raw_table("events")).folder / "manifests" / day(remove) / "current").unlink()
    with pytest.raises(Blocked, match=says):
        build(stores, asked, untrusted)
    assert manifests(stores) == {}


def test_untrusted_days_out_of_reach_do_not_block(stores: Stores) -> None:
    assert build(stores, [day(6)], {day(5): "contract failed"})[0].rows == 3


def test_missing_input_is_not_an_answer(stores: Stores) -> None:
    (stores.lake.table(raw_table("events")).folder / "manifests" / day(5) / "current").unlink()
    assert expected_inputs(stores, SOURCE, VIEW, day(10)) is None
    assert expected_inputs(stores, SOURCE, VIEW, day(1)) is not None
