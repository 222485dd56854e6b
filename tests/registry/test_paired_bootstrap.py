"""The paired bootstrap: its weighted metrics are scikit-learn's, and its bound decides rightly."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from platform_assets.evaluation.ranked_metrics import Ranked, weighted_average_precision, weighted_roc_auc
from platform_assets.registry.paired_bootstrap import Difference, paired_difference

# few distinct scores, so that ties are common
weighted_rows = st.lists(
    st.tuples(st.integers(0, 1), st.integers(0, 5), st.integers(0, 3)), min_size=2, max_size=60
).filter(lambda rows: {label for label, _, weight in rows if weight} == {0, 1})


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        pytest.param(weighted_average_precision, average_precision_score, id="average_precision"),
        pytest.param(weighted_roc_auc, roc_auc_score, id="roc_auc"),
    ],
)
@given(rows=weighted_rows)
@settings(max_examples=150, deadline=None)
def test_weighted_metric_equals_scikit_learn(ours, theirs, rows):
    labels, scores, weights = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    expected = theirs(labels, scores, sample_weight=weights)
    assert ours(Ranked.by(scores, labels), weights) == pytest.approx(expected, abs=1e-12)


def population(rows=4000, entities=400, seed=1):
    generator = np.random.default_rng(seed)
    labels = (generator.random(rows) < 0.1).astype(float)
    good = labels * 0.5 + generator.random(rows)
    return generator.integers(0, entities, rows), labels, good, generator.random(rows)


SETTINGS = {"confidence": 0.95, "resamples": 200}


@pytest.mark.parametrize("metric", ["average_precision", "roc_auc"])
def test_identical_models_differ_by_nothing(metric):
    entities, labels, good, _ = population()
    found = paired_difference(entities, labels, good, good, metric=metric, **SETTINGS)
    assert found.lower == 0.0
    assert found.candidate == found.champion


@pytest.mark.parametrize("metric", ["average_precision", "roc_auc"])
def test_bound_has_the_sign_of_a_large_difference(metric):
    entities, labels, good, bad = population()
    worse = paired_difference(entities, labels, bad, good, metric=metric, **SETTINGS)
    better = paired_difference(entities, labels, good, bad, metric=metric, **SETTINGS)
    assert worse.lower < -0.1
    assert better.lower > 0.1


def test_bound_lies_below_the_difference_and_falls_with_confidence():
    entities, labels, good, bad = population(rows=800, entities=100)
    mixed = good + 0.3 * bad
    bounds = [
        paired_difference(
            entities, labels, mixed, good, metric="average_precision", confidence=c, resamples=400
        )
        for c in (0.6, 0.9, 0.99)
    ]
    lowers = [found.lower for found in bounds]
    assert lowers == sorted(lowers, reverse=True)
    assert lowers[-1] < bounds[0].candidate - bounds[0].champion


def test_same_rows_give_the_same_bound_in_any_run():
    entities, labels, good, bad = population(rows=500)
    one, two = (
        paired_difference(entities, labels, good, bad, metric="roc_auc", **SETTINGS) for _ in range(2)
    )
    assert one == two


def test_entities_are_drawn_whole():
    """With every row's twin in the same entity the bound must not tighten, as drawing rows would."""
    entities, labels, good, bad = population(rows=600, entities=150)
    doubled = [np.tile(column, 2) for column in (entities, labels, good, good + 0.3 * bad)]
    one = paired_difference(entities, labels, good, good + 0.3 * bad, metric="average_precision", **SETTINGS)
    two = paired_difference(*doubled, metric="average_precision", **SETTINGS)
    assert two.lower == pytest.approx(one.lower, abs=1e-9)


@pytest.mark.parametrize(
    ("labels", "entities", "told"),
    [
        pytest.param([], [], "no rows", id="no rows"),
        pytest.param([0, 0, 0], [1, 2, 3], "both classes", id="no positive"),
        pytest.param([1, 1], [1, 2], "both classes", id="no negative"),
        pytest.param([1] + [0] * 30, range(31), "one class only", id="one entity carries all positives"),
    ],
)
def test_what_cannot_be_measured_has_no_bound(labels, entities, told):
    scores = np.linspace(0, 1, len(labels))
    found = paired_difference(
        np.array(list(entities)), np.array(labels, dtype=float), scores, scores, metric="roc_auc", **SETTINGS
    )
    assert found.lower is None
    assert told in found.unknown


def test_rows_are_sorted_once_however_often_they_are_drawn(monkeypatch) -> None:
    sorts, argsort = [], np.argsort
    monkeypatch.setattr(np, "argsort", lambda *args, **options: sorts.append(1) or argsort(*args, **options))
    entities, labels, good, bad = population(rows=300)
    counts = []
    for resamples in (2, 50):
        sorts.clear()
        paired_difference(
            entities, labels, good, bad, metric="average_precision", confidence=0.9, resamples=resamples
        )
        counts.append(len(sorts))
    assert counts == [2, 2]


