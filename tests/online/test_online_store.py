"""What is served at a moment is the training definition at that moment, over what was materialized."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from card_golden import EXTERNAL, TOLERANCE, card_repository, needs_external
from sales_world import (
    DAYS,
    MEMBER_RETURNS,
    NEWEST,
    REPOSITORY,
    SALE_TIME,
    SHOP_TRADE,
    SOURCE,
    VIEWS,
    World,
    sales,
    write_raw,
)

from platform_assets.declaration.feature_view import FeatureView
from platform_assets.declaration.repository import Repository
from platform_assets.errors import Blocked, DeclarationError, LakeError
from platform_assets.features.compute import compute_features
from platform_assets.home import Home
from platform_assets.online.feast_objects import SLOTS, feast_objects, slot_view_name
from platform_assets.online.online_events import PARTITION, read_events
from platform_assets.online.online_store import (
    fill_online,
    online_inputs,
    open_online_store,
    serve,
)
from platform_assets.stores import Stores
from platform_assets.vocabulary import AVAILABLE_AT, online_table, raw_table

EPOCH = datetime(1970, 1, 1)


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Filled once; tests that change it make their own."""
    world = World.at(tmp_path_factory.mktemp("home"))
    world.fill()
    return world


def trained(view: FeatureView, paths: list[str], rows: pa.Table, days: list[str]) -> dict[str, list]:
    """The training values of rows, in their order."""
    source = REPOSITORY.source(view.source)
    found = compute_features(source, REPOSITORY.entity_of(view), view, paths, days)
    by_key = {(row["till"], row["slip"]): row for row in found.to_pylist()}
    return {
        name: [
            by_key[till, slip][name]
            for till, slip in zip(rows["till"].to_pylist(), rows["slip"].to_pylist(), strict=True)
        ]
        for name in view.feature_names
    }


def assert_equal(served: dict[str, list], expected: dict[str, list]) -> None:
    assert list(served) == list(expected)
    for name, values in expected.items():
        for got, want in zip(served[name], values, strict=True):
            assert (got is None) == (want is None), name
            assert want is None or got == pytest.approx(want, rel=1e-12, abs=1e-12), name
            assert type(got) is type(want), name


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
def test_rows_already_stored_are_served_as_they_were_trained(filled: World, view: FeatureView) -> None:
    rows = filled.raw()
    paths = filled.stores.lake.table(raw_table("sales")).paths(DAYS)
    assert_equal(serve(filled.stores, REPOSITORY, view, rows), trained(view, paths, rows, [NEWEST]))


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
def test_requests_after_the_newest_day_count_themselves_once(
    filled: World, view: FeatureView, tmp_path: Path
) -> None:
    """Each request is trained on as if it were the only row after what was materialized."""
    day = (datetime.fromisoformat(NEWEST) + timedelta(days=1)).date().isoformat()
    paths = filled.stores.lake.table(raw_table("sales")).paths(DAYS)
    moments = [datetime.fromisoformat(day) + timedelta(hours=h) for h in (0, 6, 9, 23)]
    like = filled.raw().slice(0, len(moments))
    rows = like.set_column(
        like.column_names.index("sold_at"), "sold_at", [pa.array(moments, pa.timestamp("us"))]
    )
    rows = rows.set_column(1, "slip", [pa.array(range(-4, 0), pa.int64())])
    expected: dict[str, list] = {name: [] for name in view.feature_names}
    for i in range(len(moments)):
        alone = tmp_path / f"{i}.parquet"
        pq.write_table(rows.slice(i, 1), alone)
        for name, values in trained(view, [*paths, str(alone)], rows.slice(i, 1), [day]).items():
            expected[name] += values
    assert_equal(serve(filled.stores, REPOSITORY, view, rows), expected)


def test_an_unknown_entity_has_its_own_row_only(filled: World) -> None:
    row = filled.raw().slice(0, 1).to_pylist()[0] | {
        "shop": "a new shop",
        "slip": -1,
        "price": 2.5,
        "weight": None,
    }
    request = pa.Table.from_pylist([row], schema=filled.raw().schema)
    assert serve(filled.stores, REPOSITORY, SHOP_TRADE, request) == {
        "sales_6h": [1],
        "sum_1d": [2.5],
        "mean_2d": [2.5],
        "max_2d": [2.5],
        "others_1d": [0],
        "others_min_1d": [None],
        "weighed_1d": [0],
        "weight_2d": [-1.0],
    }


