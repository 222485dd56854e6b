from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from raw_sources import DAYS, EXTERNAL, history, rows_of, small_source, with_column, write_days

from platform_assets.errors import SourceError
from platform_assets.home import Home
from platform_assets.raw.ingest import ingest_day
from platform_assets.raw.source_reader import open_source
from platform_assets.stores import Stores

LAYOUTS = ("one a day", "many a day", "one for all")
FORMATS = ("parquet", "csv")


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("file_format", FORMATS)
def test_every_layout_and_format_gives_the_same_days_and_rows(
    tmp_path: Path, layout: str, file_format: str
) -> None:
    pattern = write_days(tmp_path, history(), layout, file_format)
    reader = open_source(small_source(pattern=pattern, format=file_format), tmp_path, {})
    assert list(reader.days()) == list(DAYS)
    for day, rows in history().items():
        assert reader.read(day).sort_by("id").equals(rows)
        assert reader.token(day) == reader.days()[day]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("file_format", FORMATS)
def test_a_token_moves_with_its_day_alone(tmp_path: Path, layout: str, file_format: str) -> None:
    days = history()
    pattern = write_days(tmp_path, days, layout, file_format)
    source = small_source(pattern=pattern, format=file_format)
    before = open_source(source, tmp_path, {}).days()
    assert open_source(source, tmp_path, {}).days() == before
    days[DAYS[1]] = with_column(days[DAYS[1]], "price", [9.0, 1.25, 2.25, 3.25, 4.25])
    days["2024-03-04"] = rows_of("2024-03-04", first=300)
    write_days(tmp_path, days, layout, file_format)
    after = open_source(source, tmp_path, {}).days()
    assert {day for day in after if after[day] != before.get(day)} == {DAYS[1], "2024-03-04"}


def test_one_reader_sees_a_file_replaced_under_it(tmp_path: Path) -> None:
    days = history()
    pattern = write_days(tmp_path, days, "one for all", "parquet")
    reader = open_source(small_source(pattern=pattern), tmp_path, {})
    before = reader.token(DAYS[0])
    days[DAYS[0]] = days[DAYS[0]].slice(1)
    write_days(tmp_path, days, "one for all", "parquet")
    assert reader.token(DAYS[0]) != before
    assert reader.read(DAYS[0]).num_rows == 4


@pytest.mark.parametrize("layout", LAYOUTS)
def test_days_outside_start_and_end_do_not_exist(tmp_path: Path, layout: str) -> None:
    pattern = write_days(tmp_path, history(), layout, "parquet")
    source = small_source(pattern=pattern, start=date(2024, 3, 2), end=date(2024, 3, 3))
    reader = open_source(source, tmp_path, {})
    assert list(reader.days()) == ["2024-03-02"]
    with pytest.raises(SourceError, match="holds day 2024-03-01"):
        reader.read("2024-03-01")


@pytest.mark.parametrize(
    ("column", "stored", "want"),
    [
        pytest.param("id", pa.array([0.0, 1.0, 2.0, 3.0, 4.0]), [0, 1, 2, 3, 4], id="whole floats"),
        pytest.param("id", pa.array(["0", "+1", "2 ", "3.0", "4"]), [0, 1, 2, 3, 4], id="digits"),
        pytest.param("id", pa.array(range(5), pa.uint64()), [0, 1, 2, 3, 4], id="unsigned"),
        pytest.param("price", pa.array([1, 2, 3, 4, 5]), [1.0, 2.0, 3.0, 4.0, 5.0], id="whole prices"),
        pytest.param(
            "price", pa.array([0.1 + 0.2, 1.1, 2.2, 3.3, 1066.8]), [0.3, 1.1, 2.2, 3.3, 1066.8], id="cents"
        ),
        pytest.param(
            "price",
            pa.array([12.34, 1.1, 2.2, 3.3, 1066.8], pa.float32()),
            [12.34, 1.1, 2.2, 3.3, 1066.8],
            id="cents in single floats",
        ),
        pytest.param("note", pa.array(["a", "", "b", "a", None]).dictionary_encode(),
                     ["a", None, "b", "a", None], id="dictionary"),
        pytest.param("express", pa.array([1, 0, None, 1, 0]), [True, False, None, True, False], id="0 and 1"),
    ],
)  # fmt: skip
def test_what_holds_the_declared_value_is_taken(
    tmp_path: Path, column: str, stored: pa.Array, want: list[Any]
) -> None:
    write_days(tmp_path, {DAYS[0]: with_column(rows_of(DAYS[0]), column, stored)}, "one a day", "parquet")
    read = open_source(small_source(), tmp_path, {}).read(DAYS[0])
    assert read.column(column).to_pylist() == want
    assert read.schema.equals(rows_of(DAYS[0]).schema)


