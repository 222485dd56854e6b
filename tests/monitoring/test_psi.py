"""The stability index against hand calculations, and what must hold for any data."""

from __future__ import annotations

import json
import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from platform_assets.monitoring.psi import SMALLEST_SHARE, Bins, freeze, numbers, population_stability_index

values = st.lists(
    st.one_of(st.sampled_from([0.0, -0.0, 1.0, math.nan]), st.floats(allow_infinity=False)),
    min_size=1,
    max_size=60,
).map(np.array)


def psi(reference: np.ndarray, current: np.ndarray, bins: int = 10) -> float:
    return population_stability_index(freeze(reference, bins), current)


def test_hand_calculated_index() -> None:
    reference = Bins(edges=(2.0, 3.0), counts=(2, 1, 1, 0))  # shares 1/2 up to 2, 1/4 up to 3, 1/4 above
    current = np.array([1.0, 3.0, 3.0, 4.0])  # shares 1/4, 1/2, 1/4
    by_hand = (0.25 - 0.5) * math.log(0.5) + (0.5 - 0.25) * math.log(2.0)
    assert by_hand == pytest.approx(0.5 * math.log(2.0))
    assert population_stability_index(reference, current) == pytest.approx(by_hand, abs=1e-15)


def test_an_empty_bin_counts_as_the_smallest_share() -> None:
    reference = Bins(edges=(0.0,), counts=(4, 0, 0))
    by_hand = (SMALLEST_SHARE - 1) * math.log(SMALLEST_SHARE) + (1 - SMALLEST_SHARE) * math.log(
        1 / SMALLEST_SHARE
    )
    assert population_stability_index(reference, np.array([5.0])) == pytest.approx(by_hand, abs=1e-12)


def test_deciles_of_a_hundred_values_are_values_that_occur() -> None:
    frozen = freeze(np.arange(1.0, 101.0), bins=10)
    assert frozen.edges == (10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0)
    assert frozen.counts == (10,) * 10 + (0,)


@pytest.mark.parametrize(
    ("share_of_zero", "limit"),
    [pytest.param(0.95, 0.0, id="unchanged"), pytest.param(0.60, 0.25, id="more risk: failed")],
)
def test_the_zero_of_a_risk_has_its_own_bin(share_of_zero: float, limit: float) -> None:
    def risk(zeros: float) -> np.ndarray:
        count = int(1000 * zeros)
        return np.concatenate([np.zeros(count), np.linspace(0.1, 1.0, 1000 - count)])

    frozen = freeze(risk(0.95), bins=10)
    assert frozen.edges == (np.nextafter(0.0, -1.0), 0.0)  # below, zero, above
    assert frozen.counts == (0, 950, 50, 0)
    measured = population_stability_index(frozen, risk(share_of_zero))
    assert measured == 0.0 if limit == 0.0 else measured > limit


@pytest.mark.parametrize(
    ("current", "changed"),
    [
        pytest.param(np.full(70, 3.5), False, id="same constant, other row count"),
        pytest.param(np.full(70, 3.4), True, id="a little lower"),
        pytest.param(np.full(70, 3.6), True, id="a little higher"),
        pytest.param(np.full(70, math.nan), True, id="all missing"),
    ],
)
def test_a_constant_column(current: np.ndarray, changed: bool) -> None:
    measured = psi(np.full(100, 3.5), current)
    assert measured > 5 if changed else measured == 0.0


def test_missing_values_are_a_bin() -> None:
    reference = np.concatenate([np.arange(90.0), np.full(10, math.nan)])
    assert psi(reference, reference) == 0.0
    assert (
        psi(reference, np.concatenate([np.arange(45.0), np.arange(45.0, 90.0), np.full(90, math.nan)])) > 0.25
    )


def test_a_heavy_tail_moved_is_seen_where_equal_widths_see_nothing() -> None:
    random = np.random.default_rng(7)
    reference = random.lognormal(mean=3.0, sigma=1.2, size=70_000)
    current = random.lognormal(mean=3.0 + math.log(2.7), sigma=1.2, size=70_000)  # median times 2.7
    assert psi(reference, current) > 0.5

    edges = np.histogram_bin_edges(np.concatenate([reference, current]), bins=10)  # what Evidently does
    shares = [np.maximum(np.histogram(side, edges)[0] / len(side), 1e-4) for side in (reference, current)]
    equal_widths = float(np.sum((shares[1] - shares[0]) * np.log(shares[1] / shares[0])))
    assert equal_widths < 0.1


def test_two_samples_of_one_distribution_are_near_the_expected_noise() -> None:
    random = np.random.default_rng(1)
    measured = psi(random.normal(size=50_000), random.normal(size=50_000))
    assert 0 < measured < 5 * 10 * (2 / 50_000)


@given(reference=values, current=values, bins=st.integers(2, 20))
@settings(max_examples=150, deadline=None)
def test_never_negative_and_always_finite(reference: np.ndarray, current: np.ndarray, bins: int) -> None:
    measured = psi(reference, current, bins)
    assert math.isfinite(measured)
    assert measured >= 0


@given(reference=values, bins=st.integers(2, 20), times=st.integers(1, 3))
@settings(max_examples=100, deadline=None)
def test_zero_for_the_same_data_however_often(reference: np.ndarray, bins: int, times: int) -> None:
    assert psi(reference, np.tile(reference, times), bins) == pytest.approx(0, abs=1e-12)
    assert psi(reference, reference, bins) == 0.0


