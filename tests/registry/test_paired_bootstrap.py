"""The paired bootstrap: its weighted metrics are scikit-learn's, and its bound decides rightly."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from platform_assets.evaluation.ranked_metrics import Ranked, weighted_average_precision, weighted_roc_auc
from platform_assets.registry.paired_bootstrap import paired_difference

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


def test_sixty_thousand_rows_cost_a_few_cpu_seconds():
    entities, labels, good, bad = population(rows=60_000, entities=5000)
    before = time.process_time()
    paired_difference(entities, labels, good, bad, metric="average_precision", **SETTINGS)
    assert time.process_time() - before < 3
