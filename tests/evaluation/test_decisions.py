"""Calibration, budgets, costs, slices and intervals: against other implementations and by brute force."""

from __future__ import annotations

import math

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from platform_assets.declaration.evaluation import Costs, Evaluation, Slice, SliceSearch
from platform_assets.evaluation.calibration import brier_score, calibration_error, log_loss
from platform_assets.evaluation.cost_threshold import cheapest_threshold, cost_curve, outcome
from platform_assets.evaluation.entity_bootstrap import (
    entity_intervals,
    mean_metric,
    ranked_metric,
    share_metric,
)
from platform_assets.evaluation.review_budget import at_budget, budget_curve, rank_of_day
from platform_assets.evaluation.slices import (
    conditions_of,
    declared_mask,
    slice_figures,
    wilson,
    worst_slices,
)

SCORED = st.lists(
    st.tuples(
        st.integers(0, 3),  # day
        st.integers(0, 1),  # label
        st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.75, 1.0]),  # score: ties are the rule
        st.integers(0, 40),  # amount
    ),
    min_size=1,
    max_size=40,
)
COSTS = st.builds(
    lambda alarm, review: Costs(amount="x", false_alarm=alarm, review=review),
    st.integers(1, 20), st.integers(0, 5),
)  # fmt: skip


def columns(rows: list[tuple]) -> tuple[np.ndarray, ...]:
    return tuple(np.array(column, float) for column in zip(*rows, strict=True))


# -- calibration


@given(SCORED.filter(lambda rows: len({row[1] for row in rows}) == 2))
def test_brier_and_log_loss_equal_scikit_learn(rows) -> None:
    _, labels, scores, _ = columns(rows)
    inside = np.clip(scores, 0.01, 0.99)
    assert brier_score(labels, scores) == pytest.approx(
        sklearn.metrics.brier_score_loss(labels, scores), abs=1e-12
    )
    assert log_loss(labels, inside) == pytest.approx(sklearn.metrics.log_loss(labels, inside), abs=1e-12)


def test_log_loss_of_a_sure_mistake_is_large_and_finite() -> None:
    assert log_loss(np.array([1.0]), np.array([0.0])) == pytest.approx(-math.log(1e-15))


def test_calibration_error_by_hand() -> None:
    # two groups of equal mass: scores 0.1 (rate 0.5) and 0.9 (rate 1.0): gaps 0.4 and 0.1
    labels, scores = np.array([0, 1, 1, 1.0]), np.array([0.1, 0.1, 0.9, 0.9])
    assert calibration_error(labels, scores, 2) == (pytest.approx(0.25), pytest.approx(0.4))


def test_scores_that_are_the_true_rates_have_hardly_any_error() -> None:
    rng = np.random.default_rng(1)
    scores = rng.random(50_000)
    labels = (rng.random(50_000) < scores).astype(float)
    good, _ = calibration_error(labels, scores)
    bad, _ = calibration_error(labels, scores**3)
    assert good < 0.01 < 0.1 < bad


# -- review budget


@given(SCORED, st.integers(1, 12))
def test_review_budget_by_brute_force(rows, per_day) -> None:
    days, labels, scores, _ = columns(rows)
    found = at_budget(days, labels, scores, per_day)
    reviewed = set()
    for day in set(days):
        places = [n for n in range(len(rows)) if days[n] == day]
        reviewed |= set(sorted(places, key=lambda n: (-scores[n], n))[:per_day])
    hits = sum(labels[n] == 1 for n in reviewed)
    assert (found["stopped"], found["found"]) == (len(reviewed), hits)
    assert found["precision"] == pytest.approx(hits / len(reviewed))
    assert found["recall"] == (pytest.approx(hits / labels.sum()) if labels.sum() else None)
    assert sum(day["reviewed"] for day in found["days"]) == len(reviewed)
    assert sum(day["found"] for day in found["days"]) == hits
    assert sum(day["positives"] for day in found["days"]) == labels.sum()


def test_a_larger_budget_finds_no_less() -> None:
    rng = np.random.default_rng(0)
    days, labels, scores = rng.integers(0, 5, 900), rng.integers(0, 2, 900), rng.random(900)
    curve = budget_curve(days, labels, scores, [1, 10, 100, 1000])
    assert [each["found"] for each in curve] == sorted(each["found"] for each in curve)
    assert curve[-1]["recall"] == 1.0


def test_no_rows_have_no_rank() -> None:
    assert rank_of_day(np.array([]), np.array([])).tolist() == []


# -- costs


