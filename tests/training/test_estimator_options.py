"""Class weights, calibration, searches and outlier detectors: refused where senseless, equal in fresh processes."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from platform_assets.declaration.estimator import Estimator
from platform_assets.errors import DeclarationError, TrainingError
from platform_assets.training.class_weight import row_weights
from platform_assets.training.estimator import build_pipeline, fit, score
from platform_assets.training.model_artifact import artifact_digest, save_model
from platform_assets.training.reproduce import reproduce
from platform_assets.training.search import search
from platform_assets.training.time_order import calibration_part, folds

INPUTS = ["amount", "count"]
LOGISTIC = "sklearn.linear_model.LogisticRegression"
FOREST = "sklearn.ensemble.IsolationForest"
SEARCH = {
    "parameters": {"C": {"low": 0.001, "high": 10, "log": True}},
    "trials": 3,
    "folds": 2,
}
FAMILIES = {
    "logistic": {"path": LOGISTIC},
    "forest": {"path": "sklearn.ensemble.RandomForestClassifier", "parameters": {"n_estimators": 9, "n_jobs": 2}},
    "lightgbm": {"path": "lightgbm.LGBMClassifier", "parameters": {"n_estimators": 9, "verbosity": -1}},
    "xgboost": {"path": "xgboost.XGBClassifier", "parameters": {"n_estimators": 9}},
    "outliers": {"path": FOREST, "parameters": {"n_estimators": 20}},
    "density": {"path": "sklearn.neighbors.KernelDensity"},
    "calibrated": {"path": LOGISTIC, "calibration": {"method": "isotonic", "last_days": 6}},
}  # fmt: skip


def made() -> pa.Table:
    """Thirty days of a rare label."""
    random = np.random.default_rng(0)
    amount, count = random.gamma(2, 30, 1500), random.integers(0, 9, 1500)
    label = (amount + 10 * count + random.normal(0, 20, 1500) > 170).astype(np.int64)
    at = [datetime(2018, 4, 1) + timedelta(minutes=28.8 * n) for n in range(1500)]
    return pa.table({"amount": amount, "count": count, "label": label, "at": at})


@pytest.fixture(scope="module")
def rows() -> pa.Table:
    return made()


def fitted(declared: dict, rows: pa.Table):
    return fit(Estimator(**declared), rows, INPUTS, "label", event_timestamp="at")


def digests(declared: dict) -> str:
    """Of the scores of a fresh fit, and of the folder that is saved."""
    rows = made()
    model = fitted(declared, rows)
    scores = score(model, rows)
    with tempfile.TemporaryDirectory() as folder:
        saved = Path(folder) / "model"
        save_model(model, saved, rows.select(INPUTS), scores, identity="0" * 32, made_at="2018-05-01")
        return f"{hashlib.sha256(scores.tobytes()).hexdigest()} {artifact_digest(saved)}"


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.slow
def test_two_fresh_processes_agree_in_scores_and_bytes(family: str) -> None:
    code = (
        "from tests.training.test_estimator_options import FAMILIES, digests;"
        f"print(digests(FAMILIES[{family!r}]))"
    )
    env = os.environ | {"PYTHONHASHSEED": "random"}
    outputs = [
        subprocess.run(
            [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True
        ).stdout
        for _ in range(2)
    ]
    assert outputs[0] == outputs[1]


@pytest.mark.parametrize("family", ["logistic", "forest", "lightgbm", "xgboost"])
def test_weights_of_the_classes_raise_the_rare_one(family: str, rows) -> None:
    plain = score(fitted(FAMILIES[family], rows), rows).mean()
    balanced = score(fitted(FAMILIES[family] | {"class_weight": "balanced"}, rows), rows).mean()
    heavy = score(fitted(FAMILIES[family] | {"class_weight": {0: 1, 1: 50}}, rows), rows).mean()
    assert plain < balanced
    assert plain < heavy


def test_balanced_is_what_scikit_learn_calls_balanced(rows) -> None:
    from sklearn.utils.class_weight import compute_sample_weight

    target = rows["label"].to_numpy()
    assert np.allclose(row_weights("balanced", target), compute_sample_weight("balanced", target), rtol=1e-15)


@pytest.mark.parametrize(
    ("declared", "told"),
    [
        ({"path": FOREST, "class_weight": "balanced"}, "fitted without labels, so it takes no class_weight"),
        ({"path": FOREST, "calibration": {"last_days": 3}}, "takes no calibration"),
        ({"path": FOREST, "search": {"parameters": {"max_samples": {"low": 0.1, "high": 1}}, "trials": 2}},
         "takes no search"),
        ({"path": "sklearn.neighbors.KNeighborsClassifier", "class_weight": "balanced"}, "no sample_weight"),
        ({"path": "xgboost.XGBClassifier", "class_weight": "balanced", "parameters": {"scale_pos_weight": 9}},
         "would both weigh"),
        ({"path": "xgboost.XGBClassifier", "parameters": {"max_dept": 3}}, "did you mean 'max_depth'"),
        ({"path": "lightgbm.LGBMClassifier", "parameters": {"num_leafs": 3}}, "did you mean 'num_leaves'"),
        ({"path": LOGISTIC, "search": {"parameters": {"tool": {"low": 1, "high": 2}}, "trials": 2}},
         "did you mean 'tol'"),
        ({"path": "xgboost.XGBClassifier",
          "search": {"parameters": {"max_dept": {"low": 1, "high": 2, "integer": True}}, "trials": 2}},
         "did you mean 'max_depth'"),
    ],
    ids=["weights without labels", "calibration without labels", "search without labels", "no weights",
         "weighed twice", "xgboost", "lightgbm", "searched", "searched xgboost"],
)  # fmt: skip
def test_what_cannot_work_is_refused_before_anything_is_fitted(declared: dict, told: str) -> None:
    with pytest.raises(DeclarationError, match=told):
        build_pipeline(Estimator(**declared))


def test_a_native_name_of_xgboost_is_taken() -> None:
    build_pipeline(Estimator(path="xgboost.XGBClassifier", parameters={"eta": 0.2, "max_depth": 3}))


@pytest.mark.parametrize("method", ["sigmoid", "isotonic"])
def test_calibration_uses_only_the_end_of_the_train_days(method: str, rows) -> None:
    declared = Estimator(
        path=LOGISTIC, class_weight="balanced", calibration={"method": method, "last_days": 9}
    )
    part = calibration_part(rows, "at", declared.calibration)
    moments = rows["at"].to_numpy()
    assert moments[part.fit].max() < np.datetime64("2018-04-22") <= moments[part.judge].min()
    model = fit(declared, rows, INPUTS, "label", event_timestamp="at")
    raw = fit(declared.model_copy(update={"calibration": None}), rows.take(part.fit), INPUTS, "label")
    later = rows.take(part.judge)
    rate = later["label"].to_numpy().mean()
    # weighing pushed the scores up; on the rows that calibrate, their mean is the rate of the label again
    assert abs(score(model, later).mean() - rate) < 0.01 < abs(score(raw, later).mean() - rate)
    order = np.argsort(score(raw, rows), kind="stable")
    assert np.all(np.diff(score(model, rows)[order]) >= -1e-12)


def test_folds_are_judged_by_what_comes_later(rows) -> None:
    declared = Estimator(path=LOGISTIC, search=SEARCH | {"gap_days": 2}).search
    days = rows["at"].to_numpy().astype("datetime64[D]")
    for part in folds(rows, "at", declared):
        assert days[part.fit].max() + np.timedelta64(2, "D") < days[part.judge].min()


def test_a_search_finds_the_same_again_and_leaves_the_calibrating_rows_alone(rows) -> None:
    declared = Estimator(path=LOGISTIC, search=SEARCH, calibration={"last_days": 9})
    found = search(declared, rows, INPUTS, "label", event_timestamp="at")
    flipped = np.where(rows["at"].to_numpy() >= np.datetime64("2018-04-22"), 1, rows["label"].to_numpy())
    changed = rows.drop_columns(["label"]).append_column("label", pa.array(flipped))
    assert search(declared, changed, INPUTS, "label", event_timestamp="at") == found
    assert found.told() == "3 of 3 trials"
    assert len({trial.parameters["C"] for trial in found.trials}) == 3


def test_an_exhausted_budget_is_told(rows) -> None:
    declared = Estimator(path=LOGISTIC, search=SEARCH | {"cpu_seconds": 1e-6})
    found = search(declared, rows, INPUTS, "label", event_timestamp="at")
    assert found.told() == "1 of 3 trials: CPU seconds exhausted"
    # what was done can be done again whatever time there is
    again = search(declared, rows, INPUTS, "label", event_timestamp="at", trials=1)
    assert again.best == found.best


def test_a_search_that_was_not_settled_is_not_fitted(rows) -> None:
    with pytest.raises(TrainingError, match="not found yet"):
        fitted({"path": LOGISTIC, "search": SEARCH}, rows)


@pytest.mark.parametrize("family", ["outliers", "density"])
def test_scores_without_labels_grow_with_strangeness_in_batches_of_any_size(family: str, rows) -> None:
    model = fitted(FAMILIES[family], rows)
    flipped = rows.drop_columns(["label"]).append_column("label", pa.array(1 - rows["label"].to_numpy()))
    scores = score(model, rows)
    assert np.array_equal(score(fitted(FAMILIES[family], flipped), rows), scores)
    strange = pa.table({"amount": [60.0, 5000.0], "count": [4, 90]})
    usual, unusual = score(model, strange)
    assert 0 <= usual < unusual <= 1
    single = np.concatenate([score(model, rows.slice(n, 1)) for n in range(20)])
    assert np.array_equal(single, scores[:20])


def test_a_calibrated_searched_model_is_reproduced(bank) -> None:
    estimator = {
        "class_weight": {0: 1, 1: 5},
        "calibration": {"fraction": 0.4},
        "search": {"parameters": {"C": {"low": 0.01, "high": 10, "log": True}}, "trials": 2, "folds": 1},
    }
    changed = bank.declaring(estimator=estimator)
    run = changed.train()
    from platform_assets.training.mlflow_store import open_mlflow

    client = open_mlflow(changed.stores)
    experiment = client.get_experiment_by_name(changed.product.name).experiment_id
    nested = client.search_runs(
        [experiment], filter_string=f"tags.mlflow.parentRunId = '{run.notes['mlflow_run_id']}'"
    )
    best = client.get_run(run.notes["mlflow_run_id"]).data
    assert best.params["search.best.C"] in {trial.data.params["C"] for trial in nested}
    assert best.tags["search"] == "2 of 2 trials"
    assert len(nested) == 2
    changed.register("1")
    result = reproduce(changed.stores, changed.repository, changed.product, "1")
    assert result.identical, result.summary()
