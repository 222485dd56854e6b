"""Keys of two sides brought into one order, and the sample of them: what plain Python says."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from platform_assets.parity.key_alignment import (
    KeyTypesDiffer,
    RepeatedKeys,
    aligned,
    key_hash,
    lowest_hashes,
)

WORD = 2**64

# the sample


def fnv_1a(text: str) -> int:
    found = 0xCBF29CE484222325
    for byte in text.encode():
        found = (found ^ byte) * 0x100000001B3 % WORD
    return found


def split_mix(state: int) -> int:
    value = (state + 0x9E3779B97F4A7C15) % WORD
    value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9 % WORD
    value = (value ^ (value >> 27)) * 0x94D049BB133111EB % WORD
    return value ^ (value >> 31)


def hash_of(key: Sequence[Any]) -> int:
    """A null or an empty text is 0."""
    found = 0
    for part in key:
        own = 0 if part in (None, "") else part % WORD if isinstance(part, int) else fnv_1a(part)
        found = split_mix(found ^ own)
    return found


def by_hand(keys: Sequence[Sequence[Any]], most: int) -> list[int]:
    """Places of the keys that hash lowest."""
    return sorted(sorted(range(len(keys)), key=lambda place: hash_of(keys[place]))[:most])


def test_the_hashes_are_the_published_ones() -> None:
    """Test vectors of FNV-1a (Fowler, Noll, Vo) and of SplitMix64 from the seed 1234567."""
    assert [fnv_1a(text) for text in ("", "a", "foobar")] == [
        0xCBF29CE484222325, 0xAF63DC4C8601EC8C, 0x85944171F73967E8,
    ]  # fmt: skip
    states = [1234567 + n * 0x9E3779B97F4A7C15 for n in range(3)]
    assert [split_mix(state % WORD) for state in states] == [
        6457827717110365317, 3203168211198807973, 9817491932198370423,
    ]  # fmt: skip


numbers = st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1), st.integers(-2, 2))
texts = st.one_of(st.none(), st.text(max_size=6), st.sampled_from(["shop 1", "shop 2", "é"]))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(numbers, texts), min_size=1, max_size=20, unique=True), st.integers(0, 21))
def test_a_sample_is_of_the_lowest_hashes(keys: list[tuple[int | None, str | None]], most: int) -> None:
    ahead = ["before", None]  # a slice begins in the middle of what Arrow holds
    table = pa.table(
        {
            "n": pa.array([7, 8] + [n for n, _ in keys], pa.int64()),
            "t": pa.array(ahead + [t for _, t in keys], pa.string()),
        }
    ).slice(2)
    for names, rows in ((["n", "t"], keys), (["t", "n"], [(t, n) for n, t in keys])):
        chosen = lowest_hashes(table.select(names), most).tolist()
        assert chosen == sorted(set(chosen))
        lowest = sorted(map(hash_of, rows))[:most]  # a null and an empty text are told apart by nothing
        assert sorted(hash_of(rows[place]) for place in chosen) == lowest


def test_a_sample_of_texts_of_many_lengths_in_many_chunks() -> None:
    keys = ["x" * n + "yé"[n % 2] for n in range(300)]
    column = pa.chunked_array([keys[:7], [], keys[7:200], keys[200:]])
    assert lowest_hashes(pa.table({"t": column}), 40).tolist() == by_hand([(key,) for key in keys], 40)


@pytest.mark.parametrize(
    "column",
    [
        pa.array([float(n) / 4 for n in range(50)]),
        pa.array([datetime(2024, 1, 1 + n % 28, n // 28) for n in range(50)], pa.timestamp("us")),
        pa.array([f"{n}" for n in range(50)]).dictionary_encode(),
    ],
    ids=["numbers", "moments", "categories"],
)
def test_what_is_no_whole_number_is_hashed_as_its_text(column: pa.Array) -> None:
    texts = column.cast(pa.string())
    assert (
        lowest_hashes(pa.table({"k": column}), 9).tolist()
        == lowest_hashes(pa.table({"k": texts}), 9).tolist()
    )


def test_whole_numbers_of_any_width_are_hashed_alike() -> None:
    for kind in (pa.int8(), pa.uint16(), pa.int64()):
        found = lowest_hashes(pa.table({"k": pa.array(range(100), kind)}), 9)
        assert found.tolist() == by_hand([(n,) for n in range(100)], 9)
        assert found.dtype == np.int64


def test_no_more_are_asked_for_than_there_are() -> None:
    keys = pa.table({"k": [3, 1, 2]})
    assert lowest_hashes(keys, 3).tolist() == lowest_hashes(keys, 9).tolist() == [0, 1, 2]
    assert lowest_hashes(keys, 0).tolist() == []
    nobody = pa.table({"k": pa.array([], pa.string())})
    assert lowest_hashes(nobody, 0).tolist() == []
    assert lowest_hashes(pa.table({"k": pa.chunked_array([], pa.string())}), 5).tolist() == []
    assert len(lowest_hashes(pa.table({"k": [None, None, ""]}), 2)) == 2


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
    """As `sha256sum` tells it; the parts of a key are set apart by a unit separator."""
    assert key_hash("shop 1") == key_hash(("shop 1",)) == key_hash(["shop 1"]) == "f4e8be7e01de"
    assert key_hash(("shop", 7)) == "601225957e38"


# the alignment


@settings(max_examples=100, deadline=None)
@given(
    *[st.lists(st.tuples(st.none() | st.integers(0, 3), st.none() | st.sampled_from("ab")), unique=True)] * 2
)
def test_keys_go_together_as_in_a_dictionary(ours: list[Any], theirs: list[Any]) -> None:
    """Trained keys in their order, then those that only the served side has, in theirs."""
    schema = pa.schema([("n", pa.int64()), ("t", pa.string())])
    trained, served = (
        pa.Table.from_pylist([{"n": n, "t": t} for n, t in side], schema=schema) for side in (ours, theirs)
    )
    found = aligned(served.select(["t", "n"]), trained)
    keys = ours + [key for key in theirs if key not in ours]
    assert [(row["n"], row["t"]) for row in found.keys.to_pylist()] == keys
    assert found.trained.tolist() == [ours.index(key) if key in ours else -1 for key in keys]
    assert found.served.tolist() == [theirs.index(key) if key in theirs else -1 for key in keys]
    assert len(found) == len(keys)
    assert found.only_served == len(set(theirs) - set(ours))
    assert found.only_trained == len(set(ours) - set(theirs))


def test_keys_of_one_column() -> None:
    found = aligned(pa.table({"k": ["b", "x", "a"]}), pa.table({"k": ["a", "b", "c"]}))
    assert found.keys.column("k").to_pylist() == ["a", "b", "c", "x"]
    assert found.served.tolist() == [2, 0, -1, 1]
    assert found.trained.tolist() == [0, 1, 2, -1]


def test_keys_of_many_columns_of_many_values() -> None:
    """All values of four columns together are a trillion; the keys are a thousand."""
    numbers = np.random.default_rng(3).permuted(np.tile(np.arange(1000), (4, 1)), axis=1)
    trained = pa.table({name: numbers[place] for place, name in enumerate("abcd")})
    order = np.random.default_rng(4).permutation(1000)
    found = aligned(trained.take(pa.array(order)), trained)
    assert found.served.tolist() == np.argsort(order).tolist()
    assert (found.only_served, found.only_trained) == (0, 0)


@pytest.mark.parametrize(
    ("served", "trained", "fit"),
    [
        pytest.param(pa.array([7], pa.int32()), pa.array([7]), True, id="whole numbers"),
        pytest.param(pa.array(["7"], pa.large_string()), pa.array(["7"]), True, id="texts"),
        pytest.param(pa.array(["7"]), pa.array(["7"], pa.large_string()), True, id="long texts"),
        pytest.param(
            pa.array([datetime(2024, 1, 1, tzinfo=UTC)], pa.timestamp("ms", tz="Europe/Vienna")),
            pa.array([datetime(2024, 1, 1, tzinfo=UTC)], pa.timestamp("us", tz="UTC")), True, id="moments",
        ),
        pytest.param(pa.array([7.0]), pa.array([7.0]), True, id="one type"),
        pytest.param(pa.array([7.0]), pa.array([7]), False, id="a float and a whole number"),
        pytest.param(pa.array([7], pa.int32()), pa.array(["7"]), False, id="a number and a text"),
        pytest.param(pa.array([True]), pa.array([1]), False, id="a flag and a number"),
        pytest.param(pa.nulls(1), pa.array([7]), False, id="nothing and a number"),
        pytest.param(pa.array([], pa.float64()), pa.array([7]), True, id="none of another type"),
    ],
)  # fmt: skip
def test_keys_of_one_kind_go_together(served: pa.Array, trained: pa.Array, fit: bool) -> None:
    if fit:
        found = aligned(pa.table({"k": served}), pa.table({"k": trained}))
        assert found.served.tolist() == [0 if len(served) else -1]
        assert found.keys.schema.field("k").type == trained.type
        return
    with pytest.raises(
        KeyTypesDiffer,
        match=f"^key 'k' is {served.type} on the served side and {trained.type} on the training side; 7 and '7' are",
    ):
        aligned(pa.table({"k": served}), pa.table({"k": trained}))


@pytest.mark.parametrize(
    ("served", "trained", "told"),
    [
        ([1, 1, 1, 2], [1, 2], "2 of 4 served rows repeat a key of k; keep one row a key"),
        ([1, 2], [1, 1, 2], "1 of 3 training rows repeat a key of k; keep one row a key"),
        ([1, None, None], [1], "1 of 3 served rows repeat a key of k; keep one row a key"),
    ],
    ids=["served", "training", "null"],
)
def test_a_repeated_key_is_refused(served: list[Any], trained: list[Any], told: str) -> None:
    sides = pa.table({"k": pa.array(served, pa.int64())}), pa.table({"k": trained})
    with pytest.raises(RepeatedKeys, match=f"^{told}"):
        aligned(*sides)
    with pytest.raises(RepeatedKeys, match=f"^stats: {told}"):
        aligned(*sides, what="stats")
