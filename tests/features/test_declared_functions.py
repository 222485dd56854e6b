"""Every window function in every kind of window: DuckDB and numpy against the definition."""

from __future__ import annotations

import re
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from function_world import SOURCE, by_definition, features, random_rows, repository_of, table_of, view_of
from hypothesis import given, settings
from hypothesis import strategies as st

from platform_assets.declaration.feature_view import FeatureView
from platform_assets.errors import DeclarationError
from platform_assets.features.engine_choice import feature_rows
from platform_assets.features.independent import independent_features
from platform_assets.features.window_sql import view_sql

TABLE = features()
NAMES = [f"f{number}" for number in range(len(TABLE))]
ROWS = random_rows()
# Sums of doubles are added in another order by each engine; everything else is equal to the last bit.
DOUBLES = ("free",)


def on_duckdb(view: FeatureView, raw: pa.Table) -> dict[str, list[Any]]:
    """Values by feature, in the order of the raw rows."""
    with duckdb.connect() as connection:
        connection.register("raw_rows_in", raw)
        entity = repository_of(view).entity_of(view)
        days = {str(moment)[:10] for moment in raw.column("at").to_pylist()}
        found = feature_rows(connection, SOURCE, entity, view, "raw_rows_in", days)
    return in_order(found, raw, view)


def in_order(found: pa.Table, raw: pa.Table, view: FeatureView) -> dict[str, list[Any]]:
    by_key = {(row["till"], row["slip"]): row for row in found.to_pylist()}
    keys = list(zip(raw.column("till").to_pylist(), raw.column("slip").to_pylist(), strict=True))
    assert len(by_key) == len(keys) == found.num_rows
    return {name: [by_key[key][name] for key in keys] for name in view.feature_names}


def in_numpy(view: FeatureView, raw: pa.Table) -> dict[str, list[Any]]:
    found = independent_features(SOURCE, repository_of(view).entity_of(view), view, raw, raw)
    return {
        name: [None if np.isnan(value) else float(value) for value in values]
        for name, values in found.items()
    }


def assert_close(got: list[Any], expected: list[Any]) -> None:
    """Nulls in the same places, values equal but for the last few bits."""
    assert [value is None for value in got] == [value is None for value in expected]
    pairs = [pair for pair in zip(got, expected, strict=True) if None not in pair]
    assert [a for a, _ in pairs] == pytest.approx([b for _, b in pairs], rel=1e-12, abs=1e-12)


def assert_same(feature: Any, got: list[Any], expected: list[Any]) -> None:
    if feature.column in DOUBLES and feature.function in ("sum", "mean", "stddev"):
        assert_close(got, expected)
    else:
        assert got == expected


@pytest.fixture(scope="module", params=["who", ["who", "place"]], ids=["one entity", "a pair"])
def computed(request: pytest.FixtureRequest) -> tuple[FeatureView, dict[str, Any], dict[str, Any]]:
    view = view_of(*TABLE.values(), entity=request.param)
    return view, on_duckdb(view, ROWS), in_numpy(view, ROWS)


@pytest.mark.parametrize(("name", "told"), list(zip(NAMES, TABLE, strict=True)), ids=list(TABLE))
def test_duckdb_and_numpy_equal_the_definition(computed: Any, name: str, told: str) -> None:
    view, by_sql, by_numpy = computed
    feature = view.feature(name)
    expected = by_definition(view, feature, ROWS.to_pylist())
    if feature.function in ("sum", "mean", "stddev") and feature.column not in DOUBLES:
        # the loop adds decimals as doubles; the two that are exact must still agree to the last bit
        assert_close(by_sql[name], expected)
    else:
        assert_same(feature, by_sql[name], expected)
    assert_same(feature, by_numpy[name], by_sql[name])


def test_the_table_looks_at_something(computed: Any) -> None:
    """No column of the table is constant: a function that did nothing would be seen."""
    _, by_sql, _ = computed
    dull = [told for name, told in zip(NAMES, TABLE, strict=True) if len(set(by_sql[name])) < 2]
    assert dull == []


