"""An entity frame on its own: what is taken as keys and times, and what is refused, before any file is read."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from itertools import product
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from platform_assets.errors import DeclarationError, SourceError
from platform_assets.offline_store.entity_rows import EntityRows, entity_rows, refuse_taken

NOON = datetime(2024, 1, 1, 12)
STAMP = pa.timestamp("us")
BERLIN = "Europe/Berlin"


def micros(*moments: datetime | None) -> list[int | None]:
    return [m and (m - datetime(1970, 1, 1)) // timedelta(microseconds=1) for m in moments]


def rows_at(column: Any, **more: Any) -> EntityRows:
    """The rows of an Arrow table whose times are `column`."""
    return entity_rows(pa.table({"event_timestamp": column, **more}), [])


# frames

PANDAS = pd.DataFrame({"driver": [1, 2], "event_timestamp": [NOON, NOON]})
ARROW = pa.Table.from_pandas(PANDAS)


class Exported:
    """What another library hands over: an Arrow stream and nothing else."""

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        return ARROW.__arrow_c_stream__(requested_schema)


@pytest.mark.parametrize("frame", [PANDAS, ARROW, Exported()], ids=["pandas", "arrow", "an arrow stream"])
def test_a_frame_of_any_library(frame: Any) -> None:
    rows = entity_rows(frame, ["driver"])
    assert rows.columns == ["driver", "event_timestamp"]
    assert rows.at.to_pylist() == micros(NOON, NOON)
    assert rows.table().select(["driver"]).to_pydict() == {"driver": [1, 2]}
    assert rows.key("driver", "BIGINT", "source x").to_pylist() == [1, 2]


@pytest.mark.parametrize(
    ("frame", "keys", "told"),
    [
        pytest.param("SELECT 1", [], "is a string, and this offline store takes no SQL", id="sql"),
        pytest.param([1, 2], [], "is a list; pass a pandas DataFrame or an Arrow table", id="a list"),
        pytest.param(ARROW, ["drivr"], "join key: no column 'drivr'; did you mean 'driver'", id="no key"),
        pytest.param(
            pa.table([[1], [2], [3]], ["b", "a", "a"]), [], "column 'a' is there 2 times", id="a column twice"
        ),
        pytest.param(
            pa.table([[1], [2], [3], [4], [5]], ["c", "c", "a", "a", "a"]), [], "column 'a' is there 3 times",
            id="two columns twice",
        ),
        pytest.param(
            PANDAS.assign(driver=[1, "x"]), ["driver"], "column 'driver' holds values of more than one type .*"
            "make them one, or leave the column out", id="mixed types",
        ),
    ],
)  # fmt: skip
def test_frames_that_are_refused(frame: Any, keys: list[str], told: str) -> None:
    with pytest.raises(SourceError, match=f"^entity frame: {told}"):
        entity_rows(frame, keys).table()


def test_columns_that_pandas_holds_in_arrow() -> None:
    frame = PANDAS.astype({"driver": "int64[pyarrow]"})
    for rows in (entity_rows(frame, ["driver"]), entity_rows(PANDAS, ["driver"])):
        found = rows.key("driver", "BIGINT", "source x")
        assert isinstance(found, pa.ChunkedArray)
        assert found.to_pylist() == [1, 2]


# times


@pytest.mark.parametrize(
    ("column", "at"),
    [
        pytest.param(pa.array([NOON, None], STAMP), micros(NOON, None), id="microseconds"),
        pytest.param(pa.array([NOON, None], pa.timestamp("s")), micros(NOON, None), id="seconds"),
        pytest.param(pa.array([1_999, -1], pa.timestamp("ns")), [1, 0], id="nanoseconds are cut off"),
        pytest.param(
            pa.array([NOON], STAMP).cast(pa.timestamp("us", tz=BERLIN)), micros(NOON), id="a moment of a zone"
        ),
        pytest.param(pa.array([date(2024, 1, 1)]), micros(datetime(2024, 1, 1)), id="a day is its midnight"),
        pytest.param(
            pa.array([date(2024, 1, 1)], pa.date64()), micros(datetime(2024, 1, 1)), id="a day of 64 bits"
        ),
        pytest.param(pa.nulls(2), [None, None], id="no time at all"),
    ],
)
def test_times_are_whole_microseconds(column: Any, at: list[int | None]) -> None:
    rows = rows_at(column)
    assert rows.at.type == pa.int64()
    assert rows.at.to_pylist() == at


@pytest.mark.parametrize(
    ("values", "at"),
    [
        pytest.param([NOON, None], micros(NOON, None), id="moments"),
        pytest.param([NOON, datetime(2024, 1, 2)], micros(NOON, datetime(2024, 1, 2)), id="without a zone"),
        pytest.param(
            [pd.Timestamp(NOON, tz="UTC"), pd.NaT, NOON.replace(tzinfo=UTC)],
            micros(NOON, None, NOON),
            id="UTC",
        ),
        pytest.param([date(2024, 1, 1)], micros(datetime(2024, 1, 1)), id="days"),
        pytest.param([None, None], [None, None], id="nothing"),
    ],
)
def test_times_as_python_objects(values: list[Any], at: list[int | None]) -> None:
    frame = pd.DataFrame({"event_timestamp": pd.Series(values, dtype=object)})
    assert entity_rows(frame, []).at.to_pylist() == at


@pytest.mark.parametrize(
    ("values", "told"),
    [
        pytest.param([NOON, "noon"], r"holds a str \('noon'\), not a time; pandas.to_datetime", id="text"),
        pytest.param([NOON, 7], r"holds a int \(7\), not a time", id="a number"),
        pytest.param(
            [NOON, NOON.replace(tzinfo=UTC), NOON.replace(tzinfo=UTC)],
            r"mixes time zones: UTC \(2 rows\), none \(1 rows\); give the entity frame one time zone",
            id="with and without a zone",
        ),
        pytest.param(
            [date(2024, 1, 1), NOON.replace(tzinfo=UTC), date(2024, 1, 2)],
            r"mixes time zones: UTC \(1 rows\), none \(2 rows\)",
            id="days have no zone",
        ),
        pytest.param(
            [pd.Timestamp(NOON, tz=BERLIN), pd.Timestamp(NOON, tz="UTC")],
            rf"mixes time zones: {BERLIN} \(1 rows\), UTC \(1 rows\)",
            id="two zones",
        ),
    ],
)
def test_times_that_are_refused(values: list[Any], told: str) -> None:
    frame = pd.DataFrame({"event_timestamp": pd.Series(values, dtype=object)})
    with pytest.raises(SourceError, match=f"^entity frame: column 'event_timestamp' {told}"):
        entity_rows(frame, [])


def test_a_column_that_holds_no_times_is_refused() -> None:
    with pytest.raises(
        SourceError,
        match=r"column 'event_timestamp' is int64, not a time; pandas.to_datetime\(column, utc=True\) makes",
    ):
        rows_at([1, 2])
    with pytest.raises(SourceError, match="column 'event_timestamp' is int64"):
        entity_rows(pd.DataFrame({"event_timestamp": [1, 2]}), [])


@pytest.mark.parametrize("arrow", [False, True], ids=["pandas", "arrow"])
def test_which_column_is_the_time(arrow: bool) -> None:
    def rows(**columns: Any) -> EntityRows:
        frame = pd.DataFrame(columns)
        return entity_rows(pa.Table.from_pandas(frame) if arrow else frame, [])

    later = NOON + timedelta(hours=1)
    assert rows(asked=[NOON], event_timestamp=[later]).event_timestamp == "event_timestamp"
    found = rows(n=[1], asked=pd.DatetimeIndex([NOON], tz="UTC"), text=["x"])
    assert (found.event_timestamp, found.at.to_pylist()) == ("asked", micros(NOON))
    with pytest.raises(
        SourceError, match=r"no column 'event_timestamp' and 2 columns of times \(a, b\); name"
    ):
        rows(a=[NOON], n=[1], b=[NOON])
    with pytest.raises(
        SourceError, match="has no column 'event_timestamp' and no column of times; name the one"
    ):
        rows(n=[1])


def test_the_bounds_are_the_first_and_the_last_time() -> None:
    late = NOON + timedelta(days=2, microseconds=1)
    assert rows_at(pa.array([late, None, NOON], STAMP)).bounds() == (
        NOON.replace(tzinfo=UTC), late.replace(tzinfo=UTC),
    )  # fmt: skip
    early = datetime(1969, 12, 31)
    assert rows_at(pa.array([early], STAMP)).bounds() == (early.replace(tzinfo=UTC),) * 2
    assert rows_at(pa.nulls(1)).bounds() == (datetime(1970, 1, 1, tzinfo=UTC),) * 2
    assert rows_at(pa.array([], STAMP)).bounds() == (datetime(1970, 1, 1, tzinfo=UTC),) * 2


# keys

KINDS: dict[str, list[pa.DataType]] = {
    "whole number": [pa.int8(), pa.int64(), pa.uint16()],
    "fraction": [pa.float32(), pa.float64(), pa.decimal128(20, 2)],
    "string": [pa.string(), pa.large_string(), pa.string_view()],
    "boolean": [pa.bool_()],
    "bytes": [pa.binary(), pa.large_binary(), pa.binary(3), pa.binary_view()],
    "date": [pa.date32(), pa.date64()],
    "other": [pa.time64("us"), pa.timestamp("us")],
}
FILES: dict[str, list[str]] = {
    "whole number": [
        "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT",
        "UHUGEINT",
    ],
    "fraction": ["FLOAT", "DOUBLE", "DECIMAL(20,2)"],
    "string": ["VARCHAR"],
    "boolean": ["BOOLEAN"],
    "bytes": ["BLOB"],
    "date": ["DATE"],
    "other": ["UUID", "TIMESTAMP"],
}  # fmt: skip
NUMBERS = {"whole number", "fraction"}


@pytest.mark.parametrize(
    ("family", "file_family"), list(product(KINDS, FILES)), ids=lambda family: family.replace(" ", "-")
)
def test_keys_are_compared_only_where_both_sides_are_of_one_kind(family: str, file_family: str) -> None:
    """What nobody knows is left to DuckDB, which tells what it cannot compare."""
    fits = family == file_family or {family, file_family} == NUMBERS or "other" in (family, file_family)
    for kind, file_type in product(KINDS[family], FILES[file_family]):
        rows = rows_at(pa.array([NOON], STAMP), k=pa.nulls(1, kind))
        if fits:
            whole = pa.types.is_floating(kind) and file_family == "whole number"
            assert rows.key("k", file_type, "source x").type == (pa.int64() if whole else kind)
            continue
        told = f"entity frame: join key 'k' is {kind}, and source x has {file_type}; give both sides one type"
        with pytest.raises(SourceError, match=f"^{re.escape(told)}$"):
            rows.key("k", file_type, "source x")


def key_of(values: Any, file_type: str) -> pa.ChunkedArray:
    return rows_at(pa.nulls(len(values)), k=values).key("k", file_type, "source x")


def test_whole_numbers_that_pandas_made_doubles_are_whole_again() -> None:
    found = key_of(pa.array([1.0, float("nan"), None, 2.0**53]), "INTEGER")
    assert found.to_pylist() == [1, None, None, 2**53]
    assert key_of(pa.array([1.5]), "DOUBLE").to_pylist() == [1.5]
    with pytest.raises(
        SourceError, match=r"^entity frame: join key 'k' holds fractions, and source x has BIGINT \("
    ):
        key_of(pa.array([1.0, 1.5]), "BIGINT")


def test_categories_are_their_values() -> None:
    assert key_of(pa.array(["a", None, "a"]).dictionary_encode(), "VARCHAR").to_pylist() == ["a", None, "a"]
    assert key_of(pa.array([1, 2]).dictionary_encode(), "BIGINT").type == pa.int64()
    with pytest.raises(SourceError, match="join key 'k' is string, and source x has BIGINT"):
        key_of(pa.array(["a"]).dictionary_encode(), "BIGINT")


@pytest.mark.parametrize("file_type", ["VARCHAR", "BIGINT", "UUID", "BLOB"])
def test_a_key_that_is_missing_in_every_row_has_a_type_that_compares(file_type: str) -> None:
    """DuckDB would read texts as numbers, if it were left to it."""
    found = key_of(pa.nulls(2), file_type)
    assert found.to_pylist() == [None, None]
    assert found.type == (pa.string() if file_type == "VARCHAR" else pa.int64())


# names


@pytest.mark.parametrize(
    ("names", "features", "taken"),
    [
        (["driver"], ["f", "g"], None),
        (["driver", "f"], ["g", "f"], "f"),
        (["driver"], ["f", "g", "f"], "f"),
        ([], [], None),
    ],
    ids=["free", "in the frame", "twice", "nothing"],
)
def test_a_name_is_given_once(names: list[str], features: list[str], taken: str | None) -> None:
    if taken is None:
        refuse_taken(names, features)
        return
    with pytest.raises(DeclarationError, match=f"^feature '{taken}': a column of that name is in the entity"):
        refuse_taken(names, features)