def test_a_request_without_primary_key_is_a_new_row(filled: World) -> None:
    rows = filled.raw()
    rows = rows.filter(pc.is_valid(rows["shop"]))
    with_key = serve(filled.stores, REPOSITORY, SHOP_TRADE, rows)["sales_6h"]
    without = serve(filled.stores, REPOSITORY, SHOP_TRADE, rows.drop_columns(["till", "slip"]))["sales_6h"]
    assert without == [n + 1 for n in with_key]


def test_no_requests_are_no_values(filled: World) -> None:
    assert serve(filled.stores, REPOSITORY, SHOP_TRADE, filled.raw().slice(0, 0))["sum_1d"] == []


def test_requests_from_before_the_kept_events_are_refused(filled: World) -> None:
    with pytest.raises(Blocked, match="60 of 60 requests are from before 2024-03-05T00:00:00"):
        serve(filled.stores, REPOSITORY, SHOP_TRADE, filled.raw(DAYS[-2]))


def test_events_are_kept_as_long_as_a_window_reaches(filled: World) -> None:
    assert min(online_inputs(filled.stores, REPOSITORY, SHOP_TRADE)[raw_table("sales")]) == DAYS[-3]
    assert min(online_inputs(filled.stores, REPOSITORY, MEMBER_RETURNS)[raw_table("sales")]) == DAYS[-6]


def test_filling_again_changes_nothing(filled: World) -> None:
    table = filled.stores.lake.table(online_table(SHOP_TRADE.name))
    before = table.manifest(PARTITION)
    assert fill_online(filled.stores, REPOSITORY, SHOP_TRADE, cause="again") == before
    assert before is not None
    assert before.is_made_from(SHOP_TRADE.code_version, online_inputs(filled.stores, REPOSITORY, SHOP_TRADE))
    assert before.rows == 1
    document = table.document(PARTITION)
    assert document is not None
    assert document["entities"] == 4
    assert document["materialized_until"] == "2024-03-06"


def test_an_entity_whose_events_were_corrected_away_is_gone(tmp_path: Path) -> None:
    world = World.at(tmp_path, DAYS[-3:])
    source_start = {"start": datetime.fromisoformat(DAYS[-3]).date()}
    repository = Repository(
        {"sales": SOURCE.model_copy(update=source_start)}, REPOSITORY.entities, REPOSITORY.feature_views
    )
    fill_online(world.stores, repository, SHOP_TRADE, cause="first")
    for day in DAYS[-3:]:
        rows = sales(day)
        write_raw(world.stores, day, rows.filter(pc.not_equal(rows["shop"], "shop 2")))
    fill_online(world.stores, repository, SHOP_TRADE, cause="corrected")
    there = read_events(world.stores, repository, SHOP_TRADE, ["shop 2", "shop 1"], [])
    assert list(there) == ["shop 1"]
    assert len(there["shop 1"].times) > 0


def test_requests_are_answered_while_the_state_is_replaced(tmp_path: Path) -> None:
    """Every answer is of one whole state, the older or the newer, and none is refused."""
    world = World.at(tmp_path)
    rows = world.raw()
    days = {"more": sales(DAYS[-2], rows=60), "fewer": sales(DAYS[-2], rows=30)}
    whole = []
    for changed in days.values():
        write_raw(world.stores, DAYS[-2], changed)
        fill_online(world.stores, REPOSITORY, SHOP_TRADE, cause="first")
        whole.append(serve(world.stores, REPOSITORY, SHOP_TRADE, rows))
    assert whole[0] != whole[1]

    def fill_in_turn() -> None:
        for name in ("more", "fewer") * 4:
            write_raw(world.stores, DAYS[-2], days[name])
            fill_online(world.stores, REPOSITORY, SHOP_TRADE, cause="again")

    with ThreadPoolExecutor(1) as pool:
        filling = pool.submit(fill_in_turn)
        while not filling.done():
            assert serve(world.stores, REPOSITORY, SHOP_TRADE, rows) in whole
        filling.result()


