"""SQLite and Redis hold the same rows in Feast's layout; Feast reads what we write, and we what Feast does."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import redis
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Int64List, Value
from sales_world import DAYS, MEMBER_RETURNS, NEWEST, REPOSITORY, SHOP_TRADE, World, sales, write_raw

from platform_assets.errors import Blocked, DeclarationError, LakeError
from platform_assets.home import Home
from platform_assets.online.backend_choice import open_backend
from platform_assets.online.feast_bytes import entity_keys, string_value, whole_values
from platform_assets.online.feast_objects import (
    SLOT,
    SLOTS,
    STATE_DIGEST,
    TIMES,
    pointer_view_name,
    slot_view_name,
)
from platform_assets.online.held_rows import held
from platform_assets.online.online_backend import Rows
from platform_assets.online.online_events import read_events
from platform_assets.online.online_store import fill_online, open_online_store, serve
from platform_assets.online.redis_backend import feast_connection
from platform_assets.online.whole_state import read_all_events
from platform_assets.stores import Stores


def rows(first: int, last: int, value: int = 0) -> Rows:
    numbers = np.arange(first, last)
    return Rows(
        entity_keys(["member"], [numbers.tolist()]),
        {"n": whole_values(numbers + value), "m": whole_values(-numbers)},
        (numbers * 1_000_000).tolist(),
    )


@pytest.fixture
def backend(tmp_path: Path, online: str):
    return open_backend(Home.at(tmp_path, online))


def test_rows_are_read_back_in_the_order_asked(backend) -> None:
    given = rows(0, 50)
    backend.replace("v", given)
    asked = [given.keys[7], b"nobody", given.keys[3], given.keys[7]]
    found = backend.read("v", asked, ["m", "n", "unknown"])
    assert found["n"] == [whole_values(np.array([k]))[0] if k is not None else None for k in (7, None, 3, 7)]
    assert found["unknown"] == [None] * 4


def test_replacing_leaves_nothing_of_before(backend) -> None:
    backend.replace("v", rows(0, 12_000))
    backend.replace("w", rows(0, 10))
    backend.replace("v", rows(5_000, 12_345, 1))
    assert held(backend, "v", rows(5_000, 12_345, 1)).exactly
    assert held(backend, "w", rows(0, 10)).exactly


def test_what_differs_is_counted(backend) -> None:
    backend.replace("v", rows(1, 11))
    found = held(backend, "v", rows(0, 10, 5))
    assert (found.expected, found.missing, found.extra, found.changed) == (10, 1, 1, 9)
    assert not found.exactly


def test_the_last_row_is_there_only_with_all_others(backend) -> None:
    last = Rows([b"last"], {"state": [string_value("one")]}, 0)
    backend.replace("v", rows(0, 10), last)

    class Cut(Exception):
        pass

    class CutOff(list):
        def __getitem__(self, place):
            if place == 5 or isinstance(place, slice):
                raise Cut
            return super().__getitem__(place)

    broken = rows(0, 10, 1)
    broken = Rows(broken.keys, {"n": CutOff(broken.values["n"])}, broken.moments)
    with pytest.raises(Cut):
        backend.replace("v", broken, Rows([b"last"], {"state": [string_value("two")]}, 0))
    state = backend.read("v", [b"last"], ["state"])["state"]
    assert state in ([string_value("one")], [None])
    if state != [None]:
        assert held(backend, "v", rows(0, 10), last).exactly


# Feast and we read each other


def test_feast_reads_what_we_write(tmp_path: Path, online: str) -> None:
    world = World.at(tmp_path, online=online)
    world.fill()
    store = open_online_store(world.stores, REPOSITORY)
    for view, key in ((SHOP_TRADE, "shop"), (MEMBER_RETURNS, "member")):
        whole = read_all_events(world.stores, REPOSITORY, view)
        slot = slot_view_name(view, "a")
        names = [TIMES, *(name for name in whole.columns if name != TIMES)]
        found = store.get_online_features(
            [f"{slot}:{name}" for name in names], [{key: entity} for entity in whole.entities]
        ).to_dict()
        for place in range(len(whole.entities)):
            s, e = whole.offsets[place : place + 2]
            for name in names:
                assert str(found[name][place]) == str(whole.columns[name][s:e].tolist()), name
        nobody = {"shop": "__state__", "member": -(2**63)}[key]
        pointer = pointer_view_name(view)
        told = store.get_online_features(
            [f"{pointer}:{SLOT}", f"{pointer}:{STATE_DIGEST}", f"{pointer}:entities"], [{key: nobody}]
        ).to_dict()
        assert told[SLOT] == ["a"]
        assert told[STATE_DIGEST] == [whole.promised[STATE_DIGEST]]
        assert told["entities"] == [len(whole.entities)]


def test_feast_reads_the_moment_we_write(tmp_path: Path, online: str) -> None:
    world = World.at(tmp_path, online=online)
    world.fill()
    store = open_online_store(world.stores, REPOSITORY)
    key = EntityKey(join_keys=["shop"], entity_values=[Value(string_val="shop 1")])
    view = store.get_feature_view(slot_view_name(SHOP_TRADE, "a"))
    ((moment, _),) = store.provider.online_read(store.config, view, [key], [TIMES])
    assert moment.replace(microsecond=0) == datetime(2024, 3, 5, 23, 59, 59, tzinfo=UTC)


def test_we_read_what_feast_writes_and_heal_it(tmp_path: Path, online: str) -> None:
    """A foreign write is served until the next fill, which notices and takes the other slot."""
    world = World.at(tmp_path, online=online)
    world.fill()
    before = serve(world.stores, REPOSITORY, SHOP_TRADE, world.raw())
    store = open_online_store(world.stores, REPOSITORY)
    values = {name: Value(int64_list_val=Int64List(val=[1])) for name in (TIMES, "value_price")}
    keys = [EntityKey(join_keys=["shop"], entity_values=[Value(string_val=n)]) for n in ("shop 1", "new")]
    store.provider.online_write_batch(
        store.config,
        store.get_feature_view(slot_view_name(SHOP_TRADE, "a")),
        [(key, values, datetime(2024, 3, 1, tzinfo=UTC), None) for key in keys],
        None,
    )
    with pytest.raises(Blocked, match="other numbers of events"):
        serve(world.stores, REPOSITORY, SHOP_TRADE, world.raw())
    fill_online(world.stores, REPOSITORY, SHOP_TRADE, cause="again")
    assert serve(world.stores, REPOSITORY, SHOP_TRADE, world.raw()) == before
    whole = read_all_events(world.stores, REPOSITORY, SHOP_TRADE)
    assert whole.promised[SLOT] == "b"
    assert "new" not in whole.entities


def test_a_correction_of_the_same_moment_is_served(tmp_path: Path, online: str) -> None:
    """Feast's Redis store leaves out values whose event timestamp did not grow; ours does not."""
    world = World.at(tmp_path, online=online)
    world.fill()
    before = read_events(world.stores, REPOSITORY, SHOP_TRADE, ["shop 1"], [])["shop 1"]
    for slots in range(3):
        rows = sales(NEWEST)
        rows = rows.set_column(5, "price", [np.array(rows["price"]) + 1 + slots])
        write_raw(world.stores, NEWEST, rows)
        world.fill()
        after = read_events(world.stores, REPOSITORY, SHOP_TRADE, ["shop 1"], [])["shop 1"]
        assert after.times.tolist() == before.times.tolist()
        assert (after.values["price"] - before.values["price"]).max() == 100 * (1 + slots)


