"""Two training sets compared row by row: what is counted, told by a dictionary of rows."""

from __future__ import annotations

import math
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from platform_assets.errors import LakeError
from platform_assets.hindsight.difference import TOLERANCE, Difference, difference

SCHEMA = pa.schema(
    [
        ("till", pa.string()),
        ("slip", pa.int64()),
        ("amount", pa.float64()),
        ("count_7d", pa.int64()),
        ("lost", pa.bool_()),
        ("_split", pa.string()),
    ]
)
Row = dict[str, Any]


def a_row(slip: int, *, till: str = "a", split: str = "train", **values: Any) -> Row:
    return {"till": till, "slip": slip, "amount": 1.5, "count_7d": 3, "lost": False, "_split": split} | values


def between(now: list[Row], then: list[Row]) -> Difference:
    sides = (pa.Table.from_pylist(rows, schema=SCHEMA) for rows in (now, then))
    return difference(*sides, key=["till", "slip"], inputs=["amount", "count_7d"], label="lost")


def test_rows_of_both_sides_are_told_apart() -> None:
    now = [a_row(1), a_row(2), a_row(3, lost=True), a_row(4), a_row(5)]
    then = [a_row(2, amount=2.5), a_row(3), a_row(4, count_7d=5, amount=4.0), a_row(6), a_row(1)]
    found = between(now, then)
    assert found.summary() == {
        "rows_in_both": 4,
        "rows_added": 1,
        "rows_removed": 1,
        "labels_changed": 1,
        "rows_changed": 3,
        "rows_differ": 5,
        "share_of_rows": 0.833333,
    }
    assert found.share == 5 / 6
    assert found.columns == (
        {
            "name": "amount", "rows": 2, "share": 0.5, "one_side_only": 0,
            "mean_difference": 1.75, "largest_difference": 2.5,
        },
        {
            "name": "count_7d", "rows": 1, "share": 0.25, "one_side_only": 0,
            "mean_difference": 2.0, "largest_difference": 2.0,
        },
        {
            "name": "lost", "rows": 1, "share": 0.25, "one_side_only": 0,
            "mean_difference": 1.0, "largest_difference": 1.0,
        },
    )  # fmt: skip
    assert list(zip(found.now.tolist(), found.then.tolist(), strict=True)) == [(0, 4), (1, 0), (2, 1), (3, 2)]


def test_nothing_on_either_side_differs_nowhere() -> None:
    found = between([], [])
    assert (found.rows, found.share, found.columns[0]["share"]) == (0, 0.0, 0.0)


def test_a_row_that_moved_from_train_to_test_is_another_row() -> None:
    found = between([a_row(1, split="test")], [a_row(1)])
    assert (found.added, found.removed, found.share) == (1, 1, 1.0)


def test_a_share_is_told_to_six_digits() -> None:
    now = [a_row(n, amount=float(n == 0)) for n in range(7)]
    found = between(now, [{**row, "amount": 0.0} for row in now])
    assert found.summary()["share_of_rows"] == found.columns[0]["share"] == 0.142857


@pytest.mark.parametrize(
    ("now", "then", "differs"),
    [
        pytest.param(1.0 + TOLERANCE, 1.0, False, id="last bits"),
        pytest.param(1.0 + 4 * TOLERANCE, 1.0, True, id="beyond the tolerance"),
        pytest.param(1e6 * (1 + TOLERANCE), 1e6, False, id="last bits of a large one"),
        pytest.param(1e6 * (1 + 4 * TOLERANCE), 1e6, True, id="beyond the tolerance of a large one"),
        pytest.param(TOLERANCE / 2, 0.0, False, id="almost zero"),
        pytest.param(4 * TOLERANCE, 0.0, True, id="not zero"),
        pytest.param(None, None, False, id="missing on both sides"),
        pytest.param(math.nan, None, False, id="NaN is missing"),
        pytest.param(None, 0.0, True, id="missing is not zero"),
        pytest.param(math.inf, math.inf, False, id="infinite on both sides"),
        pytest.param(math.inf, 1.0, True, id="infinite on one"),
    ],
)
def test_when_a_number_differs(now: float | None, then: float | None, differs: bool) -> None:
    found = between([a_row(1, amount=now)], [a_row(1, amount=then)])
    assert found.rows_changed == differs


@pytest.mark.parametrize(
    ("now", "then", "rows"), [((1, 1), (1,), 1), ((1,), (1, 1), 1), ((1, 1, 1, 2), (1, 2), 2)]
)
def test_a_key_that_stands_twice_is_an_error(now: tuple[int, ...], then: tuple[int, ...], rows: int) -> None:
    with pytest.raises(LakeError, match=rf"^{rows} rows have the key of another row"):
        between([a_row(slip) for slip in now], [a_row(slip) for slip in then])


numbers = st.one_of(st.none(), st.integers(-3, 3).map(float))
counts = st.one_of(st.none(), st.integers(0, 2), st.integers(2**53, 2**53 + 8).map(lambda n: n * 1001))
rows = st.builds(
    a_row,
    st.integers(0, 4),
    till=st.sampled_from("ab"),
    split=st.sampled_from(["train", "test"]),
    amount=numbers,
    count_7d=counts,
    lost=st.booleans(),
)
sides = st.lists(rows, max_size=12, unique_by=lambda row: (row["till"], row["slip"]))


@settings(max_examples=25, deadline=None)
@given(sides, sides)
def test_as_a_dictionary_would_count(now: list[Row], then: list[Row]) -> None:
    found = between(now, then)
    here, there = ({(r["till"], r["slip"], r["_split"]): r for r in side} for side in (now, then))
    both = [key for key in here if key in there]
    pairs = [
        tuple(now[a].values()) + tuple(then[b].values()) for a, b in zip(found.now, found.then, strict=True)
    ]
    assert pairs == [tuple(here[key].values()) + tuple(there[key].values()) for key in both]
    assert (found.added, found.removed) == (len(now) - len(both), len(then) - len(both))
    changed = set()
    for line in found.columns:
        values = [(key, here[key][line["name"]], there[key][line["name"]]) for key in both]
        differing = [(key, a, b) for key, a, b in values if a is None or b is None or not close(a, b)]
        differing = [(key, a, b) for key, a, b in differing if a is not b]
        sizes = [abs(a - b) for _, a, b in differing if a is not None and b is not None]
        changed |= {key for key, _, _ in differing}
        assert line["rows"] == len(differing)
        assert line["share"] == (round(len(differing) / len(both), 6) if both else 0.0)
        assert line["one_side_only"] == len(differing) - len(sizes)
        assert line["largest_difference"] == pytest.approx(max(sizes, default=0), rel=1e-9)
        assert line["mean_difference"] == pytest.approx(sum(sizes) / len(sizes) if sizes else 0, rel=1e-9)
    assert found.rows_changed == len(changed)
    assert found.labels_changed == found.columns[-1]["rows"]


def close(a: float, b: float) -> bool:
    return math.isclose(a, b, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
