"""The same requests to Feast's default store: where it agrees, and exactly how it differs (see docs)."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import feast
import pandas as pd
import pyarrow.parquet as pq
import pytest
from feast.infra.offline_stores.file_source import SavedDatasetFileStorage
from feast.types import Int64
from feast_world import AS_OF, day, open_store, source, view

DRIVER = feast.Entity(name="driver", join_keys=["driver"], value_type=feast.ValueType.INT64)
# driver, event, created, value
ROWS = [(1, "01-01", "01-01", 1), (1, "01-02", "01-02", 2), (2, "01-02", "01-05", 20)]


class Case(NamedTuple):
    """What is asked (driver, time), and the values each store answers by the number of the row asked."""

    asked: list[tuple[Any, Any]]
    ours: dict[int, Any]
    dask: dict[int, Any] | None = None  # None: the same
    rows: list[tuple[Any, ...]] = ROWS
    ttl: timedelta | None = None
    created: bool = True
    entities: bool = True
    then: bool = False


DAY = timedelta(days=1)
CASES = {
    "plain": Case([(1, "01-01"), (1, "01-03"), (2, "01-03")], {0: 1, 1: 2, 2: 20}),
    "exactly TTL old": Case([(1, "01-03"), (2, "01-03")], {0: 2, 1: 20}, ttl=DAY),
    "known by then": Case([(1, "01-03"), (2, "01-03"), (2, "01-06")], {0: 2, 1: None, 2: 20}, then=True),
    "a tie: created last": Case([(1, "01-05")], {0: 1}, rows=[(1, "01-01", "01-03", 1), (1, "01-01", "01-02", 2)]),
    "a tie: last in the file": Case([(1, "01-05")], {0: 2}, rows=[(1, "01-01", None, n) for n in (1, 2)], created=False),
    "created at no time": Case([(1, "01-05")], {0: 2}, rows=[(1, "01-01", None, 1), (1, "01-01", "01-02", 2)]),
    "created at no time, known by then": Case(
        [(1, "01-05")], {0: 1}, rows=[(1, "01-01", "01-01", 1), (1, "01-02", None, 2)], then=True
    ),
    "a feature that is null": Case([(1, "01-05")], {0: None}, rows=[(1, "01-01", "01-01", 1), (1, "01-02", "01-02", None)]),
    "an unknown entity": Case([(1, "01-03"), (9, "01-03")], {0: 2, 1: None}),
    "no key": Case([(1, "01-03"), (None, "01-03")], {0: 2, 1: None}),
    "no entities": Case([(1, "01-03"), (2, "01-01")], {0: 20, 1: 1}, entities=False),
    # and where rows get lost
    "doubled rows": Case([(1, "01-03"), (1, "01-03")], {0: 2, 1: 2}, {1: 2}),
    "only future features": Case([(1, "01-03"), (2, "01-01")], {0: 2, 1: None}, {0: 2}),
    "older than TTL": Case([(1, "01-03"), (2, "01-04")], {0: 2, 1: None}, {0: 2}, ttl=DAY),
    "no time": Case([(1, "01-03"), (1, None)], {0: 2, 1: None}, {0: 2}),
    "no entities, one time twice": Case([(1, "01-03"), (2, "01-03")], {0: 20, 1: 20}, {1: 20}, entities=False),
}  # fmt: skip


def answered(repo: Path, case: Case, offline: str) -> dict[int, Any]:
    stats = view(
        "stats",
        source("stats.parquet", created_timestamp_column="created" if case.created else ""),
        [DRIVER] if case.entities else [],
        case.ttl,
        g=Int64,
    )
    store = open_store(repo, DRIVER, stats, offline=offline)
    asked = pd.DataFrame(
        {
            "driver": [who for who, _ in case.asked],
            "event_timestamp": pd.to_datetime([at and day(at) for _, at in case.asked], utc=True),
            "row": range(len(case.asked)),
        }
    )
    found = store.get_historical_features(asked, ["stats:g"], filter_by_created_timestamp=case.then).to_df()
    return {row: None if pd.isna(g) else g for row, g in zip(found["row"], found["g"], strict=True)}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_beside_dask(tmp_path: Path, case: Case) -> None:
    pd.DataFrame(
        {
            "driver": [row[0] for row in case.rows],
            "ts": [day(row[1]) for row in case.rows],
            "created": pd.to_datetime([row[2] and day(row[2]) for row in case.rows], utc=True),
            "g": [row[3] for row in case.rows],
        }
    ).to_parquet(tmp_path / "stats.parquet")
    assert list(answered(tmp_path, case, AS_OF).items()) == list(case.ours.items())  # in order
    assert answered(tmp_path, case, "dask") == (case.ours if case.dask is None else case.dask)


@pytest.mark.parametrize(("offline", "rows"), [(AS_OF, 1), ("dask", 2)], ids=["ours", "dask"])
def test_a_saved_folder_that_is_overwritten(tmp_path: Path, offline: str, rows: int) -> None:
    pd.DataFrame({"driver": [1], "ts": [day("01-01")], "g": [1]}).to_parquet(tmp_path / "stats.parquet")
    stats = view("stats", source(str(tmp_path / "stats.parquet")), [DRIVER], None, g=Int64)
    store = open_store(tmp_path, DRIVER, stats, offline=offline)
    asked = pd.DataFrame({"driver": [1], "event_timestamp": [day("01-02")]})
    storage = SavedDatasetFileStorage(str(tmp_path / "saved"))
    for _ in range(2):
        job = store.get_historical_features(asked, ["stats:g"])
        store.create_saved_dataset(job, "training", storage, allow_overwrite=True)
    assert pq.read_table(tmp_path / "saved").num_rows == rows


@pytest.mark.parametrize(("offline", "keys"), [(AS_OF, [1]), ("dask", [1, None])], ids=["ours", "dask"])
def test_a_row_without_key_is_no_entity(tmp_path: Path, offline: str, keys: list[Any]) -> None:
    frame = pd.DataFrame({"driver": pd.array([1, None], "Int64"), "ts": day("01-01"), "g": [1, 2]})
    frame.to_parquet(tmp_path / "stats.parquet")
    store = open_store(tmp_path, offline=offline)
    job = store._get_provider().offline_store.pull_latest_from_table_or_query(
        store.config,
        source(str(tmp_path / "stats.parquet")),
        ["driver"],
        ["g"],
        "ts",
        None,
        day("01-01"),
        day("01-02"),
    )
    assert [None if pd.isna(key) else key for key in job.to_df()["driver"]] == keys