@pytest.mark.parametrize(
    ("unit", "zone"), [("ns", None), ("ms", None), ("us", "UTC"), ("ns", "Asia/Tokyo")], ids=str
)
def test_timestamps_become_utc_microseconds(tmp_path: Path, unit: str, zone: str | None) -> None:
    moments = [datetime(2024, 3, 1, 23, 59, 59, tzinfo=UTC) - timedelta(hours=n) for n in range(5)]
    plain = pa.array([m.replace(tzinfo=None) for m in moments], pa.timestamp("us"))
    stored = pa.array(moments, pa.timestamp(unit, tz=zone)) if zone else plain.cast(pa.timestamp(unit))
    write_days(tmp_path, {DAYS[0]: with_column(rows_of(DAYS[0]), "moment", stored)}, "one a day", "parquet")
    read = open_source(small_source(), tmp_path, {}).read(DAYS[0])
    assert read.column("moment").combine_chunks().equals(plain)


def test_text_times_with_and_without_zone(tmp_path: Path) -> None:
    tokyo = datetime(2024, 3, 2, 8, 0, tzinfo=timezone(timedelta(hours=9))).isoformat()
    texts = ["2024-03-01 00:00:00", "2024-03-01T00:10:00.5", "2024-03-01T05:00:00Z", tokyo, "2024-03-01"]
    rows = with_column(rows_of(DAYS[0]), "moment", texts)
    write_days(tmp_path, {DAYS[0]: rows}, "one a day", "csv")
    read = open_source(small_source(format="csv", pattern="{day}.csv"), tmp_path, {}).read(DAYS[0])
    assert [str(m) for m in read.column("moment").to_pylist()] == [
        "2024-03-01 00:00:00", "2024-03-01 00:10:00.500000", "2024-03-01 05:00:00", "2024-03-01 23:00:00",
        "2024-03-01 00:00:00",
    ]  # fmt: skip


def test_further_columns_are_left_out(tmp_path: Path) -> None:
    rows = rows_of(DAYS[0]).append_column("surplus", pa.array(["x"] * 5))
    write_days(tmp_path, {DAYS[0]: rows}, "one a day", "parquet")
    assert "surplus" not in open_source(small_source(), tmp_path, {}).read(DAYS[0]).column_names


A = rows_of("2024-03-01", 3)
CHANGED = with_column(A, "price", [7.0, 1.25, 2.25])


@pytest.mark.parametrize(
    ("duplicates", "parts", "prices"),
    [
        ("refuse", [A], [0.25, 1.25, 2.25]),
        ("keep_first", [A, CHANGED], [0.25, 1.25, 2.25]),
        ("keep_last", [A, CHANGED], [7.0, 1.25, 2.25]),
        ("drop_identical", [A, A], [0.25, 1.25, 2.25]),
        ("refuse", [A, A], None),
        ("drop_identical", [A, CHANGED], None),
    ],
    ids=["none", "first", "last", "identical", "refused", "identical in part"],
)
def test_duplicates_as_declared(
    tmp_path: Path, duplicates: str, parts: list[pa.Table], prices: list[float] | None
) -> None:
    write_days(tmp_path, {DAYS[0]: pa.concat_tables(parts)}, "one a day", "parquet")
    reader = open_source(small_source(duplicates=duplicates), tmp_path, {})
    if prices is None:
        with pytest.raises(SourceError, match=r"rows repeat another row's primary key.*the first is id=0"):
            reader.read(DAYS[0])
    else:
        assert reader.read(DAYS[0]).sort_by("id").column("price").to_pylist() == prices