def test_entities_that_are_gone_are_in_neither_slot(tmp_path: Path, online: str) -> None:
    world = World.at(tmp_path, online=online)
    world.fill()
    for _ in SLOTS:
        for day in DAYS[-4:]:
            rows = sales(day, rows=50 + _.count("b"))
            write_raw(world.stores, day, rows.filter([name != "shop 1" for name in rows["shop"].to_pylist()]))
        world.fill()
    backend = open_backend(world.stores.home)
    gone = entity_keys(["shop"], [["shop 1"]])
    for slot in SLOTS:
        assert backend.read(slot_view_name(SHOP_TRADE, slot), gone, [TIMES])[TIMES] == [None]


# Redis alone


def test_a_redis_that_is_down_is_one_clear_error(tmp_path: Path) -> None:
    world = World.at(tmp_path, online="redis://user:secret@127.0.0.1:1/3")
    with pytest.raises(LakeError, match=r"online store redis://127\.0\.0\.1:1/3 cannot be written") as told:
        world.fill()
    assert "secret" not in str(told.value)
    assert "PLATFORM_ONLINE_STORE" in str(told.value)
    sqlite = Stores.at(Home.at(tmp_path))
    fill_online(sqlite, REPOSITORY, SHOP_TRADE, cause="test")
    with pytest.raises(Blocked, match="cannot be read") as told:
        serve(world.stores, REPOSITORY, SHOP_TRADE, world.raw())
    assert "secret" not in str(told.value)


@pytest.mark.parametrize("url", ["127.0.0.1:6379", "http://127.0.0.1", "redis:///0", "postgres://a/b"])
def test_another_url_is_refused(url: str, tmp_path: Path) -> None:
    with pytest.raises(DeclarationError, match="expected redis://host:port/database"):
        open_backend(Home.at(tmp_path, url))


def test_a_url_becomes_feasts_connection_string() -> None:
    assert feast_connection("redis://127.0.0.1:6380/2") == "127.0.0.1:6380,db=2"
    assert (
        feast_connection("rediss://me:p%40ss@cache") == "cache:6379,db=0,username=me,password=p@ss,ssl=true"
    )


def test_other_views_of_an_entity_and_other_projects_are_left_alone(redis_url: str, tmp_path: Path) -> None:
    with redis.Redis.from_url(redis_url) as client:
        client.flushdb()
        key = entity_keys(["member"], [[3]])[0]
        client.hset(key + b"platform_assets", mapping={"_ts:their_view": b"1", "their field": b"2"})
        client.hset(key + b"another_project", mapping={"_ts:v": b"1"})
        client.set(b"text platform_assets", b"no hash")
        backend = open_backend(Home.at(tmp_path, redis_url))
        backend.replace("v", rows(0, 10))
        backend.replace("v", rows(5, 10))
        assert client.hgetall(key + b"platform_assets") == {b"_ts:their_view": b"1", b"their field": b"2"}
        assert client.hgetall(key + b"another_project") == {b"_ts:v": b"1"}
        assert client.get(b"text platform_assets") == b"no hash"
