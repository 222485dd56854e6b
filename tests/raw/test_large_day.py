"""A day judged in pieces gets the verdicts and the counts that pandas gives it as a whole."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from raw_lake import RawLake, expect
from raw_sources import rows_of, small_source, with_column

from platform_assets.declaration.source import Column
from platform_assets.raw import large_day
from platform_assets.raw.declared_contract import declared_contract
from platform_assets.raw.expectation_run import ExpectationRun
from platform_assets.raw.finding import Finding
from platform_assets.raw.large_day import LargeDay

MIDNIGHT = datetime(2024, 3, 1)
TYPES = {
    "id": pa.int64(), "moment": pa.timestamp("us"), "number": pa.int64(), "gap": pa.int64(), "real": pa.float64(),
    "cents": pa.float64(), "text": pa.string(), "flag": pa.bool_(),
}  # fmt: skip
SOURCE = small_source(
    columns=(
        Column(name="id", type="int64"),
        Column(name="moment", type="timestamp", nullable=True),
        Column(name="number", type="int64"),
        Column(name="gap", type="int64", nullable=True),
        Column(name="real", type="float64", nullable=True),
        Column(name="cents", type="float64", nullable=True, scale=2),
        Column(name="text", type="string", nullable=True),
        Column(name="flag", type="bool", nullable=True),
    )
)
NAN = math.nan


def day(**columns: list[Any]) -> pa.Table:
    """Rows with the columns given; the others are plain and without gaps."""
    count = len(next(iter(columns.values()))) if columns else 8
    plain: dict[str, list[Any]] = {
        "id": list(range(count)),
        "moment": [MIDNIGHT + timedelta(hours=n) for n in range(count)],
        "number": [n % 4 for n in range(count)],
        "gap": [n % 3 for n in range(count)],
        "real": [n / 4 for n in range(count)],
        "cents": [n / 100 for n in range(count)],
        "text": ["ab"[n % 2] * (1 + n % 3) for n in range(count)],
        "flag": [n % 2 == 0 for n in range(count)],
    }
    return pa.table({name: pa.array({**plain, **columns}[name], kind) for name, kind in TYPES.items()})


DAYS = {
    "plain": day(),
    "empty": day(id=[]),
    "one row": day(id=[7]),
    "nulls": day(
        gap=[1, None, 1, None, 2, 3, None, 0],
        real=[0.5, None, NAN, 1.0, NAN, 0.5, -0.0, 0.0],
        cents=[None, 0.1, 0.2, 0.3, 0.1, None, 19.99, 20.0],
        text=["a", None, "b", "", None, "a", "ü", "2024-03-01"],
        flag=[True, None, False, None, True, True, False, None],
        moment=[None, *[MIDNIGHT + timedelta(minutes=n // 2) for n in range(7)]],
    ),
    "only nulls": day(gap=[None] * 6, real=[NAN] * 6, text=[None] * 6, flag=[None] * 6, moment=[None] * 6),
    "nulls in one piece": day(gap=[None] * 3 + [9] * 3, text=[None] * 3 + ["zz"] * 3, real=[None] * 3 + [9.0] * 3),
    "extremes": day(
        number=[-(2**63), 2**63 - 1, 2**53 + 1, 2**53, 0, 0, -1, 2],
        real=[1e308, -1e308, math.inf, -math.inf, 5e-324, 0.1, 0.2, 0.30000000000000004],
        text=["a" * 300, "A", " a", "a\n", "ß", "{}", "[1", "0"],
    ),
    "repeats": day(id=[1, 1, 2, 3, 3, 3, 4, 5], number=[1] * 8, text=["same"] * 8, real=[0.1] * 8, cents=[0.1] * 8),
}  # fmt: skip

BETWEEN = "column_values_to_be_between"
ABOVE_ONE = {"type": "comparison", "column": {"name": "number"}, "operator": ">", "parameter": 1}
"""A condition as Great Expectations writes it; its text with `condition_parser` is deprecated, and still taken."""
EXPECTATIONS = [
    *[expect("column_values_to_not_be_null", column=c, mostly=m) for c in TYPES for m in (1.0, 0.5)],
    expect("column_values_to_be_null", column="text"),
    expect("column_values_to_be_null", column="gap", mostly=0.375),
    *[expect(BETWEEN, column="number", min_value=0, max_value=3, mostly=m) for m in (1.0, 0.75, 0.5, 0.375)],
    expect(BETWEEN, column="gap", min_value=1),
    expect(BETWEEN, column="gap", min_value=1, max_value=1, mostly=0.4),
    expect(BETWEEN, column="real", min_value=0.0, max_value=0.5, strict_min=True),
    expect(BETWEEN, column="cents", min_value=0.1, max_value=19.99),
    expect(BETWEEN, column="moment", min_value="2024-03-01", max_value="2024-03-01T06:00:00"),
    expect(BETWEEN, column="text", min_value="a", max_value="b"),
    expect(BETWEEN, column="text", min_value=0, max_value=1),
    expect(BETWEEN, column="number", min_value=3, max_value=0),
    expect(BETWEEN, column="number", min_value=0, max_value=3, row_condition="number > 1", condition_parser="pandas"),
    expect(BETWEEN, column="number", min_value=0, max_value=3, row_condition=ABOVE_ONE),
    expect(BETWEEN, column="number", min_value=3, max_value=9, row_condition=ABOVE_ONE, mostly=0.9),
    expect("column_values_to_be_in_set", column="text", value_set=["a", "b", "aa"]),
    expect("column_values_to_be_in_set", column="flag", value_set=[True]),
    expect("column_values_to_be_in_set", column="gap", value_set=[1, 2], mostly=0.6),
    expect("column_values_to_be_in_set", column="cents", value_set=[0.1, 0.2, 0.3]),
    expect("column_values_to_not_be_in_set", column="number", value_set=[3]),
    *[expect("column_values_to_be_unique", column=c) for c in TYPES],
    expect("column_values_to_be_unique", column="id", mostly=0.375),
    expect("column_values_to_be_unique", column="gap", mostly=0.5),
    expect("column_values_to_match_regex", column="text", regex="^[ab]+$"),
    expect("column_values_to_match_regex", column="text", regex="^[ab]+$", mostly=0.5),
    expect("column_values_to_not_match_regex", column="text", regex="b"),
    expect("column_values_to_match_regex_list", column="text", regex_list=["a", "b"], match_on="any"),
    expect("column_values_to_not_match_regex_list", column="text", regex_list=["zz", "ü"]),
    expect("column_values_to_match_strftime_format", column="text", strftime_format="%Y-%m-%d"),
    expect("column_values_to_be_dateutil_parseable", column="text"),
    expect("column_values_to_be_json_parseable", column="text"),
    expect("column_values_to_match_json_schema", column="text", json_schema={"type": "object"}),
    expect("column_value_lengths_to_be_between", column="text", min_value=1, max_value=2),
    expect("column_value_lengths_to_equal", column="text", value=1, mostly=0.3),
    expect("column_pair_values_to_be_equal", column_A="number", column_B="gap"),
    expect("column_pair_values_a_to_be_greater_than_b", column_A="id", column_B="number", or_equal=True),
    expect("column_pair_values_a_to_be_greater_than_b", column_A="real", column_B="cents", mostly=0.5),
    expect("column_pair_values_to_be_in_set", column_A="number", column_B="id", value_pairs_set=[[0, 0], [1, 1]]),
    expect("multicolumn_sum_to_equal", column_list=["id", "number"], sum_total=4),
    expect("select_column_values_to_be_unique_within_record", column_list=["id", "number", "gap"]),
    expect("compound_columns_to_be_unique", column_list=["id", "number"]),
    *[
        expect("compound_columns_to_be_unique", column_list=["gap", "real"], ignore_row_if=how)
        for how in ("all_values_are_missing", "any_value_is_missing", "never")
    ],
    expect("compound_columns_to_be_unique", column_list=["text", "flag"], mostly=0.5),
    expect("column_mean_to_be_between", column="real", min_value=0, max_value=0.875),
    expect("column_mean_to_be_between", column="cents", min_value=0.1, max_value=0.1),
    expect("column_mean_to_be_between", column="gap", min_value=0, max_value=1),
    expect("column_sum_to_be_between", column="cents", min_value=0, max_value=0.28),
    expect("column_stdev_to_be_between", column="number", min_value=0, max_value=2),
    expect("column_median_to_be_between", column="number", min_value=1, max_value=2),
    expect("column_quantile_values_to_be_between", column="number",
           quantile_ranges={"quantiles": [0.1, 0.9], "value_ranges": [[0, 1], [2, 3]]}),
    *[expect(f"column_{what}_to_be_between", column=c, min_value=0, max_value=9)
      for what in ("min", "max") for c in ("number", "gap", "real")],
    expect("column_max_to_be_between", column="text", min_value="a", max_value="b"),
    expect("column_max_to_be_between", column="moment", min_value="2024-03-01", max_value="2024-03-02"),
    expect("column_unique_value_count_to_be_between", column="text", min_value=1, max_value=4),
    expect("column_unique_value_count_to_be_between", column="gap", min_value=1, max_value=3),
    expect("column_proportion_of_unique_values_to_be_between", column="number", min_value=0.5),
    expect("column_distinct_values_to_be_in_set", column="text", value_set=["a", "b", "aa", "bb", "aaa", "bbb"]),
    expect("column_distinct_values_to_contain_set", column="text", value_set=["a"]),
    expect("column_distinct_values_to_equal_set", column="number", value_set=[0, 1, 2, 3]),
    expect("column_most_common_value_to_be_in_set", column="number", value_set=[1]),
    expect("column_value_z_scores_to_be_less_than", column="number", threshold=1.2, double_sided=True),
    expect("column_values_to_be_increasing", column="id"),
    expect("column_values_to_be_decreasing", column="number"),
    expect("table_row_count_to_be_between", min_value=1, max_value=8),
    expect("table_row_count_to_equal", value=8),
    expect("table_column_count_to_equal", value=8),
    expect("table_columns_to_match_set", column_set=list(TYPES)),
    expect("column_to_exist", column="text"),
    expect("column_values_to_be_lucky", column="text"),
]  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> ExpectationRun:
    lake = RawLake(tmp_path_factory.mktemp("suite"), *EXPECTATIONS)
    suite = declared_contract(lake.source, lake.suite).suite
    assert not suite.problem
    return ExpectationRun(SOURCE, suite.expectations)


def both_ways(
    run: ExpectationRun, rows: pa.Table, folder: Path, piece_rows: int = 4
) -> tuple[list[Finding], list[Finding]]:
    """Findings of pandas on the whole day, and of the same day in pieces."""
    pq.write_table(rows, folder / "day.parquet", row_group_size=5)
    return run.findings({"day": rows})["day"], LargeDay(run, folder / "day.parquet", piece_rows).findings()


@pytest.mark.parametrize("name", DAYS)
def test_pieces_are_judged_like_the_whole(run: ExpectationRun, tmp_path: Path, name: str) -> None:
    whole, pieces = both_ways(run, DAYS[name], tmp_path)
    assert len(whole) == len(EXPECTATIONS)
    assert [told(f) for f in pieces] == [told(f) for f in whole]


def told(finding: Finding) -> tuple[Any, ...]:
    """All that decides or is shown of a finding; of what raised, only that it did."""
    if finding.verdict == "UNKNOWN":
        return (finding.name, "UNKNOWN")
    return tuple(finding.to_json().items())


def test_the_days_tell_passes_from_failures(run: ExpectationRun) -> None:
    """The table above would prove little if most of it always passed, or could not be asked."""
    found: dict[str, set[str]] = {}
    for rows in DAYS.values():
        for finding in run.findings({"day": rows})["day"]:
            found.setdefault(finding.name, set()).add(str(finding.verdict))
    assert sum({"PASSED", "FAILED"} <= seen for seen in found.values()) >= 75


REALS = st.sampled_from([None, NAN, 0.0, -0.0, 0.1, 0.5, 1.0, 3.0])
RANDOM_ROW = st.tuples(
    st.one_of(st.none(), st.integers(-1, 3)), REALS, REALS, st.sampled_from([None, "", "a", "b", "ab", "é"])
)


@settings(max_examples=4, deadline=None)
# Parquet's statistics leave NaN out, and DuckDB believes them
@example(rows=[(None, real, None, None) for real in (NAN, 3.0, NAN, 0.1)], piece_rows=3)
@given(rows=st.lists(RANDOM_ROW, max_size=12), piece_rows=st.integers(3, 6))
def test_random_days_in_random_pieces(
    few: ExpectationRun, folder: Path, rows: list[tuple[Any, ...]], piece_rows: int
) -> None:
    gap, real, cents, text = (
        (list(values) for values in zip(*rows, strict=True)) if rows else ([], [], [], [])
    )
    whole, pieces = both_ways(few, day(gap=gap, real=real, cents=cents, text=text), folder, piece_rows)
    assert [told(f) for f in pieces] == [told(f) for f in whole]


@pytest.fixture(scope="module")
def few(run: ExpectationRun) -> ExpectationRun:
    """Expectations about the columns that are random."""
    names = {"gap", "real", "cents", "text"}
    asked = [e for e in run.expectations if set(e.column.split(", ")) <= names]
    return ExpectationRun(SOURCE, [e for e in asked if "unique" in e.type or "between" in e.type][:14])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("random")


def test_a_large_raw_day_gets_the_evidence_of_a_small_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for limit in (1_000_000, 4):
        (tmp_path / str(limit)).mkdir()
        lake = RawLake(tmp_path / str(limit))
        monkeypatch.setattr(large_day, "LARGE_DAY_ROWS", limit)
        days = lake.days(4)
        lake.put(days[1], with_column(rows_of(days[1]), "price", [-1.0, 1.0, 500.0, 1.0, 1.0]))
        found.append({day: (e.id, e.verdict) for day, e in lake.ask(*days).items()})
    assert found[0] == found[1]
    assert [str(verdict) for _, verdict in found[0].values()] == ["PASSED", "FAILED", "PASSED", "PASSED"]


def test_a_large_day_that_cannot_be_read_is_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(large_day, "LARGE_DAY_ROWS", 4)
    lake = RawLake(tmp_path)
    days = lake.days(4)
    table = lake.stores.lake.table("raw/orders")
    manifest = table.manifest(days[1])
    assert manifest is not None
    table.path(manifest).write_bytes(b"not a file any more")
    assert [str(e.verdict) for e in lake.ask(*days).values()] == ["PASSED", "UNKNOWN", "PASSED", "PASSED"]


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        (expect("column_mean_to_be_between", column="real", min_value=0, row_condition="id > 1",
                condition_parser="pandas"), "row condition"),
        (expect("column_most_common_value_to_be_in_set", column="text", value_set=["a"]), "texts"),
    ],
    ids=["row condition", "frequencies of texts"],
)  # fmt: skip
def test_what_needs_the_whole_day_at_once_is_unknown(
    tmp_path: Path, asked: dict[str, Any], reason: str
) -> None:
    lake = RawLake(tmp_path, asked)
    pq.write_table(day(), tmp_path / "day.parquet")
    only = ExpectationRun(SOURCE, declared_contract(lake.source, lake.suite).suite.expectations)
    (finding,) = LargeDay(only, tmp_path / "day.parquet").findings()
    assert finding.verdict == "UNKNOWN"
    assert reason in finding.reason
