"""Differences of two aligned sides: what counts as one, and how large it is."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from platform_assets.parity.differences import Column, column_of, compare, compare_all, differing_places

NAN = float("nan")
BIG = 2**53


@pytest.mark.parametrize(
    ("served", "trained", "told"),
    [
        pytest.param([1, 2], [1, 2], (0, 0, 0), id="equal integers"),
        pytest.param([1, 3], [1, 2], (1, 0, 0), id="integer off by one"),
        pytest.param([1.0, 3.0], [1, 2], (1, 0, 0), id="whole number read back as float"),
        pytest.param([1.5], [1], (1, 0, 0), id="half is no whole number"),
        pytest.param([BIG + 1], [BIG], (1, 0, 0), id="neighbours beyond 2^53"),
        pytest.param([float(BIG)], [BIG + 1], (1, 0, 0), id="float cannot hold it"),
        pytest.param([float(BIG)], [BIG], (0, 0, 0), id="float holds it"),
        pytest.param([float(2**62)], [2**62], (0, 0, 0), id="float holds it, far beyond"),
        pytest.param([float(2**62)], [2**62 + 1], (1, 0, 0), id="float cannot hold it, far beyond"),
        pytest.param([2**62 + 1], [float(2**62)], (1, 0, 0), id="nor on the other side"),
        pytest.param([60.5, 1.5], [60, None], (1, 0, 1), id="half beside a whole number"),
        pytest.param([2.0**51 + 0.5], [2**51], (1, 0, 0), id="the last half that a float can hold"),
        pytest.param([True, False], [1, 0], (0, 0, 0), id="booleans are whole"),
        pytest.param([1.0 + 1e-10], [1.0], (0, 0, 0), id="within the tolerance"),
        pytest.param([1.001], [1.0], (1, 0, 0), id="beyond the tolerance"),
        pytest.param([1e9 + 0.1], [1e9], (0, 0, 0), id="relative above one"),
        pytest.param([1e-12], [0.0], (0, 0, 0), id="absolute below one"),
        pytest.param([np.inf, -np.inf], [np.inf, np.inf], (1, 0, 0), id="infinite"),
        pytest.param([1.0], [np.inf], (1, 0, 0), id="finite against infinite"),
        pytest.param([None, NAN, NAN], [NAN, None, NAN], (0, 0, 0), id="NaN is null"),
        pytest.param([None], [0.0], (0, 1, 0), id="null is not zero"),
        pytest.param([0], [None], (0, 0, 1), id="zero is not null"),
        pytest.param(["a", "b"], ["a", "c"], (1, 0, 0), id="text"),
        pytest.param(["a", None], [None, "a"], (0, 1, 1), id="text against none"),
        pytest.param(["7"], [7], (1, 0, 0), id="text is not a number"),
        pytest.param([[1, 2]], [[1, 3]], (1, 0, 0), id="lists"),
        pytest.param([], [], (0, 0, 0), id="nothing"),
    ],
)
def test_what_differs(served: list[Any], trained: list[Any], told: tuple[int, int, int]) -> None:
    found = compare("f", column_of(served), column_of(trained), tolerance=1e-9)
    row = found.row()
    assert (row["mismatch"], row["missing"], row["extra"]) == told
    assert found.count == sum(told)
    assert row["compared"] == len(served)


def test_a_float_of_32_bits_is_another_value() -> None:
    wide = np.array([0.1, 0.5])
    found = compare("f", column_of(wide.astype(np.float32)), column_of(wide), tolerance=1e-9)
    assert found.mismatches.tolist() == [True, False]
    assert 0 < found.error.max < 1e-8


def test_timestamps_are_equal_as_moments() -> None:
    moment = datetime(2024, 1, 1, 12, tzinfo=UTC)
    served = pa.array([moment], pa.timestamp("ns", tz="Europe/Vienna"))
    found = compare("f", column_of(served), column_of(pa.array([moment], pa.timestamp("us", tz="UTC"))))
    assert not found.count


def test_sizes_are_those_of_mismatching_numbers() -> None:
    trained = np.zeros(100)
    served = np.arange(100, dtype=np.float64)
    error = compare("f", column_of(served), column_of(trained)).error
    assert (error.max, error.mean, error.p50, error.p90, error.p99) == (99.0, 50.0, 50.0, 90.0, 99.0)


@pytest.mark.parametrize(
    ("served", "trained", "apart"),
    [
        pytest.param([1], [4], 3.0, id="integers"),
        pytest.param([BIG + 1, 5], [BIG, 5], 1.0, id="neighbours that floats cannot tell apart"),
        pytest.param([BIG, 5], [BIG + 1, 5], 1.0, id="the other way round"),
        pytest.param([float(BIG)], [BIG + 1], 1.0, id="a float against its neighbour"),
        pytest.param([float(BIG), 1.0], [BIG + 4, None], 4.0, id="a float further off"),
        pytest.param([1.5], [None], 0.0, id="nothing to measure"),
        pytest.param([1.0], [np.inf], np.inf, id="infinite"),
        pytest.param(["a"], ["b"], 0.0, id="texts have no distance"),
    ],
)
def test_how_far_apart(served: list[Any], trained: list[Any], apart: float) -> None:
    error = compare("f", column_of(served), column_of(trained), tolerance=1e-9).error
    assert (error.max, error.mean, error.p50, error.p90, error.p99) == (apart,) * 5


def test_without_a_tolerance_any_difference_counts() -> None:
    served, trained = {"a": column_of([1.0 + 1e-12])}, {"a": column_of([1.0])}
    assert compare_all(served, trained)["a"].count == 1
    assert compare("a", served["a"], trained["a"]).count == 1
    assert compare_all(served, trained, tolerance=1e-9)["a"].count == 0


def test_columns_hold_plain_values() -> None:
    kinds = [type(column_of(values).at(0)) for values in ([1], [1.5], ["a"], [True], [[1]])]
    assert kinds == [int, float, str, int, list]
    assert [column_of(np.array(["a", None], object)).at(place) for place in (0, 1)] == ["a", None]
    assert column_of(pa.array([1999], pa.timestamp("ns"))).at(0) == 1
    assert len(column_of(pa.chunked_array([], pa.int64()))) == 0


def test_stale_is_told_of_differing_places_only() -> None:
    found = compare("f", column_of([1, 2, 3]), column_of([1, 9, 9]), outdated=np.array([True, True, False]))
    assert found.outdated.tolist() == [False, True, False]
    assert found.row()["stale"] == 1


def test_sides_must_be_aligned() -> None:
    with pytest.raises(ValueError, match="2 served and 1 trained"):
        compare("f", column_of([1, 2]), column_of([1]))
    with pytest.raises(ValueError, match="1 served and 2 trained"):
        compare("f", column_of([1]), column_of([1, 2]))


def test_every_feature_and_every_place() -> None:
    served = {"a": column_of([1, 2]), "b": column_of([1.0, None])}
    trained = {"a": column_of([1, 3]), "b": column_of([1.0, 5.0])}
    found = compare_all(served, trained)
    assert differing_places(found, 2).tolist() == [False, True]
    with pytest.raises(KeyError):
        compare_all({}, trained)


@pytest.mark.parametrize(
    "values",
    [
        pytest.param(pa.chunked_array([[1, None], [3]]), id="chunked"),
        pytest.param(pd.Series([1, None, 3], dtype="Int64").to_list(), id="python with pandas' null"),
        pytest.param(pa.array([1, None, 3], pa.int32()), id="narrow integers"),
    ],
)
def test_columns_of_every_kind(values: Any) -> None:
    if isinstance(values, list):
        values = [None if value is pd.NA else value for value in values]
    column = column_of(values)
    assert [column.at(i) for i in range(3)] == [1, None, 3]


def test_a_place_that_is_not_there_has_no_value() -> None:
    taken = column_of([1, 2]).take(np.array([1, -1, 0]))
    assert [taken.at(i) for i in range(3)] == [2, None, 1]
    nothing = Column(np.array([], np.int64), np.array([], bool)).take(np.array([-1, -1]))
    assert not nothing.valid.any()


values = st.one_of(st.none(), st.integers(-3, 3))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(values, values), max_size=30))
def test_as_a_plain_loop_would_count(pairs: list[tuple[int | None, int | None]]) -> None:
    served, trained = [a for a, _ in pairs], [b for _, b in pairs]
    row = compare("f", column_of(served), column_of(trained)).row()
    assert row["mismatch"] == sum(a is not None and b is not None and a != b for a, b in pairs)
    assert row["missing"] == sum(a is None and b is not None for a, b in pairs)
    assert row["extra"] == sum(a is not None and b is None for a, b in pairs)
