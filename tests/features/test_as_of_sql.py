"""The as-of join's own check on its rows, and the ways it takes for few rows, many hashes and no key."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from test_as_of_join import STAMP, at, feature_file, requests, view

from platform_assets.errors import LakeError
from platform_assets.features import as_of_join as join_module
from platform_assets.features import as_of_sql
from platform_assets.features.as_of_join import as_of_join, found_features
from platform_assets.features.as_of_sql import AskedRows, AsOfTable, prepare
from platform_assets.features.engine import duckdb_engine, parquet_files

BATCH = duckdb.sql("FROM range(3_000_000)").to_arrow_reader().read_next_batch().num_rows
assert BATCH < 1_500_000, "DuckDB hands over all rows at once: the tests of two batches need more of them"


@pytest.mark.parametrize(
    ("row", "rows", "right"),
    [
        pytest.param("i", 3, True, id="each once, in order"),
        pytest.param("i", 2, False, id="one lost at the end"),
        pytest.param("i", 4, False, id="one too many at the end"),
        pytest.param("i + 1", 3, False, id="the first lost"),
        pytest.param("least(i, 1)", 3, False, id="one doubled"),
        pytest.param("2 - i", 3, False, id="another order"),
        pytest.param(f"i - {BATCH} * CAST(i >= {BATCH} AS BIGINT)", 2 * BATCH, False, id="a batch twice"),
        pytest.param(
            f"CASE WHEN i < {BATCH} THEN 7 ELSE i - {BATCH} END",
            BATCH + 3,
            False,
            id="a batch of others first",
        ),
    ],
)
def test_rows_that_do_not_come_out_each_once_are_an_error(
    monkeypatch: pytest.MonkeyPatch, row: str, rows: int, right: bool
) -> None:
    """The engine really answers, but to a query with a mistake in it."""
    query = f"SELECT {row} AS _row, 1.5 AS f FROM range({rows}) AS t(i)"
    monkeypatch.setattr(join_module, "prepare", lambda *_: query)
    asked = BATCH if rows == 2 * BATCH else 3
    with duckdb_engine() as engine:
        engine.execute("SET preserve_insertion_order = true")
        found = found_features(engine, pa.chunked_array([np.arange(asked)]), [], [])
        if right:
            assert found.read_all().column("f").to_pylist() == [1.5] * 3
        else:
            with pytest.raises(LakeError, match=f"{asked} rows went in and did not come out each once"):
                found.read_all()


def test_rows_without_any_time_find_nothing(tmp_path: Path) -> None:
    """Feature rows lie at the very moments that stand for no time."""
    moments = pa.array([-2, -1, 0, 1, 2], STAMP)
    file = feature_file(tmp_path / "a.parquet", [(1, 0, 0, float(n)) for n in range(5)])
    table = pq.read_table(file)
    for name in ("ts", "_available_at"):
        table = table.set_column(table.column_names.index(name), name, moments)
    pq.write_table(table, file)
    joined = as_of_join(requests((1, None), (1, None)), [view(file)], event_timestamp="ts")
    assert joined.column("f").to_pylist() == [None, None]


def test_before_1970_as_after_it(tmp_path: Path) -> None:
    """Feature rows beyond the TTL of the first row asked for are not read; those within it are."""
    hour = timedelta(hours=1)
    long_ago = datetime(1969, 12, 1, tzinfo=UTC).replace(tzinfo=None)
    table = pa.table(
        {
            "who": pa.array([1, 1], pa.int64()),
            "ts": pa.array([long_ago, long_ago + 3 * hour], STAMP),
            "_available_at": pa.array([long_ago, long_ago + 3 * hour], STAMP),
            "f": [10.0, 20.0],
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    moments = pa.array([long_ago + n * hour for n in (1, 2, 5)], STAMP)
    asked = pa.table({"who": pa.array([1] * 3, pa.int64()), "ts": moments})
    joined = as_of_join(asked, [view(str(tmp_path / "a.parquet"), ttl=hour)], event_timestamp="ts")
    assert joined.column("f").to_pylist() == [10.0, None, None]


def asked_sql(count: int, keys: tuple[tuple[str, str], ...] = (("key_0", "who"),)) -> str:
    """What the engine is told to read for so many rows asked for."""
    table = AsOfTable("files_there", keys, "ts", "TIMESTAMP", None, "", False, (("f", "f"),), None)
    with duckdb_engine() as engine:
        engine.execute(
            "CREATE TABLE files_there (who BIGINT, ts TIMESTAMP, f DOUBLE, file_index BIGINT, file_row_number BIGINT)"
        )
        engine.execute("CREATE TABLE as_of_rows (_row BIGINT, _at BIGINT, key_0 BIGINT)")
        prepare(engine, [table], AskedRows(count, 0, 10))
        ((sql,),) = engine.execute(
            "SELECT sql FROM duckdb_views() WHERE view_name = 'feature_rows_0'"
        ).fetchall()
    return str(sql)


def test_only_the_keys_of_few_rows_are_looked_up() -> None:
    assert "SEMI JOIN" in asked_sql(10_000)
    assert "SEMI JOIN" not in asked_sql(10_001)
    assert "SEMI JOIN" not in asked_sql(1, keys=())


ROWS = [
    (who, event, event + delay, float(number))
    for number, (who, event, delay) in enumerate(
        (who, event, delay)
        for who in range(1, 9)
        for event, delay in ((0, 0), (0, -1), (3, 0), (3, 0), (3, -2), (5, 0), (5, -1), (8, 0), (8, 0))
    )
]
WANTED = [(who, minute) for who in range(1, 10) for minute in range(10)]


def newest(rows: list[Any], who: int, minute: int) -> float | None:
    usable = [(e, k, n) for n, (key, e, k, _) in enumerate(rows) if key == who and max(e, k) <= minute]
    return rows[max(usable)[2]][3] if usable else None


@pytest.mark.parametrize("at_once", [1, 7, 36, 71, 72, 73, 1000])
def test_ties_are_found_though_hashes_are_sorted_in_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(as_of_sql, "_HASHES_AT_ONCE", at_once)
    file = feature_file(tmp_path / "a.parquet", ROWS)
    joined = as_of_join(requests(*WANTED), [view(file)], event_timestamp="ts")
    assert joined.column("f").to_pylist() == [newest(ROWS, *wanted) for wanted in WANTED]


def test_of_rows_known_alike_the_last_file_wins(tmp_path: Path) -> None:
    files = [feature_file(tmp_path / f"{n}.parquet", [(1, 0, 0, float(n))]) for n in range(3)]
    joined = as_of_join(requests((1, 5)), [view(*files)], event_timestamp="ts")
    assert joined.column("f").to_pylist() == [2.0]


@pytest.mark.parametrize("late", [0, 2], ids=["all known at once", "some late"])
def test_a_table_without_keys_is_one_for_all_rows(tmp_path: Path, late: int) -> None:
    rows = [(1, 0, 0, 10.0), (2, 3, 3 + late, 20.0), (3, 6, 6, 30.0)]
    relation = parquet_files([feature_file(tmp_path / "a.parquet", rows)])
    table = AsOfTable(
        relation, (), "ts", "TIMESTAMP", "_available_at", "TIMESTAMP", True, (("f", "f"),), None
    )
    minutes = [4, 5, 6, 2]
    us = [int((at(minute) - at(0)).total_seconds() * 1e6) for minute in minutes]
    begin = int(pa.scalar(at(0), STAMP).cast(pa.int64()).as_py())
    with duckdb_engine() as engine:
        found = found_features(engine, pa.chunked_array([[begin + u for u in us]]), [], [table]).read_all()
    assert found.column("f").to_pylist() == [10.0 if late else 20.0, 20.0, 30.0, 10.0]


def test_availability_orders_ties_only_unless_rows_are_asked_for_as_known_then(tmp_path: Path) -> None:
    """Known after every row that is asked for, or never: used all the same, the one known last first."""
    rows = [(1, 0, 90, 10.0), (1, 0, 80, 20.0), (1, 3, None, 30.0), (1, 6, 50, 40.0)]
    relation = parquet_files([feature_file(tmp_path / "a.parquet", rows)])
    begin = int(pa.scalar(at(0), STAMP).cast(pa.int64()).as_py())
    moments = pa.chunked_array([[begin + minute * 60_000_000 for minute in (2, 5, 9)]])
    for as_known_then, expected in ((False, [10.0, 30.0, 40.0]), (True, [None, None, None])):
        table = AsOfTable(
            *(relation, (("key_0", "who"),), "ts", "TIMESTAMP", "_available_at", "TIMESTAMP"),
            *(as_known_then, (("f", "f"),), None),
        )
        with duckdb_engine() as engine:
            found = found_features(engine, moments, [pa.chunked_array([[1, 1, 1]])], [table]).read_all()
        assert found.column("f").to_pylist() == expected
