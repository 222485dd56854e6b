"""What Feast leaves behind is told and put right: with the file registry and with the SQL one."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import feast
import pytest
from feast.feature_view import FeatureViewState
from sales_world import NEWEST, REPOSITORY, SHOP_TRADE, World

from platform_assets.errors import LakeError
from platform_assets.online.feast_objects import feast_name, feast_objects, slot_view_name
from platform_assets.online.feast_registry import Fault, open_online_store, reconciled
from platform_assets.online.online_store import fill_online
from platform_assets.stores import Stores

NAME = feast_name(SHOP_TRADE)
START = datetime(2024, 3, 3, tzinfo=UTC)
END = datetime(2024, 3, 6, tzinfo=UTC) - timedelta(microseconds=1)
PROMISED = (START, END)


def filled(stores: Stores) -> list[Fault]:
    faults: list[Fault] = []
    fill_online(stores, REPOSITORY, SHOP_TRADE, cause="test", tell=faults.append)
    return faults


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World.at(tmp_path / "home")
    made.build()
    made.fill()
    return made


@pytest.fixture(params=["sql", "file"])
def store(request: pytest.FixtureRequest, world: World, tmp_path: Path) -> feast.FeatureStore:
    """A plain Feast user's, who reads what we filled, with a registry of either kind; as strict as Feast is."""
    registry = {"registry_type": "sql", "path": f"sqlite:///{tmp_path / 'r.db'}"}
    made = feast.FeatureStore(
        config=feast.RepoConfig(
            project="platform_assets",
            provider="local",
            registry=registry if request.param == "sql" else str(tmp_path / "registry.pb"),
            online_store={"type": "sqlite", "path": str(world.stores.home.feast / "online.db")},
            offline_store={"type": "file"},
            entity_key_serialization_version=3,
        )
    )
    made.apply(
        feast_objects(
            REPOSITORY, lambda view: world.stores.lake.table(f"features/{view.name}").stable_folder()
        )
    )
    assert reconciled(made, NAME, PROMISED) == []  # never materialized is nothing wrong
    return made


def intervals(store: feast.FeatureStore, name: str = NAME) -> list[tuple[datetime, datetime]]:
    return list(store.get_feature_view(name).materialization_intervals)


_KEPT: list[object] = []


def refreshed(store: feast.FeatureStore) -> None:
    """Feast caches what it finds in a registry by its address in memory, which a newer one may get again."""
    store.refresh_registry()
    _KEPT.append(store.registry.cached_registry_proto)


def served(store: feast.FeatureStore) -> object:
    refreshed(store)
    return store.get_online_features(["shop_trade:sum_1d"], [{"shop": "shop 1"}]).to_dict()["sum_1d"][0]


def _killed(store: feast.FeatureStore) -> None:
    """As a killed `feast materialize` leaves the view."""
    view = store.registry.get_feature_view(NAME, store.project)
    view.state = FeatureViewState.MATERIALIZING
    view.description = "Feast's SQL registry keeps a state only with another change"
    store.registry.apply_feature_view(view, store.project)
    with pytest.raises(ValueError, match="MATERIALIZING"):
        served(store)


def _recorded(start: datetime, end: datetime) -> Callable[[feast.FeatureStore], None]:
    def harm(store: feast.FeatureStore) -> None:
        view = store.registry.get_feature_view(NAME, store.project)
        store.registry.apply_materialization(view, store.project, start, end)

    return harm


def _nothing(store: feast.FeatureStore) -> None:
    """Registered anew, as after `feast apply` of a changed view."""
    view = store.registry.get_feature_view(NAME, store.project)
    store.registry.delete_feature_view(NAME, store.project)
    view.materialization_intervals = []
    view.state = FeatureViewState.CREATED
    store.registry.apply_feature_view(view, store.project)
    with pytest.raises(ValueError, match="CREATED"):
        served(store)


