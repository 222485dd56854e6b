"""Windows: the external right answers, a plain loop, and the edges of (t-d-w, t-d]."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import card_golden
import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from platform_assets.declaration.feature_view import Entity, Feature, FeatureView
from platform_assets.declaration.source import Column, Source
from platform_assets.errors import DeclarationError
from platform_assets.features.compute import compute_features
from platform_assets.features.equality import independent_features
from platform_assets.features.window_sql import view_sql

DAY = datetime(2020, 1, 6, tzinfo=UTC).replace(tzinfo=None)  # a Monday

SOURCE = Source(
    name="events",
    owners=("team:x",),
    location="x",
    start=DAY.date(),
    columns=(
        Column(name="id", type="int64"),
        Column(name="at", type="timestamp"),
        Column(name="who", type="int64", nullable=True),
        Column(name="cents", type="float64", scale=2),
        Column(name="maybe", type="float64", scale=2, nullable=True),
        Column(name="free", type="float64", nullable=True),
        Column(name="whole", type="int64"),
        Column(name="flag", type="bool"),
        Column(name="word", type="string"),
    ),
    primary_key=("id",),
    event_timestamp="at",
    contract="x.json",
)
WHO = Entity(name="who", join_key="who")


def view_of(*features: dict[str, Any]) -> FeatureView:
    return FeatureView(
        name="v",
        owners=("team:x",),
        source="events",
        entity="who",
        features=tuple(Feature(**{"name": f"f{i}", **f}) for i, f in enumerate(features)),
    )


def raw_table(rows: list[dict[str, Any]]) -> pa.Table:
    """Raw rows from minutes since DAY and values; the rest is filled in."""
    moments = [DAY + timedelta(minutes=row.get("minute", 0), microseconds=row.get("us", 0)) for row in rows]
    return pa.table(
        {
            "id": pa.array(range(len(rows)), pa.int64()),
            "at": pa.array(moments, pa.timestamp("us")),
            "who": pa.array([row.get("who", 1) for row in rows], pa.int64()),
            "cents": pa.array([row.get("cents", 1.1) for row in rows], pa.float64()),
            "maybe": pa.array([row.get("maybe", 1.1) for row in rows], pa.float64()),
            "free": pa.array([row.get("free", 1.5) for row in rows], pa.float64()),
            "whole": pa.array([row.get("whole", 3) for row in rows], pa.int64()),
            "flag": pa.array([row.get("flag", True) for row in rows], pa.bool_()),
            "word": pa.array(["a"] * len(rows)),
            "_available_at": pa.array(moments, pa.timestamp("us")),
        }
    )


def by_sql(view: FeatureView, raw: pa.Table, **options: Any) -> pa.Table:
    with duckdb.connect() as connection:
        connection.register("raw_rows_in", raw)
        query = view_sql(SOURCE, WHO, view, relation="raw_rows_in", **options)
        return connection.sql(query).to_arrow_table().sort_by("id")


def by_loop(feature: Feature, raw: pa.Table) -> list[float | None]:
    """The definition, word for word."""
    rows = raw.to_pylist()
    assert feature.window is not None
    found: list[float | None] = []
    for row in rows:
        end = row["at"] - feature.delay
        seen = [
            other
            for other in rows
            if row["who"] is not None
            and other["who"] == row["who"]
            and end - feature.window < other["at"] <= end
            and (feature.include_current_row or other["id"] != row["id"])
        ]
        values = [1.0 if feature.column is None else other[feature.column] for other in seen]
        values = [value for value in values if value is not None and value == value]
        if not values:
            found.append(0.0 if feature.function == "count" and feature.empty is None else feature.empty)
            continue
        found.append(
            {
                "count": lambda v: float(len(v)),
                "sum": lambda v: float(sum(v)),
                "mean": lambda v: sum(v) / len(v),
                "min": lambda v: float(min(v)),
                "max": lambda v: float(max(v)),
            }[feature.function](values)
        )
    return found


COLUMNS = ("cents", "maybe", "free", "whole", "flag")
durations = st.sampled_from(["30m", "12h", "1d", "2d", "90m"])
feature_declared = st.fixed_dictionaries(
    {
        "function": st.sampled_from(["count", "sum", "mean", "min", "max"]),
        "column": st.sampled_from(COLUMNS),
        "window": durations,
        "delay": st.sampled_from(["0s", "0s", "30m", "1d"]),
        "include_current_row": st.booleans(),
        "empty": st.sampled_from([None, 0.0, -1.0]),
    }
)
value = st.integers(-300, 300).map(lambda cents: cents / 100)
row = st.fixed_dictionaries(
    {
        # few distinct moments, at the edges of the windows above, so that ties and edges are common
        "minute": st.integers(0, 8).map(lambda n: n * 30) | st.sampled_from([720, 1440, 1470, 2880]),
        "us": st.sampled_from([0, 0, 0, 1]),
        "who": st.sampled_from([1, 1, 1, 2, None]),
        "cents": value,
        "maybe": st.none() | value,
        "free": st.none() | value | st.just(float("nan")),
        "whole": st.integers(-5, 5),
        "flag": st.booleans(),
    }
)


@settings(max_examples=60, deadline=None)
@given(
    features=st.lists(feature_declared, min_size=1, max_size=5), rows=st.lists(row, min_size=1, max_size=14)
)
def test_sql_and_numpy_equal_the_definition(
    features: list[dict[str, Any]], rows: list[dict[str, Any]]
) -> None:
    view, raw = view_of(*features), raw_table(rows)
    ours = by_sql(view, raw)
    other = independent_features(SOURCE, WHO, view, raw, raw)
    assert ours.num_rows == raw.num_rows
    for feature in view.features:
        expected = by_loop(feature, raw)
        got = ours.column(feature.name).to_pylist()
        again = [None if np.isnan(v) else float(v) for v in other[feature.name]]
        assert got == pytest.approx(expected, abs=1e-9), feature
        assert again == pytest.approx(expected, abs=1e-9), feature


ONE_DAY = {"function": "count", "window": "1d"}
EDGES = {
    "left end is outside": (ONE_DAY, [0, 1440], [1, 1]),
    "one microsecond inside": (ONE_DAY, [(0, 1), 1440], [1, 2]),
    "equal timestamps see each other": (ONE_DAY, [0, 0, 0], [3, 3, 3]),
    "delay: right end is inside": ({**ONE_DAY, "delay": "1d"}, [0, 1440], [0, 1]),
    "delay: one microsecond short": ({**ONE_DAY, "delay": "1d"}, [(0, 1), 1440], [0, 0]),
    "delay: left end is outside": ({**ONE_DAY, "delay": "1d"}, [0, 2880], [0, 0]),
    "own row out, tied row in": ({**ONE_DAY, "include_current_row": False}, [0, 0], [1, 1]),
    "own row out with a delay changes nothing": (
        {**ONE_DAY, "delay": "1d", "include_current_row": False},
        [0, 1440],
        [0, 1],
    ),
    "half a day": ({"function": "count", "window": "12h"}, [0, 719, 720], [1, 2, 2]),
    "declared empty": ({**ONE_DAY, "delay": "1d", "empty": -1}, [0], [-1]),
}


@pytest.mark.parametrize(("feature", "minutes", "expected"), EDGES.values(), ids=EDGES.keys())
def test_edge(feature: dict[str, Any], minutes: list[Any], expected: list[int]) -> None:
    pairs = [minute if isinstance(minute, tuple) else (minute, 0) for minute in minutes]
    raw = raw_table([{"minute": minute, "us": us} for minute, us in pairs])
    assert by_sql(view_of(feature), raw).column("f0").to_pylist() == expected


def test_cents_are_summed_exactly_in_any_order() -> None:
    rng = np.random.default_rng(0)
    cents = rng.integers(0, 10**7, 4000)
    raw = raw_table([{"minute": i % 60, "cents": c / 100} for i, c in enumerate(cents)])
    shuffled = raw.take(pa.array(rng.permutation(len(cents))))
    view = view_of(
        {"function": "sum", "column": "cents", "window": "2d"},
        {"function": "mean", "column": "cents", "window": "1h"},
    )
    first, second = by_sql(view, raw), by_sql(view, shuffled)
    assert first.equals(second)
    last = int(np.flatnonzero(np.arange(4000) % 60 == 59)[-1])
    assert first.column("f0")[last].as_py() == int(cents.sum()) / 100
    other = independent_features(SOURCE, WHO, view, raw, raw)
    assert (first.column("f1").to_numpy() == other["f1"]).all()


def test_whole_numbers_beyond_the_exact_range_of_floats() -> None:
    big = 2**53
    raw = raw_table([{"whole": big}, {"whole": 1}, {"whole": -big}])
    view = view_of({"function": "sum", "column": "whole", "window": "1d"})
    assert by_sql(view, raw).column("f0").to_pylist() == [1.0, 1.0, 1.0]


LARGEST, SMALLEST = 2**63 - 1, -(2**63)


@pytest.mark.parametrize(
    "numbers",
    [
        [LARGEST] * 50,
        [SMALLEST] * 50,
        [SMALLEST, SMALLEST, LARGEST],
        [-1],
        [0],
        [-1, 1, -1],
        [SMALLEST, 0, 0, 0],
    ],
    ids=["largest", "smallest", "both", "minus one", "zero", "around zero", "smallest among zeros"],
)
def test_count_and_mean_of_extreme_whole_numbers(numbers: list[int]) -> None:
    """Count and sum share one number in DuckDB; neither may spill into the other."""
    raw = raw_table([{"whole": number} for number in numbers])
    view = view_of(ONE_DAY, {"function": "mean", "column": "whole", "window": "1d"})
    got = by_sql(view, raw)
    assert got.column("f0").to_pylist() == [len(numbers)] * len(numbers)
    # the sum as a double, divided once
    assert got.column("f1").to_pylist() == [float(sum(numbers)) / len(numbers)] * len(numbers)


def test_row_functions() -> None:
    minutes = [0, 5 * 1440 - 1, 5 * 1440, 7 * 1440 - 1, 6 * 60 + 59, 7 * 60]  # DAY is a Monday
    raw = raw_table([{"minute": minute, "free": float(minute)} for minute in minutes])
    view = view_of(
        {"function": "weekend"},
        {"function": "hour_at_most", "hour": 6},
        {"function": "value", "column": "free"},
    )
    got = by_sql(view, raw)
    assert got.column("f0").to_pylist() == [0, 0, 1, 1, 0, 0]
    assert got.column("f1").to_pylist() == [1, 0, 1, 0, 1, 0]
    assert got.column("f2").to_pylist() == [float(minute) for minute in minutes]
    other = independent_features(SOURCE, WHO, view, raw, raw)
    assert all((got.column(name).to_numpy() == other[name]).all() for name in view.feature_names)


def test_types_and_columns_in_their_order() -> None:
    view = view_of(ONE_DAY, {"function": "max", "column": "cents", "window": "1d"}, {"function": "weekend"})
    got = by_sql(view, raw_table([{}]), partition_by=["word"])
    assert [(f.name, str(f.type)) for f in got.schema] == [
        ("word", "string"), ("id", "int64"), ("who", "int64"), ("at", "timestamp[us]"),
        ("_available_at", "timestamp[us]"), ("f0", "int64"), ("f1", "double"), ("f2", "int64"),
    ]  # fmt: skip


def test_partition_by_keeps_copies_of_the_source_apart() -> None:
    raw = raw_table([{"minute": n} for n in range(3)])
    copies = [raw.append_column("sample_id", pa.array([n] * 3)).slice(0, n + 1) for n in range(3)]
    got = by_sql(view_of(ONE_DAY), pa.concat_tables(copies), partition_by=["sample_id"])
    pairs = sorted(zip(*(got.column(name).to_pylist() for name in ("sample_id", "id", "f0")), strict=True))
    assert pairs == [(0, 0, 1), (1, 0, 1), (1, 1, 2), (2, 0, 1), (2, 1, 2), (2, 2, 3)]


@pytest.mark.parametrize(
    ("days", "ids"),
    [(["2020-01-07"], [1, 2]), (["2020-01-08", "2020-01-06"], [0, 3]), ([], [])],
    ids=["one day", "two days apart", "none"],
)
def test_days_filter_rows_after_their_windows(days: list[str], ids: list[int]) -> None:
    raw = raw_table([{"minute": 1439}, {"minute": 1440}, {"minute": 2879}, {"minute": 2880}])
    got = by_sql(view_of({"function": "count", "window": "30d"}), raw, days=days)
    assert got.column("id").to_pylist() == ids
    assert got.column("f0").to_pylist() == [number + 1 for number in ids]


@pytest.mark.parametrize("function", ["sum", "mean", "min", "max"])
@pytest.mark.parametrize("column", ["word", "at"])
def test_refuses_what_is_not_a_number(function: str, column: str) -> None:
    view = view_of({"function": function, "column": column, "window": "1d"})
    with pytest.raises(DeclarationError, match=rf"needs a number, and column '{column}'"):
        view_sql(SOURCE, WHO, view, relation="x")


def test_several_days_from_files_in_one_query(tmp_path: Path) -> None:
    raw = raw_table([{"minute": 600 * n} for n in range(12)])
    files = []
    for start in range(0, 12, 4):
        files.append(str(tmp_path / f"{start}.parquet"))
        pq.write_table(raw.slice(start, 4), files[-1])
    view = view_of({"function": "count", "window": "30d"})
    got = compute_features(SOURCE, WHO, view, files, ["2020-01-07", "2020-01-09"]).sort_by("id")
    expected = by_sql(view, raw, days=["2020-01-07", "2020-01-09"])
    assert got.equals(expected)


def test_nan_in_a_parquet_file_is_missing(tmp_path: Path) -> None:
    """DuckDB folds isnan() of a Parquet column to false; infinity is a value."""
    values = [1.0, float("nan"), float("inf"), None]
    raw = raw_table([{"minute": minute, "free": value} for minute, value in enumerate(values)])
    pq.write_table(raw, tmp_path / "raw.parquet")
    view = view_of(
        {"function": "sum", "column": "free", "window": "1d"},
        {"function": "count", "column": "free", "window": "1d"},
        {"function": "value", "column": "free"},
    )
    got = compute_features(SOURCE, WHO, view, [str(tmp_path / "raw.parquet")], ["2020-01-06"]).sort_by("id")
    assert got.column("f0").to_pylist() == [1.0, 1.0, float("inf"), float("inf")]
    assert got.column("f1").to_pylist() == [1, 1, 2, 2]
    assert got.column("f2").to_pylist() == [1.0, None, float("inf"), None]


def test_what_is_no_number_is_unknown_in_what_is_made_of_it() -> None:
    """Infinity less infinity: neither above one nor below it, though an engine puts NaN above every number."""
    view = view_of(
        {"function": "sum", "column": "free", "window": "1d"},
        {"function": "count", "window": "1d"},
        {"function": "expression", "expression": "f0 > 1"},
        {"function": "expression", "expression": "f1 > 1"},
    )
    raw = raw_table([{"minute": n, "free": v} for n, v in enumerate([np.inf, -np.inf, 2.0])])
    got = by_sql(view, raw)
    assert got.column("f2").to_pylist() == [1, None, None]
    assert got.column("f3").to_pylist() == [0, 1, 1]
    with np.errstate(invalid="ignore"):
        other = independent_features(SOURCE, WHO, view, raw, raw)["f2"]
    assert np.array_equal(other, [1, np.nan, np.nan], equal_nan=True)


@card_golden.needs_external
@pytest.mark.external
@pytest.mark.parametrize("name", ["customer_spending", "terminal_risk", "transaction_calendar"])
def test_numpy_equals_the_external_answers(name: str) -> None:
    """The judge of the gate is judged too, on one of the five days."""
    repository = card_golden.card_repository()
    view = repository.feature_view(name)
    source, entity = repository.source(view.source), repository.entity_of(view)
    day = card_golden.DAYS[2]
    raw = pq.ParquetDataset(card_golden.raw_files(view, (day,))).read()
    rows = pq.read_table(card_golden.EXTERNAL / f"card_transactions/{day}.parquet").sort_by("TRANSACTION_ID")
    right = pq.read_table(card_golden.EXTERNAL / f"card_features/{day}.parquet").sort_by("TRANSACTION_ID")
    tied = duckdb.sql(f"FROM read_csv('{card_golden.EXTERNAL}/tied_rows.csv')").to_arrow_table()
    kept = ~np.isin(rows.column("TRANSACTION_ID").to_numpy(), tied.column("TRANSACTION_ID").to_numpy())
    assert rows.column("TRANSACTION_ID").equals(right.column("TRANSACTION_ID"))
    found = independent_features(source, entity, view, raw, rows)
    for feature in view.feature_names:
        assert np.abs(found[feature] - right.column(feature).to_numpy())[kept].max() <= 1e-9
