"""Parity of a view: every entity and feature, at the cut-off and at its newest event."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from hypothesis import given, settings
from hypothesis import strategies as st
from planted_faults import held, write
from sales_world import (
    DAYS,
    MEMBER_RETURNS,
    NEWEST,
    REPOSITORY,
    SHOP_TRADE,
    SOURCE,
    World,
    sales,
    write_raw,
)  # fmt: skip

from platform_assets.automation.source_observation import _unmeasured
from platform_assets.declaration.feature_view import FeatureView
from platform_assets.evidence.evidence import Verdict
from platform_assets.home import Home
from platform_assets.online.online_state import midnight, recent_events
from platform_assets.online.serving_windows import finish
from platform_assets.parity.differences import compare
from platform_assets.parity.entity_events import EntityEvents, entity_events
from platform_assets.parity.repair import carry_out
from platform_assets.parity.training_values import nobodys_values, trained_at_cut_off
from platform_assets.parity.view_measurement import measure_view
from platform_assets.parity.view_parity import newest_view_parity, view_parity
from platform_assets.parity.window_values import OwnRows, window_values
from platform_assets.stores import Stores
from platform_assets.vocabulary import raw_table

VIEWS = (SHOP_TRADE, MEMBER_RETURNS)
NAMES = [view.name for view in VIEWS]


@pytest.mark.parametrize("view", VIEWS, ids=NAMES)
def test_every_entity_and_feature_is_served_as_trained(world: World, view: FeatureView) -> None:
    evidence = view_parity(world.stores, REPOSITORY, view, run_id="r1")
    assert evidence.verdict is Verdict.PASSED, evidence.reason
    measured = evidence.measured
    assert measured["entities"] == measured["known"] == {"shop_trade": 4, "member_returns": 8}[view.name]
    moments = [row["moment"] for row in measured["features"]]
    assert moments.count("cut-off") == len(view.windows)
    assert moments.count("newest event") == len(view.features)
    assert (measured["differing"], measured["foreign"], measured["witnesses_differ"]) == (0, 0, 0)
    assert measured["witnesses"] == measured["entities"]
    assert newest_view_parity(world.stores, view) == evidence


def events_of(world: World, view: FeatureView) -> tuple[pa.Array, EntityEvents]:
    until = date.fromisoformat(NEWEST) + timedelta(days=1)
    table = world.stores.lake.table(raw_table("sales"))
    key = REPOSITORY.entity_of(view).join_keys
    return entity_events(SOURCE, view, recent_events(table, SOURCE, view, key, until, DAYS))


@pytest.mark.parametrize("view", VIEWS, ids=NAMES)
@pytest.mark.parametrize("hours", [1, 6, 12, 23])
def test_the_three_implementations_agree_at_any_moment(world: World, view: FeatureView, hours: int) -> None:
    """SQL over the lake, arrays over the events, and `finish` for one entity after the other."""
    names, events = events_of(world, view)
    moment = midnight(date.fromisoformat(NEWEST)) + hours * 3_600_000_000
    key = REPOSITORY.entity_of(view).join_keys
    paths = world.stores.lake.table(raw_table("sales")).paths(DAYS)
    trained = trained_at_cut_off(SOURCE, view, key, paths, moment=moment, after=0)
    at_once = window_values(SOURCE, view, events, np.full(len(names), moment))
    place = {name: n for n, name in enumerate(trained.entities.to_pylist())}
    spot = np.array([place[name] for name in names.to_pylist()])
    for feature in view.windows:
        alone = [finish(SOURCE, feature, events.of(n), moment, None) for n in range(len(names))]
        got = [at_once[feature.name].at(n) for n in range(len(names))]
        assert got == pytest.approx(alone, rel=1e-12), feature.name
        found = compare("f", at_once[feature.name], trained.columns[feature.name].take(spot), tolerance=1e-12)
        assert not found.count, feature.name


@settings(max_examples=40, deadline=None)
@given(
    rows=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 60), st.integers(-5, 5)), max_size=25),
    moment=st.integers(0, 60),
    own=st.integers(0, 1),
)
def test_windows_of_many_are_those_of_each(rows: list[tuple[int, int, int]], moment: int, own: int) -> None:
    """Ties, nulls, exact edges, own rows stored or not, entities without events."""
    hour = 3_600_000_000
    rows = sorted(rows)
    owner = np.array([r[0] for r in rows], dtype=np.int64)
    events = EntityEvents(
        np.concatenate([[0], np.cumsum(np.bincount(owner, minlength=4))]),
        np.array([r[1] * hour for r in rows], dtype=np.int64),
        np.array([f"k{n}" for n in range(len(rows))], dtype=object),
        {
            "price": np.array([100 * r[2] for r in rows], dtype=np.int64),
            "weight": np.array([r[2] or np.nan for r in rows], dtype=np.float64),
        },
    )
    mine = OwnRows(
        np.array([f"k{events.starts[n]}" if own else "new" for n in range(4)], dtype=object),
        {"price": np.full(4, 700), "weight": np.full(4, 0.5)},
    )
    found = window_values(SOURCE, SHOP_TRADE, events, np.full(4, moment * hour), mine)
    for feature in SHOP_TRADE.windows:
        for n in range(4):
            one = {name: values[n].item() for name, values in mine.values.items()}
            want = finish(SOURCE, feature, events.of(n).without(mine.keys[n]), moment * hour, one)
            got = found[feature.name].at(n)
            assert got == (want if want is None else pytest.approx(want, rel=1e-12)), (feature.name, n)


def test_nobody_has_what_empty_windows_say() -> None:
    nobody = nobodys_values(SHOP_TRADE.windows, 1)
    told = {name: column.at(0) for name, column in nobody.items()}
    assert told == {
        "sales_6h": 0, "sum_1d": None, "mean_2d": None, "max_2d": None, "others_1d": 0,
        "others_min_1d": None, "weighed_1d": 0, "weight_2d": -1.0,
    }  # fmt: skip


def test_above_the_declared_size_a_sample_is_compared(world: World) -> None:
    view = MEMBER_RETURNS.model_copy(
        update={"parity": MEMBER_RETURNS.parity.model_copy(update={"entities": 3})}
    )
    first, second = (view_parity(world.stores, REPOSITORY, view) for _ in range(2))
    assert first.id == second.id
    assert (first.measured["entities"], first.measured["known"]) == (3, 8)
    assert first.measured["witnesses"] == 3, "only of entities that are compared"
    assert "3 entities (a sample of 8 by key hash)" in first.reason


def test_a_state_that_the_lake_has_left_behind_is_no_pass(world: World) -> None:
    rows = sales(DAYS[-2])
    write_raw(world.stores, DAYS[-2], rows.set_column(6, "weight", pa.nulls(rows.num_rows, pa.float64())))
    evidence = view_parity(world.stores, REPOSITORY, MEMBER_RETURNS)  # which does not read the weight
    assert evidence.verdict is Verdict.UNKNOWN
    assert "online member_returns is stale" in evidence.reason
    assert evidence.measured["differing"] == 0
    assert view_parity(world.stores, REPOSITORY, SHOP_TRADE).verdict is Verdict.FAILED


def test_where_nothing_is_compared_nothing_passes(tmp_path: Path) -> None:
    world = World.at(tmp_path)
    for day in DAYS:
        rows = sales(day)
        write_raw(world.stores, day, rows.set_column(3, "shop", pa.nulls(rows.num_rows, pa.string())))
    world.build()
    world.fill()
    evidence = view_parity(world.stores, REPOSITORY, SHOP_TRADE)
    assert (evidence.verdict, evidence.measured["entities"]) == (Verdict.UNKNOWN, 0)
    assert "no shop has an event in reach" in evidence.reason


def test_what_could_not_be_measured_is_open_again(world: World) -> None:
    file = world.stores.home.feast / "online.db"
    away = file.rename(file.with_suffix(".away"))
    assert view_parity(world.stores, REPOSITORY, SHOP_TRADE).verdict is Verdict.UNKNOWN
    away.rename(file)  # a store that was down is there again, with all it had
    assert _unmeasured(world.stores, [SHOP_TRADE])
    assert view_parity(world.stores, REPOSITORY, SHOP_TRADE).verdict is Verdict.PASSED
    assert not _unmeasured(world.stores, [SHOP_TRADE])


def test_keys_of_nobody_are_told_although_everything_is_served_as_trained(world: World) -> None:
    (columns,) = held(world, MEMBER_RETURNS, [3])
    key = EntityKey(join_keys=["member"], entity_values=[Value(string_val="x")])
    write(world, MEMBER_RETURNS, {"x": columns}, key=key)
    evidence = view_parity(world.stores, REPOSITORY, MEMBER_RETURNS)
    assert evidence.verdict is Verdict.PASSED
    assert evidence.reason.endswith("; 1 keys in the store are nobody's")
    second = carry_out(world.stores, REPOSITORY, MEMBER_RETURNS, evidence)
    assert second.measured["after"] == evidence.id
    assert (second.verdict, second.measured["foreign"]) == (Verdict.PASSED, 0)


def test_other_limits_ask_for_another_measurement(world: World) -> None:
    view_parity(world.stores, REPOSITORY, SHOP_TRADE)
    strict = SHOP_TRADE.model_copy(update={"parity": SHOP_TRADE.parity.model_copy(update={"tolerance": 0.0})})
    assert newest_view_parity(world.stores, strict) is None
    assert strict.code_version == SHOP_TRADE.code_version


def test_a_serving_code_that_says_otherwise_fails(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    import platform_assets.online.online_store as online_store

    def wrong(*arguments: Any) -> Any:
        value = finish(*arguments)
        return value if value is None else value + 1

    monkeypatch.setattr(online_store, "finish", wrong)
    evidence = view_parity(world.stores, REPOSITORY, SHOP_TRADE)
    assert evidence.verdict is Verdict.FAILED
    assert "4 of 4 requests are served otherwise than the store's events say" in evidence.reason


def test_only_what_the_lake_knows_is_compared_once(world: World) -> None:
    found = measure_view(world.stores, REPOSITORY, SHOP_TRADE)
    assert sorted(found.entities.to_pylist()) == ["shop 0", "shop 1", "shop 2", "shop 3"]
    assert not found.differing.any()


def test_what_people_see_begins_with_verdict_causes_and_repair(world: World) -> None:
    from platform_assets.parity.assets import view_parity_metadata

    shown = view_parity_metadata(view_parity(world.stores, REPOSITORY, SHOP_TRADE), [0.5, float("nan"), 0.0])
    assert list(shown)[:6] == [
        "evidence/verdict", "evidence/reason", "share over time", "causes", "repair", "features",
    ]  # fmt: skip
    assert "0.00% now" in shown["share over time"].value
    assert len(shown["features"].records) == 16


def test_where_there_is_no_raw_day_nothing_can_be_repaired(tmp_path: Path) -> None:
    evidence = view_parity(Stores.at(Home.at(tmp_path)), REPOSITORY, SHOP_TRADE)
    assert evidence.verdict is Verdict.UNKNOWN
    assert not evidence.measured.get("repair"), "a fill would end with the same"