function = st.sampled_from([told for told in TABLE.values() if told["window"] == "12h"])
number = st.integers(-300, 300).map(lambda n: n / 100)
one_row = st.fixed_dictionaries(
    {
        "minute": st.integers(0, 8).map(lambda n: n * 30) | st.sampled_from([720, 1440, 1470, 2880]),
        "us": st.sampled_from([0, 0, 0, 1]),
        "who": st.sampled_from([1, 1, 1, 2, None]),
        "cents": number,
        "maybe": st.none() | number,
        "free": st.none() | number | st.just(float("nan")),
        "whole": st.integers(-5, 5),
        "flag": st.booleans(),
        "kind": st.sampled_from([None, "a", "b"]),
    }
)
frame = st.fixed_dictionaries(
    {
        "window": st.sampled_from(["30m", "12h", "1d", "90m"]),
        "delay": st.sampled_from(["0s", "0s", "30m", "1d"]),
        "where": st.sampled_from([None, "whole > 0 and not kind = 'a'", "maybe >= 1.1 or flag"]),
        "empty": st.sampled_from([None, 0.0, -1.0]),
    }
)


@settings(max_examples=50, deadline=None)
@given(
    declared=st.lists(st.tuples(function, frame), min_size=1, max_size=5),
    rows=st.lists(one_row, min_size=1, max_size=14),
)
def test_any_declaration_over_any_rows(declared: list[Any], rows: list[dict[str, Any]]) -> None:
    view = view_of(*({**told, **chosen} for told, chosen in declared))
    raw = table_of(rows)
    by_sql, by_numpy = on_duckdb(view, raw), in_numpy(view, raw)
    for feature in view.features:
        expected = by_definition(view, feature, raw.to_pylist())
        assert by_sql[feature.name] == pytest.approx(expected, abs=1e-7), (
            feature
        )  # a root doubles the digits lost
        assert by_numpy[feature.name] == pytest.approx(by_sql[feature.name], abs=1e-7), feature


MISTAKES: dict[str, tuple[Any, set[str]]] = {
    "closed on the left": (
        lambda sql: re.sub(r"(\d+) PRECEDING AND", lambda m: f"{int(m[1]) + 1} PRECEDING AND", sql),
        {"count", "distinct_count"},
    ),
    "the row itself counts": (lambda sql: sql.replace(" EXCLUDE CURRENT ROW", ""), {"last", "time_since_last"}),
    "deviation of a population": (lambda sql: re.sub(r"\* \((\w+) - 1\)\)", r"* \1)", sql), {"stddev"}),
    "of equal moments the first": (
        lambda sql: sql.replace('epoch_us("at"), "till", "slip"', 'epoch_us("at"), "till" DESC, "slip" DESC'),
        {"last"},
    ),
    "a condition that is unknown passes": (
        lambda sql: re.sub(r"WHEN (\(\(\"whole\".*?'a'\)\)\)) THEN", r"WHEN coalesce(\1, TRUE) THEN", sql),
        {"count", "mean", "distinct_count"},
    ),
    "at least for more than": (lambda sql: sql.replace("> CAST(0", ">= CAST(0"), {"count", "sum", "stddev"}),
    "equal values counted twice": (lambda sql: sql.replace("count(DISTINCT ", "count("), {"distinct_count"}),
    "cents cut off instead of rounded": (
        lambda sql: sql.replace("CAST(round(", "CAST(trunc("), {"sum", "mean", "last", "stddev"},
    ),
}  # fmt: skip


@pytest.mark.parametrize(("mistake", "wrong"), MISTAKES.values(), ids=list(MISTAKES))
def test_a_mistake_is_seen(mistake: Any, wrong: set[str]) -> None:
    """The table of this module would be red for each of the named functions."""
    view = view_of(*TABLE.values())
    right = view_sql(SOURCE, repository_of(view).entity_of(view), view, relation="raw_rows_in")
    assert mistake(right) != right
    with duckdb.connect() as connection:
        connection.register("raw_rows_in", ROWS)
        good, bad = (
            in_order(connection.sql(sql).to_arrow_table(), ROWS, view) for sql in (right, mistake(right))
        )
    differing = {f.function for f in view.features if good[f.name] != bad[f.name]}
    assert wrong <= differing


# edges


def one(feature: dict[str, Any], *rows: dict[str, Any]) -> list[Any]:
    view, raw = view_of(feature), table_of(list(rows))
    by_sql = on_duckdb(view, raw)["f0"]
    assert in_numpy(view, raw)["f0"] == by_sql
    return by_sql