@given(SCORED, COSTS)
def test_the_chosen_threshold_is_the_cheapest_there_is(rows, costs) -> None:
    _, labels, scores, amounts = columns(rows)

    def cost(threshold: float) -> float:
        total = 0.0
        for label, score, amount in zip(labels, scores, amounts, strict=True):
            if score >= threshold:
                total += costs.review + (costs.false_alarm if label == 0 else 0)
            elif label == 1:
                total += amount
        return total

    candidates = [math.inf, *sorted(set(scores), reverse=True)]
    best = min(candidates, key=lambda t: (cost(t), -t))
    chosen = cheapest_threshold(labels, scores, amounts, costs)
    assert chosen == best
    told = outcome(labels, scores, amounts, costs, chosen)
    assert told["cost"] == pytest.approx(cost(best))
    assert told["cost_of_nothing"] == pytest.approx(cost(math.inf))
    assert told["amount_saved"] + told["amount_missed"] == pytest.approx(told["cost_of_nothing"])
    assert told["stopped"] == told["found"] + told["false_alarms"]
    thresholds, curve = cost_curve(labels, scores, amounts, costs)
    assert curve.tolist() == pytest.approx([cost(t) for t in thresholds])


def test_outcome_by_hand() -> None:
    labels, scores = np.array([1, 1, 0, 0.0]), np.array([0.9, 0.2, 0.8, 0.1])
    told = outcome(
        labels, scores, np.array([100, 40, 30, 7.0]), Costs(amount="x", false_alarm=5, review=1), 0.5
    )
    assert told == {
        "threshold": 0.5, "stopped": 2, "found": 1, "false_alarms": 1, "amount_saved": 100.0,
        "amount_missed": 40.0, "amount_blocked": 30.0, "cost": 40 + 2 + 5, "cost_of_nothing": 140.0,
    }  # fmt: skip


def test_stopping_nothing_is_told_without_a_number() -> None:
    told = outcome(
        np.array([0.0]), np.array([0.3]), np.array([9.0]), Costs(amount="x", false_alarm=1), math.inf
    )
    assert (told["threshold"], told["stopped"]) == (None, 0)


@pytest.mark.parametrize(
    ("declared", "told"),
    [
        ({"costs": {"amount": "x", "false_alarm": 0}}, "stopping every row would be cheapest"),
        ({"slices": [{"name": "a", "column": "x"}]}, "either equals, or at_least"),
        ({"slices": [{"name": "a", "column": "x", "equals": 1, "below": 2}]}, "either equals, or at_least"),
        ({"slices": [{"name": "a", "column": "x", "equals": 1}] * 2}, "declared twice: a"),
        ({"folds": -1}, "greater than or equal to 0"),
        ({"confidence": 1.0}, "less than 1"),
    ],
)
def test_senseless_declarations_are_refused(declared, told) -> None:
    with pytest.raises(ValidationError, match=told):
        Evaluation.model_validate(declared)


# -- slices


@pytest.mark.parametrize(
    ("declared", "rows"),
    [
        ({"equals": 2}, [1, 3]),
        ({"at_least": 2}, [1, 2, 3]),
        ({"below": 2}, [0]),
        ({"at_least": 2, "below": 3}, [1, 3]),
    ],
)
def test_declared_slices_hold_the_rows_they_say(declared, rows) -> None:
    values = np.array([1, 2, 3, 2, np.nan])
    inside = declared_mask(Slice(name="s", column="x", **declared), values)
    assert np.flatnonzero(inside).tolist() == rows


def test_text_slices() -> None:
    values = np.array(["a", None, "b", "a"], object)
    assert declared_mask(Slice(name="s", column="x", equals="a"), values).tolist() == [
        True,
        False,
        False,
        True,
    ]
    assert conditions_of("x", values, 4).names == ("x = a", "x = b", "x = missing")


def test_slice_figures_by_hand() -> None:
    labels, scores = np.array([1, 1, 0, 0, 1.0]), np.array([0.9, 0.2, 0.8, 0.1, 0.7])
    told = slice_figures("s", np.array([1, 1, 1, 1, 0], bool), labels, scores, scores >= 0.5)
    assert (told["rows"], told["positives"], told["found"], told["false_alarms"]) == (4, 2, 1, 1)
    assert (told["rate"], told["recall"], told["precision"], told["mean_score"]) == (0.5, 0.5, 0.5, 0.5)
    assert told["roc_auc"] == pytest.approx(0.75)
    empty = slice_figures("s", np.zeros(5, bool), labels, scores, scores >= 0.5)
    assert (empty["rows"], empty["recall"], empty["precision"], empty["roc_auc"]) == (0, None, None, None)


@given(st.integers(0, 50), st.integers(1, 50))
def test_wilson_equals_statsmodels_formula(hits, rows) -> None:
    hits = min(hits, rows)
    low, high = wilson(hits, rows)
    assert 0 <= low <= hits / rows + 1e-12
    assert hits / rows - 1e-12 <= high <= 1
    from scipy.stats import binomtest

    theirs = binomtest(hits, rows).proportion_ci(0.95, method="wilson")
    assert (low, high) == (pytest.approx(theirs.low, abs=1e-9), pytest.approx(theirs.high, abs=1e-9))


