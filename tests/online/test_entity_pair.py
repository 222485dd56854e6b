"""Features of two entities together, from the declaration to the value served."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sales_world import DAYS, NEWEST, REPOSITORY, SOURCE, World, product

from platform_assets.declaration.feature_view import FeatureView, JointEntity
from platform_assets.declaration.recorded_declaration import declaration_from, recorded
from platform_assets.declaration.repository import Repository
from platform_assets.errors import DeclarationError
from platform_assets.features.as_of_join import AsOfView, as_of_join
from platform_assets.features.compute import compute_features
from platform_assets.features.independent import independent_features
from platform_assets.online.feast_objects import feast_objects
from platform_assets.online.online_store import fill_online, serve
from platform_assets.vocabulary import AVAILABLE_AT, raw_table

PAIR = {
    "name": "member_at_shop",
    "owners": ["team:shops"],
    "source": "sales",
    "entity": ["shop", "member"],
    "features": [
        {"name": "visits_2d", "function": "count", "window": "2d"},
        {"name": "spent_2d", "function": "sum", "column": "price", "window": "2d"},
        {"name": "before_2d", "function": "count", "window": "2d", "include_current_row": False},
        {"name": "known_2d", "function": "count", "window": "2d", "delay": "1d"},
    ],
}
TOGETHER = Repository(
    REPOSITORY.sources,
    REPOSITORY.entities,
    {"member_at_shop": FeatureView.model_validate(PAIR)},
    {"sales": Path()},
)
VIEW = TOGETHER.feature_view("member_at_shop")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    made = World.at(tmp_path_factory.mktemp("home"))
    fill_online(made.stores, TOGETHER, VIEW, cause="test")
    return made


def trained(world: World, days: list[str]) -> pa.Table:
    paths = world.stores.lake.table(raw_table("sales")).paths(DAYS)
    return compute_features(SOURCE, TOGETHER.entity_of(VIEW), VIEW, paths, days)


def test_one_entity_is_itself_and_several_are_one_with_their_keys_in_order() -> None:
    assert TOGETHER.entity_of(VIEW).join_keys == ("shop", "member")
    assert isinstance(TOGETHER.entity_of(VIEW), JointEntity)
    alone = VIEW.model_copy(update={"entity": "shop"})
    assert TOGETHER.entity_of(alone) == TOGETHER.entity("shop")
    assert FeatureView.model_validate({**PAIR, "entity": ["shop"]}).entity == "shop"


def test_a_pair_is_in_the_code_version_and_in_what_is_recorded() -> None:
    assert VIEW.reads["join key"] == "shop, member"
    turned = FeatureView.model_validate({**PAIR, "entity": ["member", "shop"]}).bound_to(
        SOURCE, JointEntity((TOGETHER.entity("member"), TOGETHER.entity("shop")))
    )
    assert turned.code_version != VIEW.code_version
    declared = product().model_copy(update={"feature_views": (VIEW.name,), "inputs": (VIEW.name,)})
    again, _ = declaration_from(recorded(TOGETHER, declared), Path())
    assert again.feature_view(VIEW.name).code_version == VIEW.code_version


@pytest.mark.parametrize("entity", [[], ["shop", "shop"], 5, [1, 2], ""], ids=str)
def test_refuses_what_names_no_entity(entity: Any) -> None:
    with pytest.raises(ValueError, match=r"expected an entity|names an entity twice"):
        FeatureView.model_validate({**PAIR, "entity": entity})


def test_a_product_must_list_both() -> None:
    declared = product().model_copy(
        update={"feature_views": (VIEW.name,), "inputs": (VIEW.name,), "entities": ("shop",)}
    )
    with pytest.raises(DeclarationError, match="is about entity 'member', which is missing"):
        TOGETHER.check_product(declared)


def test_windows_of_a_pair_are_those_of_numpy_and_of_a_loop(world: World) -> None:
    found = trained(world, list(DAYS)).sort_by([("till", "ascending"), ("slip", "ascending")])
    raw = world.stores.lake.table(raw_table("sales")).read(DAYS)
    other = independent_features(SOURCE, TOGETHER.entity_of(VIEW), VIEW, raw, found)
    for feature in VIEW.features:
        got = found.column(feature.name).to_numpy().astype(float)
        np.testing.assert_array_equal(got, other[feature.name], err_msg=feature.name)
    rows = raw.to_pylist()
    for row in found.to_pylist()[::40]:
        seen = [
            other
            for other in rows
            if row["shop"] is not None
            and (other["shop"], other["member"]) == (row["shop"], row["member"])
            and row["sold_at"] - timedelta(days=2) < other["sold_at"] <= row["sold_at"]
        ]
        assert row["visits_2d"] == len(seen)
    assert max(found.column("visits_2d").to_pylist()) > 2


def test_rows_are_joined_to_the_newest_row_of_both(world: World, tmp_path: Path) -> None:
    features = trained(world, [NEWEST]).sort_by([("till", "ascending"), ("slip", "ascending")])
    pq.write_table(features, path := tmp_path / "f.parquet")
    view = AsOfView("v", (str(path),), ("shop", "member"), "sold_at", AVAILABLE_AT, ("visits_2d",), None)
    rows = world.raw().select(["till", "slip", "shop", "member", "sold_at"])
    joined = as_of_join(rows, [view], event_timestamp="sold_at").to_pylist()
    held = features.to_pylist()
    for row in joined:
        same = [
            r
            for r in held
            if r["shop"] is not None
            and (r["shop"], r["member"]) == (row["shop"], row["member"])
            and r["sold_at"] <= row["sold_at"]
        ]
        newest = max(same, key=lambda r: (r["sold_at"], r["till"], r["slip"]), default=None)
        assert row["visits_2d"] == (newest and newest["visits_2d"])


def test_rows_already_stored_are_served_as_they_were_trained(world: World) -> None:
    rows = world.raw()
    by_key = {(r["till"], r["slip"]): r for r in trained(world, [NEWEST]).to_pylist()}
    served = serve(world.stores, TOGETHER, VIEW, rows)
    for name in VIEW.feature_names:
        want = [by_key[r["till"], r["slip"]][name] for r in rows.to_pylist()]
        assert served[name] == want, name


def test_a_pair_never_seen_has_its_own_row_only(world: World) -> None:
    row = world.raw().slice(0, 1).to_pylist()[0]
    moment = datetime.fromisoformat(NEWEST) + timedelta(days=1, hours=2)
    new = row | {"shop": "shop 1", "member": 999, "slip": -1, "sold_at": moment, "price": 2.5}
    request = pa.Table.from_pylist([new, new | {"shop": None}], schema=world.raw().schema)
    assert serve(world.stores, TOGETHER, VIEW, request) == {
        "visits_2d": [1, 0], "spent_2d": [2.5, None], "before_2d": [0, 0], "known_2d": [0, 0],
    }  # fmt: skip


def test_feast_knows_both_keys() -> None:
    objects = {item.name: item for item in feast_objects(TOGETHER, lambda view: Path("/x") / view.name)}
    assert objects["member_at_shop"].entities == ["shop", "member"]
    assert [c.name for c in objects["member_at_shop"].entity_columns] == ["shop", "member"]
    assert objects["member_at_shop__events_a"].entities == ["shop", "member"]
