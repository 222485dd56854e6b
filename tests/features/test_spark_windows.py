"""Spark computes the same features from the same declaration."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import function_world
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from platform_assets.declaration.feature_view import Entity, Feature, FeatureView
from platform_assets.declaration.repository import read_repository
from platform_assets.declaration.source import Column, Source
from platform_assets.features.compute import compute_features
from platform_assets.features.spark import compute_features_on_spark, local_spark

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.spark

CHECKOUT = Path(__file__).resolve().parents[2]
START = date(2018, 4, 1)
DAYS = 50


@pytest.fixture(scope="module")
def session() -> Iterator[SparkSession]:
    with local_spark(cores=2) as session:
        yield session


@pytest.fixture(scope="module")
def card_days(tmp_path_factory: Any) -> list[str]:
    """Fifty days of card payments, whole seconds, with ties and windows that end at exact edges."""
    folder = tmp_path_factory.mktemp("raw")
    rng = np.random.default_rng(1)
    files = []
    for number in range(DAYS):
        n = 300
        second = rng.choice(np.concatenate([[0, 0, 43_200, 86_399], rng.integers(0, 86_400, 200)]), n)
        began = datetime.combine(START + timedelta(days=number), datetime.min.time(), UTC).replace(
            tzinfo=None
        )
        moment = pa.array([began + timedelta(seconds=int(s)) for s in second], pa.timestamp("us"))
        table = pa.table(
            {
                "TRANSACTION_ID": pa.array(np.arange(n) + 1000 * number),
                "TX_DATETIME": moment,
                "CUSTOMER_ID": pa.array(rng.integers(0, 20, n)),
                "TERMINAL_ID": pa.array(rng.integers(0, 25, n)),
                "TX_AMOUNT": pa.array(rng.integers(0, 30_000, n) / 100),
                "TX_FRAUD": pa.array((rng.random(n) < 0.1).astype(np.int64)),
                "_available_at": moment,
            }
        )
        files.append(str(folder / f"{number:02d}.parquet"))
        pq.write_table(table, files[-1])
    return files


@pytest.mark.parametrize("name", ["customer_spending", "terminal_risk", "transaction_calendar"])
def test_equal_to_duckdb(session: SparkSession, card_days: list[str], name: str) -> None:
    repository = read_repository([CHECKOUT / "feature_repo"])
    view = repository.feature_view(name)
    source, entity = repository.source(view.source), repository.entity_of(view)
    days = [(START + timedelta(days=number)).isoformat() for number in (10, 40, 49)]
    on_spark = compute_features_on_spark(session, source, entity, view, card_days, days).sort_by(
        "TRANSACTION_ID"
    )
    on_duckdb = compute_features(source, entity, view, card_days, days).sort_by("TRANSACTION_ID")
    assert on_spark.num_rows == 900
    assert [(f.name, f.type) for f in on_spark.schema] == [(f.name, f.type) for f in on_duckdb.schema]
    for column in on_duckdb.column_names:
        ours, theirs = on_duckdb.column(column), on_spark.column(column)
        if column in view.feature_names and view.features[view.feature_names.index(column)].type == "float64":
            assert ours.is_null().equals(theirs.is_null())
            worst = pc.max(pc.abs(pc.subtract(ours, theirs))).as_py()
            assert worst is None or worst <= 1e-9
        else:
            assert ours.equals(theirs)


ODD = Source(
    name="events",
    owners=("team:x",),
    location="x",
    start=START,
    columns=(
        Column(name="id", type="int64"),
        Column(name="at", type="timestamp"),
        Column(name="who", type="int64", nullable=True),
        Column(name="maybe", type="float64", scale=2, nullable=True),
        Column(name="free", type="float64", nullable=True),
    ),
    primary_key=("id",),
    event_timestamp="at",
    contract="x.json",
)
WHO = Entity(name="who", join_key="who")


def odd_view(*features: dict[str, Any]) -> FeatureView:
    named = [Feature(**{"name": f"f{i}", "window": "1d", **f}) for i, f in enumerate(features)]
    return FeatureView(name="v", owners=("team:x",), source="events", entity="who", features=named)


def test_nulls_ties_and_the_current_row_left_out(session: SparkSession, tmp_path: Path) -> None:
    """What the two dialects say differently must mean the same."""
    rng = np.random.default_rng(2)
    n = 400
    began = datetime(2018, 4, 1, tzinfo=UTC).replace(tzinfo=None)
    moments = pa.array([began + timedelta(hours=int(h)) for h in rng.integers(0, 96, n)], pa.timestamp("us"))
    table = pa.table(
        {
            "id": pa.array(np.arange(n)),
            "at": moments,
            "who": pa.array(rng.integers(0, 9, n), mask=rng.random(n) < 0.1),
            "maybe": pa.array(rng.integers(-999, 999, n) / 100, mask=rng.random(n) < 0.3),
            "free": pa.array(np.where(rng.random(n) < 0.2, np.nan, rng.normal(size=n))),
            "_available_at": moments,
        }
    )
    path = str(tmp_path / "raw.parquet")
    pq.write_table(table, path)
    view = odd_view(
        {"function": "count"},
        {"function": "count", "column": "maybe", "delay": "12h"},
        {"function": "count", "column": "maybe", "include_current_row": False},
        {"function": "sum", "column": "maybe", "include_current_row": False},
        {"function": "mean", "column": "maybe", "include_current_row": False, "empty": -1},
        {"function": "mean", "column": "free"},
        {"function": "min", "column": "maybe"},
        {"function": "max", "column": "free", "delay": "1d"},
    )
    days = [(START + timedelta(days=number)).isoformat() for number in range(4)]
    on_spark = compute_features_on_spark(session, ODD, WHO, view, [path], days).sort_by("id").to_pydict()
    on_duckdb = compute_features(ODD, WHO, view, [path], days).sort_by("id").to_pydict()
    for name in view.feature_names:
        assert on_spark[name] == pytest.approx(on_duckdb[name], abs=1e-9), name
    assert len(on_spark["id"]) == n


@pytest.fixture(scope="module", params=["who", ["who", "place"]], ids=["one entity", "a pair"])
def both_engines(request: Any, session: SparkSession, tmp_path_factory: Any) -> Any:
    """Every function in every window, and expressions over them, on both engines."""
    rows = function_world.random_rows()
    pq.write_table(rows, path := tmp_path_factory.mktemp("functions") / "raw.parquet")
    view = function_world.view_of(*FUNCTIONS.values(), *function_world.DERIVED, entity=request.param)
    entity = function_world.repository_of(view).entity_of(view)
    days = ["2020-01-06", "2020-01-07", "2020-01-08", "2020-01-09"]
    key = [("till", "ascending"), ("slip", "ascending")]
    source = function_world.SOURCE
    return (
        view,
        compute_features_on_spark(session, source, entity, view, [str(path)], days).sort_by(key),
        compute_features(source, entity, view, [str(path)], days).sort_by(key),
    )


FUNCTIONS = function_world.features()


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [*(f"f{number}" for number in range(len(FUNCTIONS))), *(told["name"] for told in function_world.DERIVED)],
    ids=[*FUNCTIONS, *(told["name"] for told in function_world.DERIVED)],
)
def test_every_function_in_every_window(both_engines: Any, name: str) -> None:
    view, on_spark, on_duckdb = both_engines
    feature = view.feature(name)
    got, want = on_spark.column(name), on_duckdb.column(name)
    assert got.type == want.type
    assert got.is_null().equals(want.is_null())
    if feature.column == "free" and feature.function in ("sum", "mean", "stddev"):
        close = np.isclose(got.drop_null(), want.drop_null(), rtol=1e-12, atol=1e-12)
        assert close.all()
    else:
        assert got.equals(want)
