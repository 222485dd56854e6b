"""Files, folders, globs and partitions of a source, and what is wrong with some of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import feast
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from feast.types import Float64, Int64
from feast_world import day, open_store, source, view

from platform_assets.errors import PlatformError, SourceError

DRIVER = feast.Entity(name="driver", join_keys=["driver"], value_type=feast.ValueType.INT64)
ASKED = pd.DataFrame({"driver": [1, 2, 3], "event_timestamp": [day("02-01")] * 3})


def rows(driver: int, text: str, g: int, **more: Any) -> pd.DataFrame:
    return pd.DataFrame(
        {"driver": [driver], "ts": [day(text)], "g": [g], **{k: [v] for k, v in more.items()}}
    )


def put(frame: pd.DataFrame, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    frame.to_parquet(path)


def found(repo: Path, path: str, feature: str = "g", frame: Any = ASKED, **changes: Any) -> list[Any]:
    dtype = Int64 if feature == "g" else Float64
    store = open_store(
        repo, DRIVER, view("stats", source(path, **changes), [DRIVER], None, **{feature: dtype})
    )
    return store.get_historical_features(frame, [f"stats:{feature}"]).to_arrow().column(feature).to_pylist()


@pytest.mark.parametrize("path", ["all", "all/", "all/*.parquet", "a[l]l/**/*.parquet", "all/*"])
def test_folders_and_globs(tmp_path: Path, path: str) -> None:
    put(rows(1, "01-01", 10), tmp_path / "all/a.parquet")
    put(rows(2, "01-01", 20), tmp_path / "all/b.parquet")
    put(rows(1, "01-02", 99), tmp_path / "all/_temporary/c.parquet")
    put(rows(1, "01-02", 99), tmp_path / "all/.hidden.parquet")
    if path == "all/*":
        put(rows(3, "01-01", 30), tmp_path / "all/below/c.parquet")
    assert found(tmp_path, path) == [10, 20, 30 if path == "all/*" else None]


def test_partition_columns_are_keys_and_features(tmp_path: Path) -> None:
    for driver in (1, 2):
        for g in (5, 6):
            frame = pd.DataFrame({"ts": [day(f"01-0{g}")]})
            put(frame, tmp_path / f"all/driver={driver}/g={g * driver}/x.parquet")
    assert found(tmp_path, "all") == [6, 12, None]
    assert found(tmp_path, "all/*/*") == [6, 12, None]


def test_a_column_that_older_files_lack_is_null_there(tmp_path: Path) -> None:
    put(rows(1, "01-01", 10), tmp_path / "all/a.parquet")
    put(rows(2, "01-01", 20, f=2.5), tmp_path / "all/b.parquet")
    assert found(tmp_path, "all", "f") == [None, 2.5, None]


def test_columns_are_matched_by_name(tmp_path: Path) -> None:
    put(rows(1, "01-01", 10), tmp_path / "all/a.parquet")
    put(rows(2, "01-01", 20)[["g", "ts", "driver"]], tmp_path / "all/b.parquet")
    assert found(tmp_path, "all") == [10, 20, None]


def test_of_equal_rows_the_last_by_file_and_row_counts(tmp_path: Path) -> None:
    put(
        pd.concat([rows(1, "01-01", 10), rows(1, "01-01", 11), rows(2, "01-01", 20)]),
        tmp_path / "all/a.parquet",
    )
    put(rows(2, "01-01", 21), tmp_path / "all/b.parquet")
    assert found(tmp_path, "all") == [11, 21, None]


def test_only_row_groups_that_can_matter_are_read(tmp_path: Path) -> None:
    """A broken page in a row group of a later time, or of a time beyond TTL, hurts nobody."""
    table = pa.Table.from_pandas(
        pd.concat([rows(1, f"01-0{n}", n) for n in (1, 2, 3, 4)]), preserve_index=False
    )
    path = tmp_path / "stats.parquet"
    pq.write_table(table, path, row_group_size=1, compression="none", use_dictionary=False)
    metadata = pq.read_metadata(path)
    content = bytearray(path.read_bytes())
    for group in (0, 3):
        column = metadata.row_group(group).column(2)
        start = column.data_page_offset
        content[start : start + 8] = b"\xff" * 8
    path.write_bytes(bytes(content))
    store = open_store(
        tmp_path, DRIVER, view("stats", source("stats.parquet"), [DRIVER], pd.Timedelta("36h").to_pytimedelta(), g=Int64)
    )  # fmt: skip

    def at(text: str) -> list[Any]:
        asked = pd.DataFrame({"driver": [1], "event_timestamp": [day(text)]})
        return store.get_historical_features(asked, ["stats:g"]).to_df()["g"].to_list()

    assert at("01-03 12:00") == [3]
    with pytest.raises((SourceError, OSError)):
        at("01-04 12:00")
    with pytest.raises((SourceError, OSError)):
        at("01-02 10:00")


FILES = {
    "nothing there": (lambda repo: None, "stats.parquet", {}, "stats.parquet is not there; write the files first"),
    "an empty folder": (lambda repo: (repo / "all").mkdir(), "all", {}, "holds no .parquet file"),
    "a glob without files": (lambda repo: None, "no/*.parquet", {}, "is not there"),
    "no Parquet": (lambda repo: (repo / "x.parquet").write_text("no"), "x.parquet", {}, "cannot be read as Parquet"),
    "another storage": (lambda repo: None, "s3://bucket/x.parquet", {}, "is not a local path; mount"),
    "no timestamp column": (
        lambda repo: put(rows(1, "01-01", 1).rename(columns={"ts": "tss"}), repo / "a.parquet"),
        "a.parquet", {}, r"source 'a.parquet source' \(a.parquet\): timestamp_field: no column 'ts'; did you mean 'tss'",
    ),
    "no created column": (
        lambda repo: put(rows(1, "01-01", 1), repo / "a.parquet"),
        "a.parquet", {"created_timestamp_column": "created"}, "created_timestamp_column: no column 'created'; there are",
    ),
    "no feature column": (
        lambda repo: put(rows(1, "01-01", 1).rename(columns={"g": "gg"}), repo / "a.parquet"),
        "a.parquet", {}, "feature view 'stats', feature 'g': no column 'g'; did you mean 'gg'",
    ),
    "no key column": (
        lambda repo: put(rows(1, "01-01", 1).drop(columns="driver"), repo / "a.parquet"),
        "a.parquet", {}, "feature view 'stats', join key 'driver': no column 'driver'",
    ),
    "times as text": (
        lambda repo: put(rows(1, "01-01", 1).astype({"ts": str}), repo / "a.parquet"),
        "a.parquet", {}, "timestamp_field 'ts' is VARCHAR, not a time",
    ),
    "zones in some files": (
        lambda repo: [
            put(rows(1, "01-01", 1), repo / "all/a.parquet"),
            put(rows(1, "01-01", 1).assign(ts=pd.Timestamp("2024-01-01")), repo / "all/b.parquet"),
        ],
        "all", {}, '"ts" has a time zone in some files and none in .*b.parquet; write all files',
    ),
    "text keys for numbers": (
        lambda repo: put(rows(1, "01-01", 1).astype({"driver": str}), repo / "a.parquet"),
        "a.parquet", {}, "join key 'driver' is int64, and source .* has VARCHAR; give both sides one type",
    ),
    "row numbers of its own": (
        lambda repo: put(rows(1, "01-01", 1).assign(file_row_number=9), repo / "a.parquet"),
        "a.parquet", {}, "column 'file_row_number' hides DuckDB's own of that name; rename it",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("make", "path", "changes", "says"), FILES.values(), ids=FILES.keys())
def test_files_that_cannot_be_joined(tmp_path: Path, make: Any, path: str, changes: Any, says: str) -> None:
    make(tmp_path)
    before = sorted(tmp_path.rglob("*.parquet"))
    # applying needs no files yet
    stats = view("stats", source(path, **changes), [DRIVER], None, g=Int64)
    stats.entity_columns = [feast.Field(name="driver", dtype=Int64)]
    store = open_store(tmp_path)
    store.registry.apply_entity(DRIVER, store.project)
    store.registry.apply_feature_view(stats, store.project)
    with pytest.raises(PlatformError, match=says):
        store.get_historical_features(ASKED, ["stats:g"])
    assert sorted(tmp_path.rglob("*.parquet")) == before


def stamps(*texts: str | None) -> list[Any]:
    return [None if text is None else day(text) for text in texts]


FRAMES: dict[str, tuple[Any, str]] = {
    "SQL": ("SELECT 1", "takes no SQL; run the query and pass its rows"),
    "a list": ([1, 2], "is a list; pass a pandas DataFrame or an Arrow table"),
    "no key": (ASKED.rename(columns={"driver": "drivr"}), "no column 'driver'; did you mean 'drivr'"),
    "no time": (ASKED[["driver"]], "no column 'event_timestamp' and no column of times"),
    "two times": (
        ASKED.rename(columns={"event_timestamp": "a"}).assign(b=day("01-01")),
        r"2 columns of times \(a, b\)",
    ),
    "a time as text": (ASKED.assign(event_timestamp="2024-01-01"), "holds a str .*pandas.to_datetime"),
    "with and without zone": (
        ASKED.assign(
            event_timestamp=pd.Series([day("01-01"), pd.Timestamp("2024-01-01"), None], dtype=object)
        ),
        r"mixes time zones: UTC \(1 rows\), none \(1 rows\); give the entity frame one",
    ),
    "two zones": (
        ASKED.assign(
            event_timestamp=[pd.Timestamp("2024-01-01", tz=zone) for zone in ("Asia/Tokyo", "UTC", "UTC")]
        ),
        r"mixes time zones: Asia/Tokyo \(1 rows\), UTC \(2 rows\)",
    ),
    "fractions for whole keys": (ASKED.assign(driver=[1.5, 2, 3]), "join key 'driver' holds fractions"),
    "a column twice": (
        pd.concat([ASKED, ASKED[["driver"]]], axis=1),
        "column 'driver' is there 2 times",
    ),
    "a feature's name": (ASKED.assign(g=1), "feature 'g': a column of that name is in the entity frame"),
}


@pytest.mark.parametrize(("frame", "says"), FRAMES.values(), ids=FRAMES.keys())
def test_frames_that_cannot_be_joined(tmp_path: Path, frame: Any, says: str) -> None:
    put(rows(1, "01-01", 10), tmp_path / "a.parquet")
    with pytest.raises(PlatformError, match=says):
        found(tmp_path, "a.parquet", frame=frame)


def test_values_of_many_types_in_another_column(tmp_path: Path) -> None:
    put(rows(1, "01-01", 10), tmp_path / "a.parquet")
    with pytest.raises(SourceError, match="column 'odd' holds values of more than one type"):
        found(tmp_path, "a.parquet", frame=ASKED.assign(odd=[1, "x", 2.5]))


def test_without_a_frame_views_of_other_keys_are_refused(tmp_path: Path) -> None:
    put(rows(1, "01-01", 10), tmp_path / "a.parquet")
    files = source("a.parquet")
    store = open_store(
        tmp_path, DRIVER, view("stats", files, [DRIVER], None, g=Int64), view("all", files, [], None, g=Int64)
    )
    with pytest.raises(PlatformError, match=r"must have the same join keys, and they have: none; driver"):
        store.get_historical_features(
            features=["stats:g", "all:g"], end_date=day("02-01"), full_feature_names=True
        )


def test_a_memory_limit_too_small_tells_which_setting(tmp_path: Path) -> None:
    frame = pd.DataFrame({"driver": range(200_000), "ts": day("01-01"), "g": 1})
    put(frame, tmp_path / "a.parquet")
    store = open_store(
        tmp_path, DRIVER, view("stats", source("a.parquet"), [DRIVER], None, g=Int64), memory_limit="1MB"
    )
    asked = frame[["driver"]].assign(event_timestamp=day("01-02"))
    with pytest.raises(PlatformError, match="raise memory_limit of offline_store"):
        store.get_historical_features(asked, ["stats:g"]).to_df()