@given(reference=values, current=values, seed=st.integers(0, 9))
@settings(max_examples=100, deadline=None)
def test_order_of_rows_does_not_matter(reference: np.ndarray, current: np.ndarray, seed: int) -> None:
    random = np.random.default_rng(seed)
    shuffled = freeze(random.permutation(reference), 10)
    assert shuffled == freeze(reference, 10)
    assert population_stability_index(shuffled, random.permutation(current)) == psi(reference, current)


@given(reference=values)
@settings(max_examples=100, deadline=None)
def test_a_document_reads_back_bit_for_bit(reference: np.ndarray) -> None:
    frozen = freeze(reference, 10)
    assert Bins.from_document(json.loads(json.dumps(frozen.to_document()))) == frozen
    assert frozen.rows == len(reference)
    assert len(frozen.counts) == len(frozen.edges) + 2


@pytest.mark.parametrize(
    ("reference", "current"),
    [pytest.param([], [1.0], id="no reference rows"), pytest.param([1.0], [], id="no current rows")],
)
def test_nothing_to_compare_is_not_a_number(reference: list[float], current: list[float]) -> None:
    with np.errstate(all="raise"):  # nor is anything divided by no rows
        assert math.isnan(psi(np.array(reference), np.array(current)))


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        pytest.param(pa.array([1, None, 3]), [1.0, math.nan, 3.0], id="integers"),
        pytest.param(pa.array([True, False, None]), [1.0, 0.0, math.nan], id="booleans"),
        pytest.param(pa.array([0.5, math.nan, None]), [0.5, math.nan, math.nan], id="floats"),
        pytest.param(pa.array([10, None], pa.timestamp("us")), [10.0, math.nan], id="timestamps"),
    ],
)
def test_columns_become_numbers(column: pa.Array, expected: list[float]) -> None:
    np.testing.assert_array_equal(numbers(column), np.array(expected))


@pytest.mark.parametrize(
    ("column", "reason"),
    [
        pytest.param(pa.array(["a"]), "holds string", id="text"),
        pytest.param(pa.array([1.0, math.inf]), "1 infinite values of 2", id="infinite"),
    ],
)
def test_columns_that_cannot_be_measured(column: pa.Array, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        numbers(column)


# -- which bin a value falls into, counted by hand


def test_a_value_on_an_edge_belongs_to_the_bin_below_and_missing_ones_to_the_last() -> None:
    from platform_assets.monitoring.psi import _counted

    counted = _counted(np.array([1.0, 2.0, 2.5, 3.0, 9.0, math.nan, math.nan]), (2.0, 3.0))
    assert counted == (2, 2, 1, 2)
    assert _counted(np.array([math.nan]), ()) == (0, 1)
    assert _counted(np.array([]), (1.0,)) == (0, 0, 0)


def test_the_document_holds_shares_of_all_rows() -> None:
    document = Bins(edges=(2.0,), counts=(1, 2, 1)).to_document()
    assert document == {"edges": [2.0], "counts": [1, 2, 1], "shares": [0.25, 0.5, 0.25], "rows": 4}
    assert Bins((), (0, 0)).to_document() == {"edges": [], "counts": [0, 0], "shares": [0.0, 0.0], "rows": 0}
    assert Bins.from_document(document) == Bins((2.0,), (1, 2, 1))


def test_what_holds_exactly_its_share_gets_a_bin_of_its_own() -> None:
    ten = np.array([1.0, 2, 3, 4, 5, 6, 7, 8, 9, 10])  # each holds exactly a tenth
    edges = freeze(ten, bins=10).edges
    assert set(ten) <= set(edges)
    assert {np.nextafter(v, -np.inf) for v in ten} <= set(edges)
    hundredth = freeze(np.arange(100.0), bins=10).edges
    assert not any(np.nextafter(v, -np.inf) in hundredth for v in np.arange(100.0))


def test_zero_has_one_sign() -> None:
    frozen = [freeze(np.array([zero, 1.0, 2.0]), 3).edges for zero in (0.0, -0.0)]
    assert [str(edges) for edges in frozen] == [str(frozen[0])] * 2
    assert "-0.0" not in str(frozen[0])


def test_quantiles_are_ranks_rounded_up() -> None:
    assert freeze(np.arange(1.0, 8.0), bins=2).edges == (4.0,)  # the fourth of seven is the first with half
    assert freeze(np.arange(1.0, 9.0), bins=2).edges == (4.0,)
    assert freeze(np.array([3.0, 1.0, 2.0]), bins=3).counts[-1] == 0


def test_index_with_missing_rows_on_both_sides() -> None:
    reference = Bins(edges=(0.0,), counts=(5, 3, 2))
    current = np.array([-1.0, 1.0, 1.0, math.nan])
    expected = sum((a - e) * math.log(a / e) for a, e in ((0.25, 0.5), (0.5, 0.3), (0.25, 0.2)))
    assert population_stability_index(reference, current) == pytest.approx(expected, abs=1e-15)
    assert math.isnan(population_stability_index(Bins((), (0, 0)), current))
    assert math.isnan(population_stability_index(reference, np.array([])))


def test_numbers_of_every_kind() -> None:
    assert numbers(pa.array([True, False, None])).tolist()[:2] == [1.0, 0.0]
    assert numbers(pa.array([0, 1], pa.timestamp("s"))).tolist() == [0.0, 1e6]
    assert numbers(pa.array([1], pa.date32())).tolist() == [86_400e6]
    assert numbers(pa.chunked_array([[1], [2]])).tolist() == [1.0, 2.0]
    assert numbers(pa.array([2**53 + 1])).tolist() == [2.0**53], "rounded, as every number of that size"
    with pytest.raises(ValueError, match="holds string"):
        numbers(pa.array(["a"]))
    with pytest.raises(ValueError, match="holds 2 infinite values of 3"):
        numbers(pa.array([math.inf, -math.inf, 0.0]))