# what must be refused, and healed by filling again


def _not_filled(world: World) -> None:
    shutil.rmtree(world.stores.lake.table(online_table(SHOP_TRADE.name)).folder)


def _older_manifest(world: World) -> None:
    """The lake was put back to a state that the store does not hold any more."""
    folder = world.stores.lake.table(online_table(SHOP_TRADE.name)).folder
    shutil.copytree(folder, folder.with_name("kept"))
    for rows in (50, 40):
        write_raw(world.stores, NEWEST, sales(NEWEST, rows=rows))
        fill_online(world.stores, REPOSITORY, SHOP_TRADE, cause="newer")
    shutil.rmtree(folder)
    folder.with_name("kept").rename(folder)


def _store_deleted(world: World) -> None:
    shutil.rmtree(world.stores.home.feast)


def _online_file_deleted(world: World) -> None:
    (world.stores.home.feast / "online.db").unlink()


def _store_emptied(world: World) -> None:
    """As `feast teardown` and `feast apply` leave it."""
    store = open_online_store(world.stores, REPOSITORY)
    states = [store.get_feature_view(slot_view_name(SHOP_TRADE, slot)) for slot in SLOTS]
    store.provider.update_infra("platform_assets", states, [], [], [], partial=True)
    store.provider.update_infra("platform_assets", [], states, [], [], partial=True)


def _store_damaged(world: World) -> None:
    (world.stores.home.feast / "online.db").write_bytes(b"not a database" * 100)


