"""Feast's view of the declared name holds what Feast itself would have materialized from the lake."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import feast
import pyarrow as pa
import pytest
import redis
from sales_world import DAYS, NEWEST, REPOSITORY, SHOP_TRADE, SOURCE, World, sales, write_raw

from platform_assets.online.feast_objects import feast_objects
from platform_assets.online.feast_registry import Fault
from platform_assets.online.latest_rows import LATEST
from platform_assets.online.online_store import fill_online, open_online_store
from platform_assets.vocabulary import online_table

MIDNIGHT = datetime(2024, 3, 6, tzinfo=UTC)


@pytest.fixture
def world(tmp_path: Path, online: str) -> World:
    made = World.at(tmp_path / "home", online=online)
    for day in DAYS:  # `feast materialize` fails over rows of nobody
        rows = sales(day)
        write_raw(made.stores, day, rows.filter(pa.compute.is_valid(rows["shop"])))
    made.build()
    made.fill()
    return made


def materialized_by_feast(world: World, folder: Path, online_store: dict[str, str]) -> None:
    """The same view, from the same files, by Feast into a store of its own."""
    objects = feast_objects(
        REPOSITORY, lambda view: world.stores.lake.table(f"features/{view.name}").stable_folder()
    )
    store = feast.FeatureStore(
        config=feast.RepoConfig(
            project="platform_assets",
            provider="local",
            registry=str(folder / "registry.pb"),
            online_store=online_store,
            offline_store={"type": "file"},
            entity_key_serialization_version=3,
        )
    )
    store.apply([found for found in objects if found.name in ("shop", SHOP_TRADE.name)])
    store.materialize(MIDNIGHT - timedelta(days=1), MIDNIGHT - timedelta(microseconds=1), [SHOP_TRADE.name])


def alone_at_their_moment(world: World) -> set[str]:
    """Shops whose newest row is one: of several at one moment, Feast takes either."""
    rows = world.raw().select(["shop", "sold_at"]).to_pylist()
    newest = {row["shop"]: max(r["sold_at"] for r in rows if r["shop"] == row["shop"]) for row in rows}
    return {shop for shop, at in newest.items() if shop and rows.count({"shop": shop, "sold_at": at}) == 1}


def test_every_byte_is_the_one_that_feast_writes(world: World, tmp_path: Path, online: str) -> None:
    shops = alone_at_their_moment(world)
    assert len(shops) >= 2
    if not online:
        materialized_by_feast(world, tmp_path, {"type": "sqlite", "path": str(tmp_path / "theirs.db")})
        found = []
        for file in (tmp_path / "theirs.db", world.stores.home.feast / "online.db"):
            with sqlite3.connect(file) as database:
                rows = database.execute("SELECT * FROM platform_assets_shop_trade").fetchall()
            found.append({row for row in rows if any(row[0].endswith(shop.encode()) for shop in shops)})
        assert found[0] == found[1]
        assert len(found[0]) == len(shops) * len(SHOP_TRADE.features)
        return
    address = online.removeprefix("redis://").split("/")[0]
    materialized_by_feast(world, tmp_path, {"type": "redis", "connection_string": f"{address},db=1"})
    hashes = []
    for database in (1, 0):
        with redis.Redis.from_url(f"redis://{address}/{database}") as client:
            theirs = {key: client.hgetall(key) for key in client.keys("*shop*platform_assets")}
            hashes.append({key: row for key, row in theirs.items() if any(s.encode() in key for s in shops)})
            if database:
                client.flushdb()
    assert len(hashes[0]) == len(shops)
    for key, row in hashes[0].items():
        assert row.items() <= hashes[1][key].items()


def test_feast_serves_each_shops_newest_row(world: World) -> None:
    rows = world.stores.lake.table("features/shop_trade").read([NEWEST]).to_pylist()
    store = open_online_store(world.stores, REPOSITORY)
    for shop in alone_at_their_moment(world):
        newest = max((row for row in rows if row["shop"] == shop), key=lambda row: row["sold_at"])
        names = [f"shop_trade:{name}" for name in SHOP_TRADE.feature_names]
        found = store.get_online_features(names, [{"shop": shop}]).to_dict()
        assert {name: found[name][0] for name in SHOP_TRADE.feature_names} == {
            name: newest[name] for name in SHOP_TRADE.feature_names
        }
    nobody = store.get_online_features(["shop_trade:sum_1d"], [{"shop": "nobody"}]).to_dict()
    assert nobody["sum_1d"] == [None]


def test_rows_older_than_the_ttl_and_entities_that_are_gone_are_not_served(world: World) -> None:
    day = (datetime.fromisoformat(NEWEST) + timedelta(days=1)).date().isoformat()
    rows = sales(NEWEST)
    rows = rows.filter(pa.compute.equal(rows["shop"], "shop 1"))
    moments = pa.compute.add(rows["sold_at"], pa.scalar(timedelta(days=1), pa.duration("us")))
    rows = rows.set_column(2, "sold_at", moments).set_column(1, "slip", [pa.array(range(-len(rows), 0))])
    write_raw(world.stores, day, rows)
    world.build((day,))
    fill_online(world.stores, REPOSITORY, SHOP_TRADE, cause="next day")
    store = open_online_store(world.stores, REPOSITORY)
    found = store.get_online_features(
        ["shop_trade:sales_6h"], [{"shop": f"shop {n}"} for n in (1, 2)]
    ).to_dict()
    assert found["sales_6h"][0] is not None
    assert found["sales_6h"][1] is None


def test_feature_days_that_are_not_built_are_told_and_the_state_is_filled(
    tmp_path: Path, online: str
) -> None:
    world = World.at(tmp_path, online=online)
    faults: list[Fault] = []
    fill_online(world.stores, REPOSITORY, SHOP_TRADE, cause="test", tell=faults.append)
    assert [fault.kind for fault in faults] == ["unpublished"]
    assert "feature day 2024-03-05 is missing or stale" in str(faults[0])
    world.build()
    faults.clear()
    fill_online(world.stores, REPOSITORY, SHOP_TRADE, cause="test", tell=faults.append)
    assert faults == []
    document = world.stores.lake.table(online_table(SHOP_TRADE.name)).document(LATEST)
    assert document is not None
    assert document["rows"] == 4


def test_rows_that_somebody_else_wrote_are_told_and_healed(world: World) -> None:
    store = open_online_store(world.stores, REPOSITORY)
    before = store.get_online_features(["shop_trade:sum_1d"], [{"shop": "shop 1"}]).to_dict()
    frame = world.stores.lake.table("features/shop_trade").read([NEWEST]).to_pandas().iloc[:1]
    frame = frame.assign(shop="shop 1", sum_1d=-5.0, sold_at=frame["sold_at"].dt.tz_localize("UTC"))
    store.write_to_online_store("shop_trade", frame)
    assert store.get_online_features(["shop_trade:sum_1d"], [{"shop": "shop 1"}]).to_dict()["sum_1d"] == [
        -5.0
    ]
    faults: list[Fault] = []
    fill_online(world.stores, REPOSITORY, SHOP_TRADE, cause="heal", tell=faults.append)
    assert [(fault.kind, fault.view) for fault in faults] == [("foreign", "shop_trade")]
    assert store.get_online_features(["shop_trade:sum_1d"], [{"shop": "shop 1"}]).to_dict() == before


def test_a_view_without_ttl_keeps_every_entity(tmp_path: Path) -> None:
    world = World.at(tmp_path)
    view = SHOP_TRADE.model_copy(update={"ttl": timedelta()})
    world.build(DAYS)
    fill_online(world.stores, REPOSITORY, view, cause="test")
    document = world.stores.lake.table(online_table(view.name)).manifest(LATEST)
    assert document is not None
    assert list(document.inputs["features/shop_trade"]) == list(DAYS)
    assert SOURCE.start.isoformat() == DAYS[0]
