"""The closer look of a report: what is declared is measured, what cannot be says why, all of it is told."""

from __future__ import annotations

import json
from datetime import date, timedelta

import numpy as np
import pyarrow.compute as pc
import pytest

from platform_assets.declaration.product import Split
from platform_assets.errors import UnknownName
from platform_assets.evaluation.evaluation_report import evaluation_version
from platform_assets.evaluation.prequential import earlier_splits, summary
from platform_assets.evaluation.report_markdown import cost_told, evaluation_markdown, fold_rows, slice_rows
from platform_assets.training.split import SplitDays, resolve_split

DECLARED = {
    "review_budget": {"per_day": 30},
    "costs": {"amount": "price", "false_alarm": 3},
    "slices": [{"name": "late", "column": "days_late", "at_least": 7}],
    "slice_search": {"min_rows": 30, "min_positives": 5},
    "folds": 1,
}


@pytest.fixture(scope="module")
def looked(evaluated):
    """The same shop with everything declared; its raw days are not in the lake, so no fold is measured."""
    shop, rows, run, _ = evaluated
    closer = shop.declaring(evaluation=DECLARED)
    return closer, closer.table("evaluation_report").document_of(closer.evaluate(rows, run))


def test_by_default_intervals_calibration_and_an_operating_point(evaluated) -> None:
    shop, _, _, report = evaluated
    look = shop.table("evaluation_report").document_of(report)["closer_look"]
    assert (look["review_budget"], look["costs"], look["folds"], look["slices"]["search"]) == (None,) * 4
    for metric in ("roc_auc", "average_precision", "recall", "precision", "brier_score"):
        assert look["intervals"][metric]["low"] < look["intervals"][metric]["high"]
    assert look["operating_point"]["stopped"] == look["operating_point"]["positives"]
    assert look["interval_of"]["entity"] == "buyer"
    assert 0 < look["calibration"]["calibration_error"] < 0.2


def test_declared_parts_are_measured_on_the_stored_scores(looked) -> None:
    shop, payload = looked
    scores = shop.table("test_scores").read(["2024-01-01_2_1_2"]).column("score").to_numpy()
    rows = shop.table("training_set").read(["2024-01-01_2_1_2"])
    rows = rows.filter(pc.equal(rows.column("_split"), "test"))
    late = rows.column("days_late").to_numpy() >= 7
    (told,) = payload["closer_look"]["slices"]["declared"]
    assert (told["rows"], told["positives"]) == (late.sum(), rows.column("returned").to_numpy()[late].sum())
    assert told["mean_score"] == pytest.approx(scores[late].mean())
    budget = payload["closer_look"]["review_budget"]
    assert (budget["stopped"], len(budget["days"])) == (60, 2)
    assert payload["closer_look"]["operating_point"]["stops"] == "the 30 highest scores of each day"


def test_what_could_not_be_measured_says_why(looked) -> None:
    _, payload = looked
    look = payload["closer_look"]
    (fold,) = look["folds"]["splits"]
    assert "starts at 2024-01-01" in fold["unmeasured"]
    assert look["folds"]["with_this_one"]["roc_auc"]["splits"] == 1
    assert look["folds"]["with_this_one"]["roc_auc"]["deviation"] is None
    assert "declare more `folds`" in look["costs"]["unmeasured"]


def test_people_read_it_in_the_ui_and_in_the_file(looked) -> None:
    shop, payload = looked
    text = evaluation_markdown(payload)
    for part in (
        "Looking at 30 rows a day",
        "Calibration error",
        "No threshold:",
        "slices judged of",
        "fold 2024-01-02",
    ):
        assert part in text, text
    assert "starts at 2024-01-01" in str(fold_rows(payload))
    assert slice_rows(payload)[0]["slice"] == "late"
    figures = json.loads((shop.reports / "metrics.json").read_bytes())
    assert figures["intervals"]["roc_auc"] == payload["closer_look"]["intervals"]["roc_auc"]
    assert "curve" not in figures["review_budget"]
    made = {path.name for path in shop.reports.glob("*.png")}
    assert {"review_budget.png", "slices.png", "folds.png"} <= made
    assert "costs.png" not in made


