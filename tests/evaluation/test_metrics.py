"""ROC AUC, average precision and card precision at k: by hand, and by another implementation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from platform_assets.evaluation.card_precision import card_precision_days
from platform_assets.evaluation.metrics import (
    average_precision,
    card_precision,
    reason_unmeasured,
    roc_auc,
)


def naive_card_precision(rows: list[tuple[int, int, int, float]], k: int) -> list[float]:
    """The words of the definition, one after the other, in dictionaries and lists."""
    left: set[int] = set()
    values = []
    for day in sorted({row[0] for row in rows}):
        cards: dict[int, list[tuple[int, float]]] = {}
        for on, card, label, score in rows:
            if on == day and card not in left:
                cards.setdefault(card, []).append((label, score))
        ranked = sorted(cards, key=lambda card: (-max(s for _, s in cards[card]), card))
        caught = [card for card in ranked[:k] if any(label for label, _ in cards[card])]
        left.update(caught)
        values.append(len(caught) / k)
    return values


def arrays(rows: list[tuple[object, ...]]) -> tuple[np.ndarray, ...]:
    return tuple(np.array(column) for column in zip(*rows, strict=True))


@pytest.mark.parametrize(
    ("rows", "k", "per_day"),
    [
        pytest.param([(1, 1, 1, 0.9), (1, 2, 0, 0.8)], 1, [1.0], id="the highest card is compromised"),
        pytest.param([(1, 1, 1, 0.7), (1, 2, 0, 0.8)], 1, [0.0], id="the highest card is not"),
        pytest.param(
            [(1, 1, 1, 0.1), (1, 1, 0, 0.9), (1, 2, 0, 0.8)],
            1,
            [1.0],
            id="score and fraud may come from different payments",
        ),
        pytest.param([(1, 2, 1, 0.5), (1, 1, 0, 0.5)], 1, [0.0], id="equal scores: the smaller id first"),
        pytest.param([(1, 2, 0, 0.5), (1, 1, 1, 0.5)], 1, [1.0], id="equal scores, other order of rows"),
        pytest.param(
            [(1, 1, 1, 0.9), (1, 2, 0, 0.1)], 4, [0.25], id="fewer cards than k: still divided by k"
        ),
        pytest.param(
            [(1, 1, 1, 0.9), (2, 1, 1, 0.9), (2, 2, 0, 0.1)], 1, [1.0, 0.0], id="a detected card leaves"
        ),
        pytest.param(
            [(1, 1, 1, 0.1), (1, 2, 0, 0.9), (2, 1, 1, 0.9), (2, 2, 0, 0.1)],
            1,
            [0.0, 1.0],
            id="a compromised card that was not inspected stays",
        ),
        pytest.param(
            [(1, 1, 0, 0.9), (1, 2, 1, 0.1), (2, 1, 1, 0.9), (2, 2, 0, 0.1)],
            1,
            [0.0, 1.0],
            id="an inspected card that was clean stays",
        ),
        pytest.param(
            [(1, 1, 1, 0.9), (1, 2, 0, 0.1), (2, 1, 1, 0.9)],
            1,
            [1.0, 0.0],
            id="a day whose only card has left counts as 0",
        ),
        pytest.param([(2, 1, 1, 0.9), (1, 1, 0, 0.5), (1, 2, 1, 0.6)], 1, [1.0, 1.0], id="days in order"),
    ],
)
def test_card_precision_by_hand(rows: list[tuple[object, ...]], k: int, per_day: list[float]) -> None:
    days, cards, labels, scores = arrays(rows)
    table = card_precision_days(days, cards, labels, scores, k)
    assert [day.precision for day in table] == per_day
    assert card_precision(days, cards, labels, scores, k) == pytest.approx(sum(per_day) / len(per_day))


def test_a_card_day_tells_pool_compromised_inspected_and_detected() -> None:
    days, cards, labels, scores = arrays(
        [(1, 10, 1, 0.9), (1, 11, 0, 0.8), (1, 12, 1, 0.1), (2, 10, 1, 0.9), (2, 12, 1, 0.2)]
    )
    first, second = card_precision_days(days, cards, labels, scores, 2)
    assert (first.day, first.cards, first.compromised, first.inspected, first.detected) == ("1", 3, 2, 2, 1)
    assert (second.day, second.cards, second.compromised, second.inspected, second.detected) == (
        "2",
        1,
        1,
        1,
        1,
    )


def test_card_ids_may_be_text_and_days_dates() -> None:
    days = np.array(["2018-08-08", "2018-08-08", "2018-08-09"], "datetime64[D]")
    table = card_precision_days(
        days, np.array(["b", "a", "b"], object), np.array([1, 0, 1]), np.array([0.5, 0.5, 0.5]), 1
    )
    assert [(day.day, day.detected) for day in table] == [("2018-08-08", 0), ("2018-08-09", 1)]


ROWS = st.lists(
    st.tuples(
        st.integers(1, 4),  # few days, cards and scores, so that ties and returns are the rule
        st.integers(1, 6),
        st.integers(0, 1),
        st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]),
    ),
    min_size=1,
    max_size=40,
)


@given(ROWS, st.integers(1, 8), st.randoms(use_true_random=False))
def test_card_precision_equals_the_naive_one_in_any_row_order(rows, k, random) -> None:
    expected = naive_card_precision(rows, k)
    random.shuffle(rows)
    days, cards, labels, scores = arrays(rows)
    assert [day.precision for day in card_precision_days(days, cards, labels, scores, k)] == expected


@pytest.mark.parametrize(
    ("labels", "scores", "auc", "precision"),
    [
        # 3 of 4 pairs in order; recall 1/2 at precision 1/1, recall 1 at precision 2/3
        pytest.param([0, 1, 0, 1], [0.1, 0.4, 0.5, 0.8], 3 / 4, 1 / 2 + 1 / 2 * 2 / 3, id="one pair swapped"),
        pytest.param([0, 0, 1, 1], [0.1, 0.2, 0.3, 0.4], 1.0, 1.0, id="perfect"),
        pytest.param([1, 1, 0, 0], [0.1, 0.2, 0.3, 0.4], 0.0, 1 / 2 * 1 / 3 + 1 / 2 * 2 / 4, id="reversed"),
        pytest.param([0, 1, 0, 1], [0.5, 0.5, 0.5, 0.5], 0.5, 0.5, id="all tied"),
        # pairs: 1>0 yes, 1=0 half, and twice below 0.9: (0 + 0 + 1 + 0.5) / 4
        pytest.param([1, 0, 0, 1], [0.2, 0.2, 0.9, 0.4], 1.5 / 4, 1 / 2 * 1 / 2 + 1 / 2 * 2 / 4, id="a tie"),
    ],
)
def test_ranking_metrics_by_hand(labels, scores, auc: float, precision: float) -> None:
    assert roc_auc(np.array(labels), np.array(scores)) == pytest.approx(auc, abs=1e-12)
    assert average_precision(np.array(labels), np.array(scores)) == pytest.approx(precision, abs=1e-12)


NAN = float("nan")


@pytest.mark.parametrize(
    ("labels", "scores", "reason"),
    [
        pytest.param([0, 0], [0.1, 0.2], "all 2 test rows have label 0", id="negatives only"),
        pytest.param([1, 1], [0.1, 0.2], "all 2 test rows have label 1", id="positives only"),
        pytest.param([], [], "no test rows", id="no rows"),
        pytest.param([0, 1], [0.1, NAN], "1 of 2 scores", id="a score is missing"),
        pytest.param([0, 1], [0.1, float("inf")], "1 of 2 scores", id="a score is infinite"),
        pytest.param([0, 2], [0.1, 0.2], "0 or 1", id="a label of 2"),
        pytest.param([0, NAN], [0.1, 0.2], "0 or 1", id="a label is missing"),
        pytest.param([0, 1, 1], [0.1, 0.2], "3 labels, but 2 scores", id="lengths differ"),
    ],
)
def test_what_cannot_be_measured_is_none_with_a_reason(labels, scores, reason: str) -> None:
    y, p, ones = np.array(labels, float), np.array(scores, float), np.ones(len(labels), int)
    told = reason_unmeasured(y, p)
    assert told is not None
    assert reason in told
    assert roc_auc(y, p) is None
    assert average_precision(y, p) is None
    assert card_precision(ones, ones, y, p, 1) is None


# -- every declared kind, as a report asks for them


def test_every_kind_is_computed_by_its_own_name(evaluated) -> None:
    from sklearn.metrics import average_precision_score, roc_auc_score

    from platform_assets.evaluation.metrics import evaluate_metrics, label_values

    shop, *_ = evaluated
    rows = shop.table("training_set").read(["2024-01-01_2_1_2"]).slice(0, 400)
    scores = np.random.default_rng(5).random(400).round(2)
    labels = label_values(shop.product, rows)
    found = evaluate_metrics(shop.product, shop.repository, rows, scores)
    days = rows.column("at").to_numpy().astype("datetime64[D]")
    by_day = card_precision_days(days, rows.column("buyer_id").to_numpy(), labels, scores, 5)
    assert found == {
        "roc_auc": pytest.approx(roc_auc_score(labels, scores)),
        "average_precision": pytest.approx(average_precision_score(labels, scores)),
        "card_precision_5": pytest.approx(np.mean([day.precision for day in by_day])),
    }
    assert len({*found.values()}) == 3
    assert len(by_day) > 1


def test_labels_that_are_booleans_or_missing(shop) -> None:
    import pyarrow as pa

    from platform_assets.evaluation.metrics import label_values

    found = label_values(shop.product, pa.table({"returned": [True, None, False]}))
    assert found[[0, 2]].tolist() == [1.0, 0.0]
    assert np.isnan(found[1])
    assert label_values(shop.product, pa.table({"returned": [1, 0]})).tolist() == [1.0, 0.0]


@pytest.mark.parametrize(
    ("labels", "scores", "reason"),
    [
        ([0, 1], [0.5], "2 labels, but 1 scores"),
        ([0], [0.5, 0.2], "1 labels, but 2 scores"),
        ([], [], "there are no test rows"),
        ([0, 1], [0.5, np.inf], "1 of 2 scores are missing or infinite"),
        ([0, 1, 2, 3, 4, 5, 6], [0.5] * 7, "labels must be 0 or 1; they hold 0, 1, 2, 3, 4"),
        ([1, 1], [0.5, 0.2], "all 2 test rows have label 1; one class only"),
        ([0, 0, 0], [0.5, 0.2, 0.1], "all 3 test rows have label 0; one class only"),
        ([0, 1], [0.5, 0.2], None),
    ],
)
def test_reasons_word_by_word(labels, scores, reason) -> None:
    assert reason_unmeasured(np.array(labels, float), np.array(scores, float)) == reason


def test_a_single_day_and_card_and_no_rows() -> None:
    assert card_precision_days(*(np.array([]) for _ in range(4)), 3) == []
    (only,) = card_precision_days(np.array([1]), np.array([7]), np.array([1]), np.array([0.5]), 2)
    assert (only.cards, only.compromised, only.inspected, only.detected, only.precision) == (1, 1, 1, 1, 0.5)