def test_undefined_draws_are_counted_and_too_many_give_no_bound() -> None:
    labels = np.array([1.0, 0.0, 0.0, 0.0])
    scores = np.array([0.9, 0.1, 0.2, 0.3])
    few = paired_difference(
        np.arange(4), labels, scores, -scores, metric="roc_auc", confidence=0.9, resamples=200
    )
    assert few.lower is None
    assert (few.candidate, few.champion, few.entities) == (1.0, 0.0, 4)
    assert f"{few.undefined} of 200 resamples of 4 entities hold one class only" == few.unknown
    # a positive is missing in (3/4)^4 of the draws, about 63; every row negative or positive alike
    assert 40 < few.undefined < 90


def test_a_twentieth_of_the_draws_may_lack_a_class() -> None:
    labels, scores = np.array([1.0] * 3 + [0.0] * 17), np.linspace(1, 0, 20)

    def lacking(seed: int) -> int:
        generator = np.random.default_rng(seed)
        return sum(len({labels[n] for n in generator.integers(0, 20, 20)}) < 2 for _ in range(40))

    def bound(seed: int) -> Difference:
        return paired_difference(
            *(np.arange(20), labels, scores, scores),
            metric="roc_auc",
            confidence=0.9,
            resamples=40,
            seed=seed,
        )

    seeds = {count: next(seed for seed in range(500) if lacking(seed) == count) for count in (0, 2, 3)}
    assert [(bound(seeds[n]).lower, bound(seeds[n]).undefined) for n in (0, 2)] == [(0.0, 0), (0.0, 2)]
    assert (bound(seeds[3]).lower, bound(seeds[3]).undefined) == (None, 3)
    assert Difference(None, None, None, 0).undefined == 0


def test_both_values_and_both_bounds_are_told_in_order() -> None:
    entities, labels, good, bad = population()
    found = paired_difference(entities, labels, bad, good, metric="roc_auc", **SETTINGS)
    assert found.candidate == pytest.approx(roc_auc_score(labels, bad))
    assert found.champion == pytest.approx(roc_auc_score(labels, good))
    assert found.lower < found.candidate - found.champion < found.upper < 0
    assert found.undefined == 0
    again = paired_difference(entities, labels, bad, good, metric="roc_auc", **SETTINGS, seed=7)
    assert again.lower != found.lower, "another seed draws otherwise"


def test_nothing_to_compare_says_so() -> None:
    empty = np.array([])
    none = paired_difference(empty, empty, empty, empty, metric="roc_auc", **SETTINGS)
    assert (none.unknown, none.entities, none.lower) == ("there are no rows to compare on", 0, None)
    ones = np.ones(3)
    one = paired_difference(np.arange(3), ones, ones, ones, metric="roc_auc", **SETTINGS)
    assert one.unknown == "roc_auc needs both classes among the 3 rows"
    assert (one.candidate, one.champion, one.lower, one.entities) == (None, None, None, 3)


def test_the_bound_is_the_quantile_of_the_draws() -> None:
    """The same draws by hand; with another seed, decisions that are on record would be made otherwise."""
    entities, labels, good, bad = population(rows=600, entities=60)
    found = paired_difference(
        entities, labels, bad, good, metric="average_precision", confidence=0.9, resamples=80
    )
    generator, differences = np.random.default_rng(20_180_401), []
    for _ in range(80):
        drawn = generator.integers(0, 60, 60)
        times = np.bincount(drawn, minlength=60)[np.unique(entities, return_inverse=True)[1]]
        differences.append(
            average_precision_score(labels, bad, sample_weight=times)
            - average_precision_score(labels, good, sample_weight=times)
        )
    ordered = np.sort(differences)
    assert found.lower == pytest.approx(ordered[7], abs=1e-9)
    assert found.upper == pytest.approx(ordered[72], abs=1e-9)


def test_one_class_has_no_metric() -> None:
    ranked = Ranked.by(np.array([0.1, 0.2]), np.array([1.0, 1.0]))
    negatives = Ranked.by(np.array([0.1, 0.2]), np.array([0.0, 0.0]))
    with np.errstate(all="raise"):  # nothing is divided by no row
        assert np.isnan(weighted_roc_auc(ranked, np.ones(2)))
        assert weighted_average_precision(ranked, np.ones(2)) == 1.0
        assert np.isnan(weighted_average_precision(ranked, np.zeros(2)))
        assert np.isnan(weighted_average_precision(negatives, np.ones(2)))
        assert np.isnan(weighted_roc_auc(negatives, np.ones(2)))