BROKEN = {
    "nothing materialized": (_not_filled, "nothing was materialized yet"),
    "manifest of an older fill": (_older_manifest, "and the lake promises"),
    "store deleted": (_store_deleted, "online.db is gone"),
    "online file deleted": (_online_file_deleted, "online.db is gone"),
    "store emptied": (_store_emptied, "no such table"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_state_that_is_not_the_promised_one_is_refused_and_healed_by_the_next_fill(
    name: str, tmp_path: Path
) -> None:
    harm, message = BROKEN[name]
    world = World.at(tmp_path)
    fill_online(world.stores, REPOSITORY, SHOP_TRADE, cause="first")
    harm(world)
    with pytest.raises(Blocked, match=message):
        serve(world.stores, REPOSITORY, SHOP_TRADE, world.raw())
    fill_online(world.stores, REPOSITORY, SHOP_TRADE, cause="healed")
    rows = world.raw()
    paths = world.stores.lake.table(raw_table("sales")).paths(DAYS)
    expected = trained(SHOP_TRADE, paths, rows, [NEWEST])
    assert_equal(serve(world.stores, REPOSITORY, SHOP_TRADE, rows), expected)


@pytest.mark.parametrize("harm", [Path.unlink, lambda path: path.write_bytes(b"not a database" * 100)])
def test_serving_needs_no_registry(harm, tmp_path: Path) -> None:
    """The lake tells what counts; Feast's registry is for Feast's own clients."""
    world = World.at(tmp_path)
    fill_online(world.stores, REPOSITORY, SHOP_TRADE, cause="first")
    before = serve(world.stores, REPOSITORY, SHOP_TRADE, world.raw())
    harm(world.stores.home.feast / "registry.db")
    assert serve(world.stores, REPOSITORY, SHOP_TRADE, world.raw()) == before


def test_a_damaged_store_is_refused(tmp_path: Path) -> None:
    world = World.at(tmp_path)
    fill_online(world.stores, REPOSITORY, SHOP_TRADE, cause="first")
    _store_damaged(world)
    with pytest.raises(Blocked, match="cannot be read"):
        serve(world.stores, REPOSITORY, SHOP_TRADE, world.raw())
    with pytest.raises(LakeError, match=r"(not a database|malformed).*delete .*online\.db"):
        fill_online(world.stores, REPOSITORY, SHOP_TRADE, cause="again")


def test_another_version_of_the_view_is_refused(filled: World) -> None:
    another = SHOP_TRADE.model_copy(update={"features": SHOP_TRADE.features[:-1]})
    with pytest.raises(Blocked, match=r"v1-.* is declared; materialize online_shop_trade"):
        serve(filled.stores, REPOSITORY, another, filled.raw())
    with pytest.raises(Blocked, match="nothing was materialized yet; materialize online_shop_trade"):
        serve(filled.stores, REPOSITORY, SHOP_TRADE.model_copy(update={"version": 2}), filled.raw())


@pytest.mark.parametrize(
    ("days", "untrusted", "message"),
    [
        pytest.param((), {}, "is empty", id="no raw day"),
        pytest.param(
            (DAYS[-3], NEWEST), {}, "1 raw days .* missing, the first 2024-03-04", id="missing raw day"
        ),
        pytest.param(DAYS, {DAYS[-2]: "red contract"}, "red contract", id="untrusted raw day"),
        pytest.param(DAYS, {DAYS[0]: "red contract"}, None, id="untrusted, but out of reach"),
    ],
)
def test_what_blocks_a_fill(
    days: tuple[str, ...], untrusted: dict[str, str], message: str | None, tmp_path: Path
) -> None:
    world = World.at(tmp_path, days)
    if message is None:
        fill_online(world.stores, REPOSITORY, SHOP_TRADE, cause="test", untrusted=untrusted)
        return
    with pytest.raises(Blocked, match=message):
        fill_online(world.stores, REPOSITORY, SHOP_TRADE, cause="test", untrusted=untrusted)
    assert world.stores.lake.table(online_table(SHOP_TRADE.name)).manifest(PARTITION) is None


def test_a_view_that_is_not_kept_online_is_served_from_the_request_and_never_filled(filled: World) -> None:
    with pytest.raises(Blocked, match="online: false"):
        fill_online(filled.stores, REPOSITORY, SALE_TIME, cause="test")
    served = serve(filled.stores, REPOSITORY, SALE_TIME, filled.raw())
    assert set(served["weekend"]) == {0}  # 2024-03-05 is a Tuesday
    assert set(served["early"]) == {0, 1}


def test_an_entity_that_feast_cannot_look_up_is_refused() -> None:
    entities = {"shop": REPOSITORY.entity("shop").model_copy(update={"join_key": "price"})}
    repository = Repository(REPOSITORY.sources, entities, {SHOP_TRADE.name: SHOP_TRADE})
    with pytest.raises(DeclarationError, match="int64 or string"):
        feast_objects(repository, lambda view: Path(view))


@needs_external
def test_served_card_features_are_the_external_right_answers(tmp_path: Path) -> None:
    """Every row of a real day, against figures nobody in this project made."""
    repository = card_repository()
    source = repository.source("card_transactions")
    stores = Stores.at(Home.at(tmp_path))
    day = "2018-05-31"
    raw = stores.lake.table(raw_table(source.name))
    for path in sorted((EXTERNAL / "card_transactions").glob("*.parquet")):
        if "2018-04-20" <= path.stem <= day:
            rows = pq.read_table(path).select(list(source.column_names))
            rows = rows.append_column(AVAILABLE_AT, rows["TX_DATETIME"].cast(pa.timestamp("us")))
            inputs = {"source": {path.stem: "token"}}
            raw.write(path.stem, rows, key=source.primary_key, code_version="1", inputs=inputs, cause="test")
    requests = raw.read([day])
    right = pq.read_table(EXTERNAL / f"card_features/{day}.parquet").sort_by("TRANSACTION_ID")
    tied = duckdb.sql(f"SELECT TRANSACTION_ID FROM read_csv('{EXTERNAL}/tied_rows.csv')").fetchall()
    keep = ~np.isin(right["TRANSACTION_ID"].to_numpy(), [row[0] for row in tied])
    assert requests["TRANSACTION_ID"].to_pylist() == right["TRANSACTION_ID"].to_pylist()
    for view in repository.feature_views.values():
        if view.online:
            fill_online(stores, repository, view, cause="test")
        for name, values in serve(stores, repository, view, requests).items():
            wrong = np.abs(np.array(values, float) - right[name].to_numpy().astype(float)) > TOLERANCE
            assert not (wrong & keep).any(), name
