"""Saved datasets, exports, offline writes and logs: whole, appended in order, and read back."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import feast
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from feast.data_source import PushMode
from feast.errors import SavedDatasetLocationAlreadyExists
from feast.feature_logging import LoggingConfig
from feast.infra.offline_stores.file_source import FileLoggingDestination, SavedDatasetFileStorage
from feast.types import Float64, Int64
from feast_world import day, open_store, source, view

from platform_assets.errors import SourceError
from platform_assets.offline_store import parquet_writes

DRIVER = feast.Entity(name="driver", join_keys=["driver"], value_type=feast.ValueType.INT64)
FRAME = pd.DataFrame({"driver": [1, 2], "ts": [day("01-01"), day("01-02")], "f": [1.0, 2.0], "g": [1, 2]})
ASKED = pd.DataFrame({"driver": [2, 1, 2], "event_timestamp": [day("01-05"), day("01-06"), day("01-01")]})


def stats_store(repo: Path, path: str = "stats.parquet", **changes: Any) -> feast.FeatureStore:
    stats = view("stats", source(path, **changes), [DRIVER], timedelta(days=30), f=Float64, g=Int64)
    return open_store(repo, DRIVER, stats, staging_location="exports")


@pytest.fixture
def stats(tmp_path: Path) -> feast.FeatureStore:
    FRAME.to_parquet(tmp_path / "stats.parquet")
    return stats_store(tmp_path)


def asked(store: feast.FeatureStore) -> Any:
    return store.get_historical_features(ASKED, ["stats:f", "stats:g"])


def values(table: Any, name: str = "g") -> list[Any]:
    return [None if pd.isna(value) else value for value in table.to_df()[name]]


@pytest.mark.parametrize("path", ["saved.parquet", "saved"])
def test_saved_datasets(stats: feast.FeatureStore, tmp_path: Path, path: str) -> None:
    storage = SavedDatasetFileStorage(path)
    made = stats.create_saved_dataset(asked(stats), "training", storage)
    assert values(made) == [2, 1, None]
    assert values(stats.get_saved_dataset("training")) == [2, 1, None]
    with pytest.raises(SavedDatasetLocationAlreadyExists):
        stats.create_saved_dataset(asked(stats), "training", storage)
    again = stats.get_historical_features(ASKED.head(1), ["stats:f", "stats:g"])
    made = stats.create_saved_dataset(again, "training", storage, allow_overwrite=True)
    assert values(made) == [2]
    # the last rows are all there is, and nothing half-written
    assert pq.read_table(tmp_path / path).num_rows == 1
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_a_saved_dataset_of_no_rows(stats: feast.FeatureStore, tmp_path: Path) -> None:
    nobody = stats.get_historical_features(ASKED.head(0), ["stats:g"])
    stats.create_saved_dataset(nobody, "nobody", SavedDatasetFileStorage("nobody"))
    assert pq.read_table(tmp_path / "nobody").schema.names == ["driver", "event_timestamp", "g"]


def test_a_failed_write_leaves_what_was_there(stats: feast.FeatureStore, tmp_path: Path) -> None:
    storage = SavedDatasetFileStorage("saved")
    stats.create_saved_dataset(asked(stats), "training", storage)
    job = asked(stats)
    (tmp_path / "stats.parquet").unlink()
    with pytest.raises(SourceError, match="cannot be read"):
        job.persist(storage, allow_overwrite=True)
    assert pq.read_table(tmp_path / "saved").num_rows == 3
    assert sorted(p.name for p in tmp_path.iterdir() if p.name.startswith(".")) == []


@pytest.mark.parametrize("there", ["a file without suffix", "a folder.parquet"])
def test_what_is_replaced_may_be_of_the_other_kind(
    stats: feast.FeatureStore, tmp_path: Path, there: str
) -> None:
    if there.endswith(".parquet"):
        (tmp_path / there).mkdir()
        FRAME.to_parquet(tmp_path / there / "old.parquet")
    else:
        (tmp_path / there).write_text("old")
    storage = SavedDatasetFileStorage(there)
    made = stats.create_saved_dataset(asked(stats), "training", storage, allow_overwrite=True)
    assert values(made) == [2, 1, None]
    assert (tmp_path / there).is_dir()
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_a_folder_that_cannot_be_put_in_place_leaves_the_old_one(
    stats: feast.FeatureStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = SavedDatasetFileStorage("saved")
    stats.create_saved_dataset(asked(stats), "training", storage)
    replace = Path.replace

    def fails_once(path: Path, target: Path) -> Path:
        if target == tmp_path / "saved":
            monkeypatch.undo()
            raise OSError("no")
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", fails_once)
    with pytest.raises(OSError, match="no"):
        stats.get_historical_features(ASKED.head(1), ["stats:g"]).persist(storage, allow_overwrite=True)
    assert pq.read_table(tmp_path / "saved").num_rows == 3
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_batches_and_exports(
    stats: feast.FeatureStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = pd.DataFrame({"driver": 1, "n": range(300_000), "event_timestamp": day("01-05")})
    job = stats.get_historical_features(frame, ["stats:g"])
    batches = list(job.to_batches())
    assert len(batches) > 1
    assert pa.Table.from_batches(batches).column("n").to_pylist() == list(range(300_000))
    monkeypatch.setattr(parquet_writes, "ROWS_IN_A_FILE", 200_000)
    assert job.supports_remote_storage_export()
    paths = job.to_remote_storage()
    assert [Path(path).name for path in paths] == ["part-00000.parquet", "part-00001.parquet"]
    assert all(Path(path).is_relative_to(tmp_path / "exports") for path in paths)
    assert pq.read_table(paths).column("n").to_pylist() == list(range(300_000))


MORE = FRAME.assign(g=[10, 20], f=[0.5, 0.25])


def test_writing_to_a_file_adds_after_what_is_there(stats: feast.FeatureStore, tmp_path: Path) -> None:
    stats.write_to_offline_store("stats", MORE[["g", "f", "ts", "driver"]])
    assert pd.read_parquet(tmp_path / "stats.parquet")["g"].to_list() == [1, 2, 10, 20]
    assert values(asked(stats)) == [20, 10, None]  # of equal rows the last counts


def test_writing_to_a_folder_adds_a_file(tmp_path: Path) -> None:
    (tmp_path / "all").mkdir()
    FRAME.to_parquet(tmp_path / "all/part-0.parquet")
    store = stats_store(tmp_path, "all")
    store.write_to_offline_store("stats", MORE)
    assert len(list((tmp_path / "all").iterdir())) == 2
    assert values(asked(store)) == [20, 10, None]


def test_writing_to_partitions(tmp_path: Path) -> None:
    for driver in (1, 2):
        folder = tmp_path / f"all/driver={driver}"
        folder.mkdir(parents=True)
        FRAME[FRAME["driver"] == driver].drop(columns="driver").to_parquet(folder / "a.parquet", index=False)
    store = stats_store(tmp_path, "all")
    store.write_to_offline_store("stats", pd.concat([MORE, MORE.assign(driver=3)]))
    assert sorted(p.name for p in (tmp_path / "all").iterdir()) == ["driver=1", "driver=2", "driver=3"]
    assert values(asked(store)) == [20, 10, None]


def test_columns_of_other_names_are_written_under_their_own(tmp_path: Path) -> None:
    FRAME.rename(columns={"f": "raw"}).to_parquet(tmp_path / "stats.parquet")
    store = stats_store(tmp_path, field_mapping={"raw": "f"})
    store.write_to_offline_store("stats", MORE.rename(columns={"f": "raw"}))
    assert values(asked(store), "f") == [0.25, 0.5, None]


def test_pushing_reaches_both_stores(tmp_path: Path) -> None:
    FRAME.to_parquet(tmp_path / "stats.parquet")
    push = feast.PushSource(name="push", batch_source=source("stats.parquet"))
    store = open_store(tmp_path, DRIVER, view("stats", push, [DRIVER], None, g=Int64))
    store.push("push", MORE, to=PushMode.ONLINE_AND_OFFLINE)
    assert values(store.get_historical_features(ASKED, ["stats:g"])) == [20, 10, None]
    assert store.get_online_features(["stats:g"], [{"driver": 2}]).to_dict()["g"] == [20]


LISTS = FRAME.assign(f=[[1.0], [2.0]])
WRONG = {
    "a column too many": (FRAME.assign(x=1), "an unknown column 'x'"),
    "a column missing": (FRAME.drop(columns="f"), "no column 'f'"),
    "another type": (FRAME.astype({"g": str}).assign(g="x"), "column 'g' of the rows to write is .*string"),
    "a type that nothing casts": (LISTS, "column 'f' of the rows to write is list<.*>, and the files have"),
}


@pytest.mark.parametrize("path", ["stats.parquet", "all"])
@pytest.mark.parametrize(("frame", "says"), WRONG.values(), ids=WRONG.keys())
def test_rows_that_do_not_fit_are_refused(tmp_path: Path, path: str, frame: Any, says: str) -> None:
    target = tmp_path / path / "a.parquet" if path == "all" else tmp_path / path
    target.parent.mkdir(exist_ok=True)
    FRAME.to_parquet(target)
    store = stats_store(tmp_path, path)
    content = {p: p.read_bytes() for p in tmp_path.rglob("*.parquet")}
    table = pa.Table.from_pandas(frame, preserve_index=False)
    with pytest.raises(SourceError, match=says):
        store._get_provider().ingest_df_to_offline_store(store.get_feature_view("stats"), table)
    assert {p: p.read_bytes() for p in tmp_path.rglob("*.parquet")} == content
    assert not list(tmp_path.rglob("*.tmp"))


def test_a_glob_cannot_be_written_to(tmp_path: Path) -> None:
    FRAME.to_parquet(tmp_path / "a.parquet")
    store = stats_store(tmp_path, "*.parquet")
    with pytest.raises(SourceError, match="is a pattern, so there is no one place to write to"):
        store.write_to_offline_store("stats", MORE)


@pytest.mark.parametrize("partition_by", [None, ["driver"]], ids=["one folder", "partitioned"])
def test_served_features_are_logged(stats: feast.FeatureStore, tmp_path: Path, partition_by: Any) -> None:
    service = feast.FeatureService(
        name="ride",
        features=[stats.get_feature_view("stats")],
        logging_config=LoggingConfig(
            destination=FileLoggingDestination(path="logs", partition_by=partition_by)
        ),
    )
    stats.apply([service])
    log = pa.table(
        {
            "driver": [1],
            "stats__f": [0.5],
            "stats__f__timestamp": [day("01-01")],
            "stats__f__status": pa.array([2], pa.int32()),
            "stats__g": [7],
            "stats__g__timestamp": [day("01-01")],
            "stats__g__status": pa.array([2], pa.int32()),
            "__log_timestamp": [day("01-03")],
            "__log_date": [day("01-03").date()],
            "__request_id": ["one"],
        }
    )
    stats.write_logged_features(log, service)
    pq.write_table(log, tmp_path / "chunk.parquet")
    stats.write_logged_features(tmp_path / "chunk.parquet", service)
    read = stats._get_provider().retrieve_feature_service_logs(
        service, day("01-01"), day("01-31"), stats.config, stats.registry
    )
    assert read.to_df()["stats__g"].to_list() == [7, 7]
    assert not list((tmp_path / "logs").rglob("*.tmp"))