def test_a_deviation_needs_two_values() -> None:
    declared = {"function": "stddev", "column": "whole", "window": "1d"}
    assert one(declared, {"whole": 1}) == [None]
    assert one(declared, {"whole": 1}, {"whole": 3}) == [2**0.5] * 2
    assert one({**declared, "empty": 0}, {"whole": 1}) == [0.0]


def test_a_deviation_of_equal_values_is_exactly_zero() -> None:
    rows = [{"cents": 1234567.89, "minute": n} for n in range(50)]
    assert one({"function": "stddev", "column": "cents", "window": "1d"}, *rows)[1:] == [0.0] * 49


def test_a_small_deviation_of_large_numbers_keeps_its_digits() -> None:
    """In doubles sum(x^2) - sum(x)^2 / n would leave nothing of it."""
    rows = [{"whole": 10**12 + n % 2, "minute": n} for n in range(10)]
    found = one({"function": "stddev", "column": "whole", "window": "1d"}, *rows)
    assert found[9] == pytest.approx((5 / 18) ** 0.5, rel=1e-15)


def test_a_deviation_of_widely_spread_numbers_is_within_four_units_in_the_last_place() -> None:
    """Where the numerator passes 2^53 engines turn it into a double in their own ways."""
    made = np.random.default_rng(5)
    rows = [{"whole": int(made.integers(-(2**40), 2**40)), "minute": n} for n in range(60)]
    view, raw = view_of({"function": "stddev", "column": "whole", "window": "1d"}), table_of(rows)
    for got, want in zip(on_duckdb(view, raw)["f0"][1:], in_numpy(view, raw)["f0"][1:], strict=True):
        assert abs(got - want) <= 4 * np.spacing(want)


def test_a_deviation_beside_a_value_that_is_not_finite_is_null() -> None:
    rows = [{"free": 1.0}, {"free": 2.0}, {"free": float("inf")}]
    assert one({"function": "stddev", "column": "free", "window": "1d"}, *rows) == [None] * 3


def test_of_equal_moments_the_last_is_that_of_the_largest_primary_key() -> None:
    rows = [
        {"till": "b", "slip": 1, "whole": 1},
        {"till": "a", "slip": 9, "whole": 2},
        {"till": "b", "slip": 10, "whole": 3},
    ]
    declared = {"function": "last", "column": "whole", "window": "1d"}
    assert one(declared, *rows) == [3.0] * 3
    assert one({**declared, "include_current_row": False}, *rows) == [3.0, 3.0, 1.0]


def test_time_since_last_is_in_seconds_to_the_microsecond_and_never_the_row_itself() -> None:
    declared = {"function": "time_since_last", "window": "1d"}
    rows = [{"minute": 0}, {"minute": 10, "us": 1}, {"minute": 10, "us": 1}, {"minute": 3000}]
    assert one(declared, *rows) == [None, 0.0, 0.0, None]
    assert one(declared, *rows[:2]) == [None, 600.000001]
    assert one({**declared, "delay": "5m"}, *rows[:2]) == [None, 600.000001]


def test_a_row_without_its_key_belongs_to_nobody() -> None:
    for declared in (
        {"function": "distinct_count", "column": "whole"},
        {"function": "last", "column": "whole"},
    ):
        found = one({**declared, "window": "1d"}, {"who": None}, {"who": None})
        assert found == [0 if declared["function"] == "distinct_count" else None] * 2


@pytest.mark.parametrize("function", ["stddev", "last", "min"])
def test_refuses_a_number_of_what_is_none(function: str) -> None:
    view = view_of({"function": function, "column": "kind", "window": "1d"})
    with pytest.raises(DeclarationError, match="needs a number, and column 'kind' is a string"):
        view_sql(SOURCE, repository_of(view).entity_of(view), view, relation="x")


@pytest.mark.parametrize("column", ["free", "at"])
def test_refuses_to_count_what_is_not_simply_equal(column: str) -> None:
    view = view_of({"function": "distinct_count", "column": column, "window": "1d"})
    with pytest.raises(DeclarationError, match=f"distinct_count needs whole numbers.*'{column}'"):
        view_sql(SOURCE, repository_of(view).entity_of(view), view, relation="x")
