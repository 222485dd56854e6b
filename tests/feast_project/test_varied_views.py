"""Views of other shapes: several join keys, mapped columns, no entity, no TTL, an alias, lists and dates."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from applied_here import apply_here
from driver_world import SETTINGS

from platform_assets.declaration.feast_project import Project, TrainingSet
from platform_assets.evidence.evidence import Verdict
from platform_assets.feast_project.latest_rows import build_latest
from platform_assets.feast_project.online_rows import read_online
from platform_assets.feast_project.online_state import fill_online
from platform_assets.feast_project.open_project import OpenProject, open_project
from platform_assets.feast_project.service_parity import service_parity
from platform_assets.feast_project.training_set import build_training_set
from platform_assets.feast_project.view_parity import view_parity
from platform_assets.home import Home
from platform_assets.stores import Stores

DEFINITIONS = """\
from datetime import timedelta

from feast import Entity, FeatureView, Field, FileSource, ValueType
from feast.types import Array, Bool, Float32, Float64, Int32, Int64, String, UnixTimestamp

shop = Entity(name="shop", join_keys=["shop_id"], value_type=ValueType.STRING)
item = Entity(name="item", join_keys=["item_id"], value_type=ValueType.INT64)

sold = FileSource(
    name="sold", path="data/sold", timestamp_field="at", field_mapping={"n": "pieces", "shop": "shop_id"}
)
sales = FeatureView(
    name="sales",
    entities=[shop, item],
    ttl=timedelta(0),
    schema=[Field(name="pieces", dtype=Int64), Field(name="open", dtype=Bool),
            Field(name="last_sold", dtype=UnixTimestamp), Field(name="prices", dtype=Array(Float64))],
    source=sold,
)
weather = FeatureView(
    name="weather",
    entities=[],
    ttl=timedelta(hours=2),
    schema=[Field(name="degrees", dtype=Float64), Field(name="rain", dtype=Int32)],
    source=FileSource(name="weather_source", path="data/weather.parquet", timestamp_field="at"),
)
offline_only = FeatureView(
    name="offline_only",
    entities=[shop],
    ttl=timedelta(days=3650),
    schema=[Field(name="opened", dtype=Int64)],
    source=FileSource(name="shops", path="data/shops.parquet", timestamp_field="at"),
    online=False,
)
"""
NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> OpenProject:
    folder = tmp_path_factory.mktemp("shops")
    repo = folder / "repo"
    (repo / "data" / "sold").mkdir(parents=True)
    (repo / "feature_store.yaml").write_text(SETTINGS.replace("project: rides", "project: shops"))
    (repo / "shop_definitions.py").write_text(DEFINITIONS)
    write(repo)
    home = Home.at(folder / "home")
    snapshot = apply_here(home, "shops", repo)
    project = Project(name="shops", repo="repo", owners=("team:shops",), as_of="newest")
    return open_project(Stores.at(home), project, repo, snapshot)


def write(repo: Path) -> None:
    """Naive timestamps in two files for one source; nanoseconds for another; a null list and a null date."""
    naive = NOON.replace(tzinfo=None)
    for number, hours in enumerate((5, 1)):
        pq.write_table(
            pa.table(
                {
                    "shop": ["a", "a", "b"],
                    "item_id": pa.array([1, 2, 1], pa.int64()),
                    "at": pa.array([naive - timedelta(hours=hours)] * 3, pa.timestamp("us")),
                    "n": pa.array([number, 10 + number, None], pa.int64()),
                    "open": [True, None, False],
                    "last_sold": pa.array([naive, None, naive], pa.timestamp("us")),
                    "prices": pa.array([[1.5, 2.5], [], None], pa.list_(pa.float64())),
                }
            ),
            repo / "data" / "sold" / f"{number}.parquet",
        )
    times = [NOON - timedelta(hours=hours) for hours in (3, 2, 1)]
    pq.write_table(
        pa.table(
            {
                "at": pa.array(times, pa.timestamp("ns", tz="UTC")),
                "degrees": [9.5, 10.25, 11.0],
                "rain": pa.array([0, 1, 2], pa.int32()),
            }
        ),
        repo / "data" / "weather.parquet",
    )
    pq.write_table(
        pa.table(
            {
                "shop_id": ["a", "b"],
                "at": pa.array([NOON] * 2, pa.timestamp("us", tz="UTC")),
                "opened": [1, 2],
            }
        ),
        repo / "data" / "shops.parquet",
    )
    pq.write_table(
        pa.table(
            {
                "shop_id": ["a", "b", "c", "a"],
                "item_id": pa.array([1, 1, 1, 9], pa.int64()),
                "event_timestamp": pa.array(
                    [NOON, NOON - timedelta(hours=4), NOON, NOON], pa.timestamp("us", tz="UTC")
                ),
            }
        ),
        repo / "data" / "frame.parquet",
    )


@pytest.mark.parametrize(("name", "entities"), [("sales", 3), ("weather", 1)])
def test_online_equals_training(opened: OpenProject, name: str, entities: int) -> None:
    view = opened.snapshot.view(name)
    build_latest(opened, view, NOON, cause="test")
    fill_online(opened, view, cause="test")
    evidence = view_parity(opened, view)
    assert evidence.verdict is Verdict.PASSED, (evidence.reason, evidence.measured)
    assert evidence.measured["entities"] == entities


def test_values_are_stored_under_their_mapped_names(opened: OpenProject) -> None:
    view = opened.snapshot.view("sales")
    build_latest(opened, view, NOON, cause="test")
    fill_online(opened, view, cause="test")
    keys = pa.table({"shop_id": ["a", "b"], "item_id": pa.array([2, 1], pa.int64())})
    found = read_online(opened, view, keys)
    assert found.values["pieces"] == [11, None]
    assert found.values["open"] == [None, False]
    assert found.times == [NOON - timedelta(hours=1)] * 2


def test_training_sets_over_several_views(opened: OpenProject) -> None:
    declared = TrainingSet(
        name="all_views",
        entities="data/frame.parquet",
        features=("sales:pieces", "weather:degrees", "offline_only:opened"),
    )
    manifest = build_training_set(opened, declared, cause="test")
    rows = opened.stores.lake.table(manifest.table).read(["all"])
    assert rows.column("pieces").to_pylist() == [1, None, None, None]
    assert rows.column("degrees").to_pylist() == [11.0, None, 11.0, 11.0]
    assert rows.column("opened").to_pylist() == [1, None, None, 1]


def test_vectors_over_several_keys_are_served_as_trained(opened: OpenProject) -> None:
    for name in ("sales", "weather"):
        build_latest(opened, opened.snapshot.view(name), NOON, cause="test")
        fill_online(opened, opened.snapshot.view(name), cause="test")
    features = ("sales:pieces", "sales:open")
    pair = TrainingSet(name="pair", entities="data/frame.parquet", features=features)
    evidence = service_parity(opened, pair)
    assert evidence.verdict is Verdict.PASSED, (evidence.reason, evidence.measured)
    # Feast refuses such a request of anybody
    both = TrainingSet(name="both", entities="data/frame.parquet", features=(*features, "weather:rain"))
    evidence = service_parity(opened, both)
    assert (evidence.verdict, "over weather, which has no entity" in evidence.reason) == (
        Verdict.UNKNOWN,
        True,
    )
