"""Rows pulled from a source: for materialization, saved datasets and logs."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import feast
import pandas as pd
import pyarrow as pa
import pytest
from feast.types import Float64, Int64
from feast_world import day, open_store, source, view
from hypothesis import given, settings
from hypothesis import strategies as st

DRIVER = feast.Entity(name="driver", join_keys=["driver"], value_type=feast.ValueType.INT64)
TIMES = ("ts", "created")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> feast.FeatureStore:
    return open_store(tmp_path_factory.mktemp("repo"))


def pull(
    store: Any, frame: pd.DataFrame, how: str, keys: list[str], start: Any, end: Any, created: Any = "created"
) -> pa.Table:
    frame.to_parquet(Path(store.config.repo_path) / "rows.parquet")
    method = getattr(store._get_provider().offline_store, f"pull_{how}_from_table_or_query")
    return method(store.config, source("rows.parquet"), keys, ["g"], "ts", created, start, end).to_arrow()


HOUR = st.integers(1, 6)
ROW = st.tuples(st.sampled_from([1, 2, None]), HOUR, st.one_of(st.none(), HOUR))


@settings(max_examples=40, deadline=None)
@given(
    made=st.lists(ROW, max_size=12),
    keys=st.sampled_from([["driver"], []]),
    start=HOUR,
    end=HOUR,
    created=st.booleans(),
)
def test_newest_and_all_equal_a_plain_loop(
    store: Any, made: Any, keys: Any, start: int, end: int, created: bool
) -> None:
    def at(hour: int | None) -> datetime | None:
        return None if hour is None else day(f"01-01 0{hour}:00")

    frame = pd.DataFrame(
        {
            "driver": pd.array([row[0] for row in made], "Int64"),
            "ts": pd.to_datetime([at(row[1]) for row in made], utc=True),
            "created": pd.to_datetime([at(row[2]) for row in made], utc=True),
            "g": range(len(made)),
        }
    ).astype({"g": "int64"})
    column = "created" if created else None
    within = [(n, row) for n, row in enumerate(made) if start <= row[1] <= end]
    everything = pull(store, frame, "all", keys, at(start), at(end), column)
    if not keys:  # by time, for Feast writes them online one after the other
        within.sort(key=lambda pair: (pair[1][1], (pair[1][2] or 0) if created else 0, pair[0]))
    assert everything.column("g").to_pylist() == [n for n, _ in within]

    newest: dict[Any, tuple[Any, ...]] = {}
    for n, (driver, event, known) in within:
        who = driver if keys else ""
        if who is not None:
            newest[who] = max(newest.get(who, ()), (event, known or 0 if created else 0, n))
    latest = pull(store, frame, "latest", keys, at(start), at(end), column)
    assert sorted(latest.column("g").to_pylist()) == sorted(best[-1] for best in newest.values())
    for name in TIMES[: 1 + created]:
        assert latest.schema.field(name).type == pa.timestamp("us", tz="UTC")
    if not keys:
        assert set(latest.column("__dummy_id").to_pylist()) <= {""}


def test_naive_ends_are_utc_and_both_included(store: Any) -> None:
    frame = pd.DataFrame(
        {"driver": [1, 1], "ts": [day("01-01"), day("01-02")], "created": day("01-03"), "g": [1, 2]}
    )
    ends = datetime(2024, 1, 1), datetime(2024, 1, 2)
    assert pull(store, frame, "all", ["driver"], *ends).column("g").to_pylist() == [1, 2]
    assert pull(store, frame, "all", ["driver"], None, ends[0]).column("g").to_pylist() == [1]
    assert pull(store, frame, "all", ["driver"], ends[1], None).column("g").to_pylist() == [2]


def test_without_features_every_column(store: Any) -> None:
    frame = pd.DataFrame(
        {"driver": [1], "ts": [day("01-01")], "created": [day("01-01")], "g": [1], "other": ["x"]}
    )
    frame.to_parquet(Path(store.config.repo_path) / "rows.parquet")
    job = store._get_provider().offline_store.pull_all_from_table_or_query(
        store.config, source("rows.parquet"), ["driver"], [], "ts"
    )
    assert job.to_arrow().column_names == list(frame.columns)


@pytest.mark.parametrize("unit", ["us", "ns"])
@pytest.mark.parametrize("zone", [None, "UTC"])
@pytest.mark.parametrize("pull_latest", [False, True], ids=["all rows", "newest rows"])
def test_feast_materializes_from_it(tmp_path: Path, unit: str, zone: str | None, pull_latest: bool) -> None:
    frame = pd.DataFrame(
        {
            "drv": [1, 1, 2, 2],
            "ts": pd.to_datetime([day(f"01-0{n}") for n in (1, 2, 1, 9)]).tz_convert(zone).as_unit(unit),
            "f": [1.0, 2.0, 3.0, 4.0],
            "g": [1, 2, 3, 4],
        }
    )
    frame.to_parquet(tmp_path / "stats.parquet")
    files = source("stats.parquet", field_mapping={"drv": "driver", "f": "rate"})
    store = open_store(
        tmp_path,
        DRIVER,
        view("stats", files, [DRIVER], None, rate=Float64, g=Int64),
        view("everybody", source("stats.parquet", name="again"), [], None, g=Int64),
    )
    store.config.materialization_config.pull_latest_features = pull_latest
    store.materialize(day("01-01"), day("01-03"))
    found = store.get_online_features(["stats:rate", "stats:g"], [{"driver": 1}, {"driver": 2}]).to_dict()
    assert found == {"driver": [1, 2], "rate": [2.0, 3.0], "g": [2, 3]}
    # an entity-less view asked alone needs Feast's stand-in for a key
    assert store.get_online_features(["everybody:g"], [{"__dummy_id": ""}]).to_dict()["g"] == [2]
