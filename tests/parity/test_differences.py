"""Differences of two aligned sides: what counts as one, how large it is, and which keys go together."""

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
from platform_assets.parity.key_alignment import (
    KeyTypesDiffer,
    RepeatedKeys,
    aligned,
    key_hash,
    lowest_hashes,
)

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


# keys


def test_keys_of_both_sides_go_together() -> None:
    found = aligned(pa.table({"k": ["b", "x", "a"]}), pa.table({"k": ["a", "b", "c"]}))
    assert found.keys.column("k").to_pylist() == ["a", "b", "c", "x"]
    assert found.served.tolist() == [2, 0, -1, 1]
    assert found.trained.tolist() == [0, 1, 2, -1]
    assert (found.only_served, found.only_trained) == (1, 1)


def test_keys_of_several_columns() -> None:
    trained = pa.table({"a": [1, 1, 2], "b": ["x", "y", "x"]})
    served = pa.table({"b": ["x", "y"], "a": [2, 2]})
    found = aligned(served, trained)
    assert found.served.tolist() == [-1, -1, 0, 1]


@pytest.mark.parametrize("side", ["served", "training"])
def test_a_repeated_key_is_one_clear_error(side: str) -> None:
    twice, once = pa.table({"k": [1, 1, 2]}), pa.table({"k": [1, 2]})
    sides = (twice, once) if side == "served" else (once, twice)
    with pytest.raises(RepeatedKeys, match=f"stats: 1 of 3 {side} rows repeat a key of k"):
        aligned(*sides, what="stats")


def test_text_and_numbers_are_different_keys() -> None:
    with pytest.raises(KeyTypesDiffer, match="key 'k' is string on the served side and int64"):
        aligned(pa.table({"k": ["7"]}), pa.table({"k": [7]}))
    assert aligned(pa.table({"k": pa.array([7], pa.int32())}), pa.table({"k": [7]})).served.tolist() == [0]
    assert len(aligned(pa.table({"k": pa.array([], pa.string())}), pa.table({"k": [7]}))) == 1


def test_the_sample_is_a_function_of_the_keys() -> None:
    keys = pa.table({"k": [f"shop {n}" for n in range(1000)]})
    chosen = keys.take(pa.array(lowest_hashes(keys, 50))).column("k").to_pylist()
    turned = keys.take(pa.array(np.arange(1000)[::-1]))
    assert sorted(turned.take(pa.array(lowest_hashes(turned, 50))).column("k").to_pylist()) == sorted(chosen)
    assert len(set(chosen)) == 50
    assert len(lowest_hashes(keys, 1000)) == len(lowest_hashes(keys, 2000)) == 1000


@pytest.mark.parametrize(
    "column",
    [
        pytest.param(pa.chunked_array([list(range(500)), list(range(500, 1000))]), id="neighbouring numbers"),
        pytest.param(pa.chunked_array([[None, *range(999)]]), id="a null"),
        pytest.param(pa.chunked_array([[f"{n}é" for n in range(1000)], []]), id="texts"),
        pytest.param(pa.chunked_array([["x" * n for n in range(1000)]]).slice(0, 1000), id="lengths"),
    ],
)
def test_a_sample_is_spread_over_the_keys(column: pa.ChunkedArray) -> None:
    """Every tenth of the keys is in a sample of 300 about as often as any other."""
    places = lowest_hashes(pa.table({"k": column}), 300)
    counts = np.bincount(places // 100, minlength=10)
    assert counts.sum() == 300
    assert counts.min() > 12
    assert counts.max() < 55


def test_a_key_is_shown_as_its_hash() -> None:
    assert key_hash("shop 1") == key_hash(("shop 1",)) != key_hash("shop 2")
    assert len(key_hash(7)) == 12


values = st.one_of(st.none(), st.integers(-3, 3))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(values, values), max_size=30))
def test_as_a_plain_loop_would_count(pairs: list[tuple[int | None, int | None]]) -> None:
    served, trained = [a for a, _ in pairs], [b for _, b in pairs]
    row = compare("f", column_of(served), column_of(trained)).row()
    assert row["mismatch"] == sum(a is not None and b is not None and a != b for a, b in pairs)
    assert row["missing"] == sum(a is None and b is not None for a, b in pairs)
    assert row["extra"] == sum(a is not None and b is None for a, b in pairs)


@settings(max_examples=50, deadline=None)
@given(
    st.sets(st.tuples(st.integers(0, 3), st.sampled_from("ab"))),
    st.sets(st.tuples(st.integers(0, 3), st.sampled_from("ab"))),
)
def test_alignment_as_a_dictionary_would(ours: set[tuple[int, str]], theirs: set[tuple[int, str]]) -> None:
    schema = pa.schema([("n", pa.int64()), ("t", pa.string())])
    trained, served = (
        pa.Table.from_pylist([{"n": n, "t": t} for n, t in side], schema=schema) for side in (ours, theirs)
    )
    found = aligned(served, trained)
    keys = [tuple(row.values()) for row in found.keys.to_pylist()]
    assert len(keys) == len(set(keys)) == len(ours | theirs)
    for key, there, known in zip(keys, found.served, found.trained, strict=True):
        assert (there >= 0, known >= 0) == (key in theirs, key in ours)
        if there >= 0:
            assert tuple(served.take(pa.array([there])).to_pylist()[0].values()) == key
        if known >= 0:
            assert tuple(trained.take(pa.array([known])).to_pylist()[0].values()) == key
