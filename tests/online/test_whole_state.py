"""The whole store in one read: equal to what is served, and honest about what nobody put there."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Int64List, Value
from sales_world import MEMBER_RETURNS, NEWEST, REPOSITORY, SHOP_TRADE, World, sales, write_raw

from platform_assets.declaration.feature_view import FeatureView
from platform_assets.errors import Blocked
from platform_assets.online.feast_objects import SLOT, STATE_DIGEST, TIMES, slot_view_name
from platform_assets.online.online_events import read_events
from platform_assets.online.online_store import open_online_store
from platform_assets.online.whole_state import read_all_events


@pytest.mark.parametrize("view", [SHOP_TRADE, MEMBER_RETURNS], ids=lambda view: view.name)
def test_every_entity_is_there_as_it_is_served(tmp_path: Path, view: FeatureView) -> None:
    world = World.at(tmp_path)
    world.fill()
    whole = read_all_events(world.stores, REPOSITORY, view)
    assert whole.is_promised
    assert whole.foreign == []
    assert len(whole.entities) == whole.promised["entities"] == len(set(whole.entities))
    served = read_events(world.stores, REPOSITORY, view, whole.entities, [])
    assert len(served) == len(whole.entities)
    for place, name in enumerate(whole.entities):
        got, want = whole.events(place), served[name]
        assert got.times.tolist() == want.times.tolist()
        assert (got.keys is None) == (want.keys is None)
        assert got.keys is None or got.keys.tolist() == want.keys.tolist()
        assert {n: str(v.tolist()) for n, v in got.values.items()} == {
            n: str(v.tolist()) for n, v in want.values.items()
        }
    assert len(whole.columns[TIMES]) == whole.promised["events"]


def test_the_other_slot_keeps_the_state_before(tmp_path: Path) -> None:
    world = World.at(tmp_path)
    world.fill()
    before = read_all_events(world.stores, REPOSITORY, SHOP_TRADE)
    assert before.digests == {"a": before.promised[STATE_DIGEST], "b": ""}
    write_raw(world.stores, NEWEST, sales(NEWEST, rows=50))
    world.fill()
    after = read_all_events(world.stores, REPOSITORY, SHOP_TRADE)
    assert after.promised[SLOT] == "b"
    assert after.digests == {"a": before.promised[STATE_DIGEST], "b": after.promised[STATE_DIGEST]}


def test_keys_of_nobody_are_told(tmp_path: Path) -> None:
    world = World.at(tmp_path)
    world.fill()
    store = open_online_store(world.stores, REPOSITORY)
    values = {TIMES: Value(int64_list_val=Int64List(val=[1]))}
    strange = EntityKey(join_keys=["shop"], entity_values=[Value(int64_val=5)])
    store.provider.online_write_batch(
        store.config,
        store.get_feature_view(slot_view_name(SHOP_TRADE, "a")),
        [(strange, values, datetime.now(UTC), None)],
        None,
    )
    whole = read_all_events(world.stores, REPOSITORY, SHOP_TRADE)
    assert len(whole.foreign) == 1
    assert len(whole.entities) == 4


def test_nothing_materialized_is_refused(tmp_path: Path) -> None:
    world = World.at(tmp_path)
    with pytest.raises(Blocked, match="nothing was materialized yet"):
        read_all_events(world.stores, REPOSITORY, SHOP_TRADE)