def planted(seed: int = 0, *, blind: bool = True) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """20,000 rows of which 1,000 positive; scores are blind where `country` is X and `hour` is late."""
    rng = np.random.default_rng(seed)
    n = 20_000
    inputs = {
        "hour": rng.integers(0, 24, n).astype(float),
        "country": rng.choice(["X", "Y", "Z"], n).astype(object),
        "amount": rng.gamma(2, 30, n),
        "noise": rng.random(n),
    }
    labels = (rng.random(n) < 0.05).astype(float)
    scores = np.clip(labels * 0.6 + rng.random(n) * 0.5, 0, 1)
    if blind:
        hidden = (inputs["country"] == "X") & (inputs["hour"] >= 18)
        scores[hidden] = rng.random(int(hidden.sum())) * 0.5
    return inputs, labels, scores


SEARCH = SliceSearch(min_rows=200, min_positives=10)


def test_the_planted_slice_is_found_first_and_as_a_conjunction() -> None:
    inputs, labels, scores = planted()
    found = worst_slices(inputs, labels, scores, scores >= 0.6, SEARCH)
    first = found["found"][0]
    assert "country = X" in first["slice"]
    assert "hour > 17" in first["slice"]
    assert first["recall"] < 0.05 < 0.8 < found["overall_recall"]
    assert first["q"] < 1e-6
    assert found["judged"] <= found["searched"]
    inside = (inputs["country"] == "X") & (inputs["hour"] > 17)
    assert (first["rows"], first["positives"]) == (inside.sum(), int(labels[inside].sum()))


def test_where_there_is_nothing_hardly_anything_is_found() -> None:
    false_alarms = 0
    for seed in range(20):
        inputs, labels, scores = planted(seed, blind=False)
        stopped = np.random.default_rng(seed).random(len(labels)) < 0.5
        false_alarms += bool(worst_slices(inputs, labels, scores, stopped, SEARCH)["found"])
    assert false_alarms <= 4, "the false discovery rate is 5 % of searches without a bad slice"


def test_small_slices_are_not_judged() -> None:
    inputs, labels, scores = planted()
    strict = SliceSearch(min_rows=200, min_positives=100_000)
    found = worst_slices(inputs, labels, scores, scores >= 0.6, strict)
    assert (found["judged"], found["found"]) == (0, [])
    assert found["searched"] > 50


def test_one_condition_at_a_time_when_declared() -> None:
    inputs, labels, scores = planted()
    found = worst_slices(inputs, labels, scores, scores >= 0.6, SliceSearch(depth=1, min_rows=200))
    assert found["found"]
    assert all(" and " not in each["slice"] for each in found["found"])


@given(st.lists(st.one_of(st.none(), st.floats(-5, 5)), min_size=1, max_size=60), st.integers(2, 6))
@settings(max_examples=100)
def test_every_row_fits_exactly_one_condition(values, bins) -> None:
    numbers = np.array([np.nan if v is None else v for v in values], float)
    conditions = conditions_of("x", numbers, bins)
    assert len(conditions.codes) == len(values)
    assert conditions.codes.min() >= 0
    assert conditions.codes.max() < len(conditions.names)
    for code, value in zip(conditions.codes, numbers, strict=True):
        name = conditions.names[code]
        if np.isnan(value):
            assert name == "x missing"
        elif "=" in name and "<" not in name:
            assert float(name.split("= ")[1]) == pytest.approx(value, rel=1e-5)


# -- intervals


def test_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    """Entities of ten equal rows: drawing rows would give intervals three times too narrow."""
    covered = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        entities = np.repeat(np.arange(200), 10)
        hit = np.repeat(rng.random(200) < 0.3, 10)
        found = entity_intervals(
            entities,
            {"share": share_metric(hit, np.ones(2000, bool))},
            confidence=0.9,
            resamples=200,
            seed=seed,
        )["share"]
        covered += found.low <= 0.3 <= found.high
    assert 47 <= covered <= 60


def test_intervals_hold_the_metric_and_repeat() -> None:
    rng = np.random.default_rng(3)
    labels = (rng.random(3000) < 0.1).astype(float)
    scores = labels * 0.3 + rng.random(3000)
    metrics = {
        "roc_auc": ranked_metric("roc_auc", labels, scores),
        "average_precision": ranked_metric("average_precision", labels, scores),
        "mean": mean_metric(scores),
    }
    entities = rng.integers(0, 300, 3000)
    found = entity_intervals(entities, metrics, confidence=0.95, resamples=100)
    assert found == entity_intervals(entities, metrics, confidence=0.95, resamples=100)
    for name, metric in metrics.items():
        assert found[name].low < metric(np.ones(3000)) < found[name].high


def test_an_interval_on_too_few_positives_is_unknown() -> None:
    labels = np.array([1.0] + [0.0] * 99)
    found = entity_intervals(
        np.arange(100),
        {"roc_auc": ranked_metric("roc_auc", labels, np.arange(100.0))},
        confidence=0.95,
        resamples=100,
    )["roc_auc"]
    assert (found.low, found.high) == (None, None)
    assert "give no value" in found.unknown


def test_a_share_of_nothing_has_no_value() -> None:
    assert math.isnan(share_metric(np.array([True]), np.array([False]))(np.array([1.0])))
