"""`feast apply` in feature_repo, and what a plain Feast client sees then."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from sales_world import NEWEST, REPOSITORY, SHOP_TRADE, World

from platform_assets.declaration.repository import read_repository
from platform_assets.home import Home
from platform_assets.online.feast_objects import feast_objects, slot_view_name
from platform_assets.online.online_store import fill_online, open_online_store, serve
from platform_assets.stores import Stores

FEATURE_REPO = Path(__file__).resolve().parents[2] / "feature_repo"


def feast_apply(folder: Path, home: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(Path(sys.executable).parent / "feast"), "apply"],
        cwd=folder,
        env={**os.environ, "PLATFORM_HOME": home},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """The repository as a user has it."""
    return shutil.copytree(FEATURE_REPO, tmp_path / "feature_repo")


def test_feast_apply_registers_what_the_yaml_declares(
    copied: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    done = feast_apply(copied, str(home))
    assert done.returncode == 0, done.stderr
    assert "Created feature view customer_spending__events_a" in done.stdout
    monkeypatch.setenv("PLATFORM_HOME", str(home))

    import feast

    client = feast.FeatureStore(repo_path=str(copied))
    assert {entity.name: entity.join_key for entity in client.list_entities()} == {
        "customer": "CUSTOMER_ID",
        "terminal": "TERMINAL_ID",
        "transaction": "TRANSACTION_ID",
    }
    declared = read_repository([copied])
    for view in declared.feature_views.values():
        seen = client.get_feature_view(view.name)
        types = {"int64": "Int64", "float64": "Float64"}
        assert {f.name: str(f.dtype) for f in seen.features} == {f.name: types[f.type] for f in view.features}
        assert (seen.ttl, seen.online) == (timedelta(days=1), view.online)
        assert seen.tags["code_version"] == view.code_version
    risk = client.get_feature_view("terminal_risk")
    assert {
        k: risk.tags[f"TERMINAL_ID_RISK_7DAY_WINDOW.{k}"] for k in ("function", "window", "delay", "empty")
    } == {
        "function": "mean",
        "window": "7d",
        "delay": "7d",
        "empty": "0.0",
    }
    events = client.get_feature_view("customer_spending__events_b")
    assert {f.name: str(f.dtype) for f in events.features} == {
        "event_us": "Array(Int64)",
        "event_key": "Array(Int64)",
        "value_TX_AMOUNT": "Array(Int64)",
        "state_digest": "String",
        "entities": "Int64",
    }
    assert "transaction_calendar__events_a" not in {v.name for v in client.list_feature_views()}

    # the platform finds everything in place, and registers nothing again
    before = client.get_feature_view("customer_spending").last_updated_timestamp
    store = open_online_store(Stores.at(Home.at(home)), declared)
    assert store.get_feature_view("customer_spending").last_updated_timestamp == before


@pytest.mark.parametrize("home", ["", "relative/home"], ids=["not set", "relative"])
def test_feast_apply_tells_which_variable_is_missing(copied: Path, home: str) -> None:
    done = feast_apply(copied, home)
    assert done.returncode != 0
    assert "set PLATFORM_HOME to the full path" in done.stderr


def test_no_path_of_a_machine_is_written_into_the_repository() -> None:
    for path in FEATURE_REPO.glob("feast*"):
        assert not [word for word in path.read_text().split() if word.startswith(("/home", "/work", "/tmp"))]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    made = World.at(tmp_path_factory.mktemp("home"))
    made.build()
    made.fill()
    return made


def test_applying_again_keeps_what_was_filled(world: World) -> None:
    before = serve(world.stores, REPOSITORY, SHOP_TRADE, world.raw())
    folder = world.stores.lake.root
    store = open_online_store(world.stores, REPOSITORY)
    store.apply(feast_objects(REPOSITORY, lambda view: folder / view.name))
    assert serve(world.stores, REPOSITORY, SHOP_TRADE, world.raw()) == before
    fill_online(world.stores, REPOSITORY, SHOP_TRADE, cause="paths are put right again")
    source = open_online_store(world.stores, REPOSITORY).get_feature_view(SHOP_TRADE.name).batch_source
    assert source.path.endswith("features/shop_trade/current")


def test_a_plain_client_reads_the_lake_as_it_is(world: World) -> None:
    """The stable folder holds the current file of each day; Feast joins it by the as-of offline store."""
    store = open_online_store(world.stores, REPOSITORY)
    rows = world.stores.lake.table("features/shop_trade").read([NEWEST]).to_pandas()
    last = rows[rows["shop"].notna()].sort_values("sold_at").groupby("shop").tail(1)
    alone = last[~last.set_index(["shop", "sold_at"]).index.duplicated(keep=False)]
    asked = pd.DataFrame(
        {
            "shop": alone["shop"],
            "event_timestamp": alone["sold_at"].dt.tz_localize("UTC") + pd.Timedelta("1s"),
        }
    )
    found = store.get_historical_features(asked, features=["shop_trade:sum_1d"]).to_df()
    got = found.set_index("shop")["sum_1d"].sort_index()
    want = alone.set_index("shop")["sum_1d"].sort_index()
    assert len(got) == 4
    # of rows with the same time Feast keeps either; they see each other, so they agree
    assert got.to_list() == pytest.approx(want.to_list())


def test_a_plain_client_reads_the_recent_events(world: World) -> None:
    store = open_online_store(world.stores, REPOSITORY)
    features = [
        f"{slot_view_name(SHOP_TRADE, 'a')}:event_us",
        f"{slot_view_name(SHOP_TRADE, 'a')}:value_price",
    ]
    found = store.get_online_features(features, [{"shop": "shop 1"}, {"shop": "nobody"}]).to_dict()
    raw = pa.concat_tables([world.raw(day) for day in ("2024-03-03", "2024-03-04", NEWEST)])
    raw = raw.filter(pa.compute.equal(raw["shop"], "shop 1")).sort_by([("sold_at", "ascending")])
    assert (
        found["event_us"][0]
        == [int(t.timestamp() * 1e6) for t in raw["sold_at"].to_pandas().dt.tz_localize("UTC")][
            -len(found["event_us"][0]) :
        ]
    )
    assert found["event_us"][1] is None
    assert len(found["value_price"][0]) == len(found["event_us"][0]) > 5