GOOD = rows_of("2024-03-01")
LATE = pa.array([datetime.fromisoformat(f"2024-03-0{day}") for day in (2, 1, 1, 1, 1)])
BAD: dict[str, tuple[pa.Table | bytes, list[str]]] = {
    "unreadable file": (b"PAR1 and then nothing", ["2024-03-01.parquet", "cannot be read as parquet"]),
    "cut off file": (b"", ["2024-03-01.parquet", "cannot be read as parquet"]),
    "missing column": (GOOD.drop_columns(["price"]), ["missing column price", "found: id, moment"]),
    "text in a number": (
        with_column(GOOD, "price", ["1.5", "n/a", "2", "oops", "3"]),
        ["2024-03-01.parquet: column price", "2 of 5 rows", "not a finite number", "'n/a'", "correct"],
    ),
    "masked value": (
        with_column(GOOD, "buyer", ["1", "2", "900000x", "4", "5"]),
        ["column buyer", "1 of 5 rows", "'***'"],
    ),
    "half a number": (with_column(GOOD, "id", [0.0, 1.5, 2.0, 3.0, 4.0]), ["column id", "1 of 5", "1.5"]),
    "infinite": (with_column(GOOD, "price", [1.0, float("inf"), 2.0, 3.0, 4.0]), ["column price", "inf"]),
    "beyond cents": (with_column(GOOD, "price", [1.0, 1.005, 2.0, 3.0, 4.0]), ["finer than the 2 decimals"]),
    "number as a time": (with_column(GOOD, "moment", [1, 2, 3, 4, 5]), ["column moment holds int64"]),
    "no such time": (
        with_column(GOOD, "moment", ["2024-02-30 00:00:00"] + ["2024-03-01 00:00:00"] * 4),
        ["column moment", "1 of 5 rows", "2024-02-30"],
    ),
    "duplicate ids": (with_column(GOOD, "id", [0, 1, 1, 3, 3]), ["2 of 5 rows repeat", "id="]),
    "another day": (with_column(GOOD, "moment", LATE), ["1 of 5 rows have moment on another", "2024-03-02"]),
    "null": (with_column(GOOD, "buyer", [1, None, 3, None, 5]), ["column buyer has no value in 2 of 5 rows"]),
    "not a number is null": (
        with_column(GOOD, "price", [1.0, float("nan"), 2.0, 3.0, 4.0]),
        ["column price has no value in 1 of 5 rows"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD)
def test_bad_input_is_one_clear_error_and_writes_nothing(tmp_path: Path, what: str) -> None:
    content, told = BAD[what]
    folder = tmp_path / "in"
    folder.mkdir()
    if isinstance(content, bytes):
        (folder / "2024-03-01.parquet").write_bytes(content)
    else:
        pq.write_table(content, folder / "2024-03-01.parquet")
    source = small_source()
    stores = Stores.at(Home.at(tmp_path / "home"))
    reader = open_source(source, folder, {})
    with pytest.raises(SourceError) as error:
        ingest_day(stores, source, reader, "2024-03-01", cause="test", run_id="")
    for text in told:
        assert text in str(error.value)
    assert "900000" not in str(error.value)
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda folder: None, "no such folder"),
        (lambda folder: folder.mkdir(), "holds nothing"),
        (lambda folder: write_days(folder, history(), "one a day", "csv"), "2024-03-01.csv, 2024-03-02.csv"),
        (lambda folder: (folder.mkdir(), (folder / "2024-13-01.parquet").touch()), "is no day"),
    ],
    ids=["no folder", "empty folder", "other pattern", "no day in the name"],
)
def test_a_folder_without_days_is_told(tmp_path: Path, make: Any, told: str) -> None:
    folder = tmp_path / "in"
    make(folder)
    with pytest.raises(SourceError, match=told):
        open_source(small_source(), folder, {}).days()


def test_a_csv_row_of_the_wrong_width_is_told_without_its_values(tmp_path: Path) -> None:
    (tmp_path / "2024-03-01.csv").write_text("id,moment,buyer,price,note,express\n1,2,900001\n")
    reader = open_source(small_source(format="csv", pattern="{day}.csv"), tmp_path, {})
    with pytest.raises(SourceError, match="cannot be read as csv") as error:
        reader.read("2024-03-01")
    assert "900001" not in str(error.value)


def test_an_empty_day_is_a_day(tmp_path: Path) -> None:
    write_days(tmp_path, {DAYS[0]: rows_of(DAYS[0]).slice(0, 0)}, "one a day", "csv")
    read = open_source(small_source(format="csv", pattern="{day}.csv"), tmp_path, {}).read(DAYS[0])
    assert read.schema.equals(rows_of(DAYS[0]).schema)
    assert read.num_rows == 0


def test_platform_source_takes_the_place_of_what_is_declared(tmp_path: Path) -> None:
    declared = small_source(kind="generator", pattern="{day}.parquet")
    write_days(tmp_path, history(), "one a day", "csv")
    write_days(tmp_path / "big", history(), "one for all", "csv")
    folder = {"PLATFORM_SOURCE": str(tmp_path), "PLATFORM_SOURCE_FORMAT": "csv",
              "PLATFORM_SOURCE_PATTERN": "{day}.csv"}  # fmt: skip
    for variables in (folder, {"PLATFORM_SOURCE": str(tmp_path / "big/all.csv")}):
        reader = open_source(declared, Path("/nowhere"), variables)
        assert list(reader.days()) == list(DAYS)
        assert reader.read(DAYS[0]).equals(history()[DAYS[0]])
    with pytest.raises(SourceError, match="expected parquet or csv"):
        open_source(declared, tmp_path, {**folder, "PLATFORM_SOURCE_FORMAT": "xlsx"})


@pytest.mark.external
@pytest.mark.skipif(not EXTERNAL.is_dir(), reason="needs the external data beside the checkout")
def test_one_large_file_reads_like_a_file_a_day(tmp_path: Path) -> None:
    from platform_assets.declaration.repository import read_repository

    source = read_repository([Path(__file__).resolve().parents[2] / "feature_repo"]).source(
        "card_transactions"
    )
    daily = open_source(source, tmp_path, {"PLATFORM_SOURCE": str(EXTERNAL)})
    days = list(daily.days())
    assert len(days) == 71
    pq.write_table(pa.concat_tables([daily.read(day) for day in days]), tmp_path / "all.parquet")
    large = open_source(source, tmp_path, {"PLATFORM_SOURCE": str(tmp_path / "all.parquet")})
    assert list(large.days()) == days
    for day in days[::10]:
        assert large.read(day).equals(daily.read(day))
