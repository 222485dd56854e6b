"""Estimators by import path: what is refused before fitting, and that scores are stable probabilities."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from platform_assets.declaration.estimator import Estimator
from platform_assets.errors import DeclarationError, LakeError, TrainingError
from platform_assets.home import Home
from platform_assets.stores import Stores
from platform_assets.training.estimator import build_pipeline, fit, import_estimator, score
from platform_assets.training.model_artifact import artifact_digest, load_model, save_model

INPUTS = ["amount", "count", "flag"]
FAMILIES = {
    "logistic": ("sklearn.linear_model.LogisticRegression", {"C": 0.5}),
    "tree": ("sklearn.tree.DecisionTreeClassifier", {"max_depth": 2}),
    "forest": ("sklearn.ensemble.RandomForestClassifier", {"n_estimators": 20, "n_jobs": 2}),
    "boosting": ("sklearn.ensemble.GradientBoostingClassifier", {"n_estimators": 10}),
    "histogram": ("sklearn.ensemble.HistGradientBoostingClassifier", {"max_iter": 10}),
    "lightgbm": ("lightgbm.LGBMClassifier", {"n_estimators": 10, "verbosity": -1}),
    "xgboost": ("xgboost.XGBClassifier", {"n_estimators": 10}),
}


@pytest.fixture(scope="module")
def rows() -> pa.Table:
    random = np.random.default_rng(0)
    amount, count = random.gamma(2, 30, 3000), random.integers(0, 9, 3000)
    label = (amount + 10 * count + random.normal(0, 20, 3000) > 120).astype(np.int64)
    return pa.table({"amount": amount, "count": count, "flag": amount > 40, "label": label})


@pytest.mark.parametrize(("path", "parameters"), FAMILIES.values(), ids=FAMILIES)
def test_scores_are_probabilities_and_survive_saving(path, parameters, rows, tmp_path: Path) -> None:
    estimator = Estimator(path=path, parameters=parameters, preprocessing=("standardise",), seed=7)
    model = fit(estimator, rows, INPUTS, "label")
    scores = score(model, rows.select(INPUTS))
    assert scores.dtype == np.float64
    assert scores.shape == (3000,)
    assert 0 <= scores.min() < scores.max() <= 1
    assert scores[rows["label"].to_numpy() == 1].mean() > scores[rows["label"].to_numpy() == 0].mean()
    assert model[-1].get_params()["random_state"] == 7
    assert {name: model[-1].get_params()[name] for name in parameters} == parameters
    # by name, not by place; and the same bits from a second fit and from the saved model
    assert np.array_equal(score(model, rows.select(INPUTS[::-1])), scores)
    assert np.array_equal(score(fit(estimator, rows, INPUTS, "label"), rows), scores)
    save_model(model, tmp_path / "model", rows.select(INPUTS), scores, identity="m", made_at="2024-01-01")
    loaded = load_model(Stores.at(Home.at(tmp_path)), "model", artifact_digest(tmp_path / "model"))
    assert np.array_equal(score(loaded, rows), scores)
    assert "label" not in (tmp_path / "model/input_example.json").read_text()


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("sklearn.linear_models.LogisticRegression", "module 'sklearn.linear_models' cannot be imported"),
        ("no_such_package.Model", "module 'no_such_package' cannot be imported"),
        ("sklearn.linear_model.LogisticRegresion", "did you mean 'LogisticRegression'"),
        ("sklearn.metrics.roc_auc_score", "is not a scikit-learn compatible class"),
    ],
    ids=["module misspelt", "package absent", "class misspelt", "not an estimator"],
)
def test_an_estimator_that_cannot_be_imported_is_told(path: str, told: str) -> None:
    with pytest.raises(DeclarationError, match=told):
        import_estimator(path)


@pytest.mark.parametrize(
    ("path", "parameters", "told"),
    [
        ("sklearn.tree.DecisionTreeClassifier", {"max_dept": 2}, "did you mean 'max_depth'"),
        ("sklearn.linear_model.LogisticRegression", {"Cs": 1}, "did you mean 'C'"),
    ],
    ids=["misspelt", "of another class"],
)
def test_an_unknown_parameter_is_told_before_fitting(path, parameters, told) -> None:
    with pytest.raises(DeclarationError, match=told):
        build_pipeline(Estimator(path=path, parameters=parameters))


def _with(rows: pa.Table, name: str, values: list) -> pa.Table:
    return rows.slice(0, len(values)).drop_columns([name]).append_column(name, pa.array(values))


@pytest.mark.parametrize(
    ("estimator", "change", "error", "told"),
    [
        ({"path": "sklearn.linear_model.LogisticRegression"}, ("amount", ["1"] * 40), TrainingError,
         "input 'amount' is string"),
        ({"path": "sklearn.linear_model.LogisticRegression"}, ("amount", [None, *range(39)]), TrainingError,
         r"amount \(1 rows\); declare preprocessing impute_median"),
        ({"path": "sklearn.svm.LinearSVC"}, None, DeclarationError, "has no predict_proba, so it gives no scores"),
    ],
    ids=["text", "missing values", "no probabilities"],
)  # fmt: skip
def test_rows_and_models_that_cannot_be_used(rows, estimator, change, error, told) -> None:
    changed = _with(rows, *change) if change else rows
    with pytest.raises(error, match=told):
        score(fit(Estimator(**estimator), changed, INPUTS, "label"), changed)


def test_missing_values_are_filled_where_declared(rows) -> None:
    holes = _with(rows, "amount", [None, *rows["amount"].to_pylist()[1:]])
    estimator = Estimator(path="sklearn.linear_model.LogisticRegression", preprocessing=("impute_median",))
    assert len(score(fit(estimator, holes, INPUTS, "label"), holes)) == 3000


@pytest.mark.parametrize("change", ["edit", "rename", "add", "remove"])
def test_a_changed_model_folder_is_never_loaded(change: str, rows, tmp_path: Path) -> None:
    model = fit(Estimator(path="sklearn.tree.DecisionTreeClassifier"), rows, INPUTS, "label")
    folder = tmp_path / "model"
    scores = score(model, rows)
    save_model(model, folder, rows.select(INPUTS), scores, identity="m", made_at="2024-01-01")
    digest = artifact_digest(folder)
    match change:
        case "edit":
            (folder / "model.pkl").write_bytes((folder / "model.pkl").read_bytes() + b" ")
        case "rename":
            (folder / "requirements.txt").rename(folder / "requirement.txt")
        case "add":
            (folder / "more.py").write_text("")
        case "remove":
            (folder / "MLmodel").unlink()
    with pytest.raises(LakeError, match=r"changed|gone"):
        load_model(Stores.at(Home.at(tmp_path)), "model", digest)