def test_another_evaluation_is_another_version_of_the_report(looked, evaluated) -> None:
    assert evaluation_version(looked[0].product) != evaluation_version(evaluated[0].product)


def test_one_class_says_so_once(shop) -> None:
    rows = shop.training_set(rows_a_day=60, test_labels=0)
    closer = shop.declaring(evaluation=DECLARED)
    payload = closer.table("evaluation_report").document_of(closer.evaluate(rows, closer.train(rows)))
    assert "one class only" in payload["closer_look"]["unmeasured"]
    assert slice_rows(payload) == fold_rows(payload) == []
    assert not (closer.reports / "slices.png").exists()


@pytest.mark.parametrize(
    ("declared", "told"),
    [
        ({"entity": "buyr"}, "did you mean 'buyer'"),
        ({"slices": [{"name": "s", "column": "prise", "equals": 1}]}, "did you mean 'price'"),
        ({"slice_search": {"columns": ["days_lat"]}}, "did you mean 'days_late'"),
        ({"costs": {"amount": "prize", "false_alarm": 1}}, "did you mean 'price'"),
        ({"costs": {"amount": "buyer_id", "false_alarm": 1}}, "no column of numbers"),
    ],
)
def test_names_that_do_not_exist_are_told(shop, declared, told) -> None:
    with pytest.raises(UnknownName, match=told):
        shop.repository.check_product(shop.declaring(evaluation=declared).product)


def test_folds_move_back_by_the_test_days() -> None:
    split = SplitDays(
        ("2024-01-20", "2024-01-21"), ("2024-01-23", "2024-01-24"), "2024-01-23T00:00:00.000000Z", "s"
    )
    first, second = earlier_splits(split, 2)
    assert (first.train, first.test) == (("2024-01-18", "2024-01-19"), ("2024-01-21", "2024-01-22"))
    assert first.trained_as_of == "2024-01-21T00:00:00.000000Z"
    assert second.test == ("2024-01-19", "2024-01-20")
    assert first.test[-1] < split.test[0]


@pytest.mark.parametrize("test_days", [1, 2, 7])
def test_folds_come_back_after_the_test_days_and_not_before(test_days) -> None:
    """Why no fold of yesterday's report can be taken over: docs/evaluation.md."""
    declared = Split(train_days=7, delay_days=7, test_days=test_days)

    def folds(newest: int) -> list[tuple]:
        day = (date(2024, 6, 30) - timedelta(days=newest)).isoformat()
        return [(f.train, f.test) for f in earlier_splits(resolve_split(declared, day), 3)]

    for back in range(1, test_days):
        assert not set(folds(0)) & set(folds(back))
    assert folds(0)[1:] == folds(test_days)[:-1]
    then = resolve_split(declared, (date(2024, 6, 30) - timedelta(days=test_days)).isoformat())
    assert folds(0)[0] == (then.train, then.test)


def test_summary_counts_what_was_measured() -> None:
    told = summary([{"a": 0.5, "b": None}, {"a": None, "b": None}, {"a": 0.7, "b": None}])
    assert told["a"] == {
        "mean": pytest.approx(0.6),
        "deviation": pytest.approx(np.sqrt(0.02)),
        "splits": 2,
        "of": 3,
    }
    assert told["b"] == {"mean": None, "deviation": None, "splits": 0, "of": 3}


def test_costs_are_told_in_words() -> None:
    costs = {
        "unmeasured": None, "threshold": 0.25, "chosen_on": {"days": ["2024-01-01", "2024-01-02"]},
        "amount_saved": 1000.4, "amount_missed": 20, "amount_blocked": 300, "cost": 70, "cost_of_nothing": 1020,
    }  # fmt: skip
    assert cost_told(costs) == (
        "Least cost at threshold 0.2500 (chosen on 2024-01-01 to 2024-01-02): 1,000 saved, 20 missed, 300 blocked "
        "for nothing; cost 70 against 1,020 with nothing stopped"
    )
    assert "stopping nothing" in cost_told(costs | {"threshold": None})