FUTURE = datetime(2999, 1, 1, tzinfo=UTC)
HARM = {
    "killed run": (_killed, ["stuck"]),
    "future window": (_recorded(START, FUTURE), ["future"]),
    "inverted window": (_recorded(END, START), ["inverted"]),
    "beyond the lake": (_recorded(START, END + timedelta(hours=2)), ["foreign"]),
    "applied anew": (_nothing, []),
    "a part of the window": (_recorded(START, START + timedelta(hours=1)), []),
}


@pytest.mark.parametrize("name", HARM)
def test_what_feast_leaves_behind_is_told_and_put_right(store: feast.FeatureStore, name: str) -> None:
    harm, kinds = HARM[name]
    before = served(store)
    harm(store)
    faults = reconciled(store, NAME, PROMISED)
    assert [fault.kind for fault in faults] == kinds
    assert intervals(store) == [PROMISED]
    assert served(store) == before is not None
    assert store.get_feature_view(NAME).state == FeatureViewState.AVAILABLE_ONLINE
    assert reconciled(store, NAME, PROMISED) == []
    assert store.get_feature_view(NAME).tags["code_version"] == SHOP_TRADE.code_version


def test_a_fill_puts_the_homes_registry_right(world: World) -> None:
    store = open_online_store(world.stores, REPOSITORY)
    assert {view.name: len(view.materialization_intervals) for view in store.list_feature_views()} == {
        "shop_trade": 1,
        "shop_trade__events_a": 1,
        "shop_trade__events_b": 1,
        "shop_trade__state": 1,
        "member_returns": 1,
        "member_returns__events_a": 1,
        "member_returns__events_b": 1,
        "member_returns__state": 1,
        "sale_time": 0,
    }
    _recorded(START, FUTURE)(store)
    _recorded(END, START)(store)
    assert [fault.kind for fault in filled(world.stores)] == ["future", "inverted"]
    assert intervals(store) == [PROMISED]
    assert filled(world.stores) == []


def test_feasts_own_materialize_leaves_the_slots_alone(world: World) -> None:
    """A user's `feast materialize` writes the newest rows of a window, and may: the next fill is right again."""
    store = open_online_store(world.stores, REPOSITORY)
    slot = [f"{slot_view_name(SHOP_TRADE, 'a')}:event_us"]
    before = store.get_online_features(slot, [{"shop": "shop 1"}]).to_dict()
    with pytest.raises(ValueError, match="Value type not supported"):  # rows of no shop; ours leaves them out
        store.materialize(START, datetime(2024, 3, 5, 12, tzinfo=UTC))
    assert store.get_online_features(slot, [{"shop": "shop 1"}]).to_dict() == before
    with pytest.raises(ValueError, match="not configured"):
        store.materialize(START, END, [slot_view_name(SHOP_TRADE, "a")])
    assert filled(world.stores) == []


def test_a_raw_day_of_the_future_is_refused(world: World) -> None:
    from sales_world import sales, write_raw

    from platform_assets.errors import Blocked

    rows = sales(NEWEST)
    for day in ("2998-12-30", "2998-12-31", "2999-01-01"):
        write_raw(world.stores, day, rows)
    with pytest.raises(Blocked, match="raw day 2999-01-01 lies in the future"):
        filled(world.stores)


def test_a_state_without_any_event_is_told(tmp_path: Path) -> None:
    from sales_world import DAYS, sales, write_raw

    world = World.at(tmp_path)
    for day in DAYS:
        write_raw(world.stores, day, sales(day).slice(0, 0))
    assert [fault.kind for fault in filled(world.stores)] == ["empty", "unpublished"]


@pytest.mark.parametrize("content", [b"not a database" * 100])
def test_a_damaged_registry_is_one_clear_error(world: World, content: bytes) -> None:
    file = world.stores.home.feast / "registry.db"
    file.write_bytes(content)
    with pytest.raises(LakeError, match=r"registry .*registry\.db cannot be read .*delete it"):
        filled(world.stores)
    file.unlink()
    assert filled(world.stores) == []
