"""LightGBM's and XGBoost's own files: the pipeline's values from the bare library, the same bytes in fresh processes."""

from __future__ import annotations

import copy
import hashlib
import os
import subprocess
import sys
import zipfile
from io import BytesIO
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from platform_assets.declaration.estimator import Estimator
from platform_assets.errors import LakeError
from platform_assets.home import Home
from platform_assets.stores import Stores
from platform_assets.training.estimator import build_pipeline, fit, input_frame, pipeline_of, score
from platform_assets.training.model_artifact import artifact_digest, load_model, save_model
from platform_assets.training.native_model import LIGHTGBM, XGBOOST, inputs_of_last_step, native_scores
from platform_assets.training.search import search
from tests.training.test_estimator_options import INPUTS, made

FAMILIES = {
    "lightgbm": {"path": "lightgbm.LGBMClassifier", "parameters": {"n_estimators": 12, "verbosity": -1}},
    "xgboost": {"path": "xgboost.XGBClassifier", "parameters": {"n_estimators": 12}},
}
NATIVE = {"lightgbm": LIGHTGBM, "xgboost": XGBOOST}
OPTIONS = {
    "bare": {},
    "weighted": {"class_weight": "balanced"},
    "searched": {
        "search": {
            "parameters": {"learning_rate": {"low": 0.05, "high": 0.5, "log": True}},
            "trials": 2,
            "folds": 1,
        }
    },
    "preprocessed": {"preprocessing": ["impute_median", "standardise"]},
    "calibrated": {"calibration": {"method": "sigmoid", "last_days": 8}},
    "all": {
        "class_weight": {0: 1, 1: 3},
        "preprocessing": ["standardise"],
        "calibration": {"method": "isotonic", "last_days": 8},
    },
}
MODELS = [(family, option) for family in FAMILIES for option in OPTIONS]


def rows_with_holes() -> pa.Table:
    rows = made()
    amounts = [None if n % 17 == 0 else value for n, value in enumerate(rows["amount"].to_pylist())]
    return rows.set_column(0, "amount", pa.array(amounts, pa.float64()))


def fitted(family: str, option: str):
    rows = rows_with_holes()
    estimator = Estimator(**{**FAMILIES[family], **OPTIONS[option]})
    if estimator.search is not None:
        found = search(estimator, rows, INPUTS, "label", event_timestamp="at")
        estimator = estimator.found(found.best.parameters)
    return fit(estimator, rows, INPUTS, "label", event_timestamp="at")


def saved(model, folder: Path) -> np.ndarray:
    rows = rows_with_holes()
    scores = score(model, rows)
    save_model(model, folder, rows.select(INPUTS), scores, identity="0" * 32, made_at="2018-05-01")
    return scores


def save_all(folder: Path) -> None:
    """Fit and save every model, with the inputs and probabilities of its last step, and digests."""
    frame = input_frame(rows_with_holes(), INPUTS)
    for family, option in MODELS:
        model = fitted(family, option)
        place = folder / f"{family}-{option}"
        scores = saved(model, place / "model")
        np.save(place / "inputs.npy", np.asarray(inputs_of_last_step(model, frame)))
        pipeline = pipeline_of(model)
        np.save(place / "expected.npy", pipeline.predict_proba(frame)[:, 1].astype(np.float64))
        np.save(place / "scores.npy", scores)
    # writing its entry must not cost the import of MLflow's part for the library
    assert not {"mlflow.lightgbm", "mlflow.xgboost"} & set(sys.modules)


BARE_READER = """
import sys, numpy as np, lightgbm, xgboost
from pathlib import Path
for place in sorted(Path(sys.argv[1]).iterdir()):
    inputs = np.load(place / "inputs.npy")
    if place.name.startswith("lightgbm"):
        found = lightgbm.Booster(model_file=place / "model/model.lightgbm.txt").predict(inputs)
    else:
        booster = xgboost.Booster(model_file=place / "model/model.xgboost.ubj")
        found = booster.predict(xgboost.DMatrix(inputs, feature_names=booster.feature_names))
    np.save(place / "found.npy", found.astype(np.float64))
assert not [name for name in sys.modules if name.split(".")[0] in ("platform_assets", "mlflow")]
"""


def run(code: str, *arguments: str) -> None:
    environment = os.environ | {"PYTHONHASHSEED": "random"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, *arguments],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def two_processes(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """What two fresh processes saved, one of them on a single core, read by the bare libraries in two more."""
    folders = []
    for cores in ("", "os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); "):
        folder = tmp_path_factory.mktemp("models")
        make = "from pathlib import Path; from tests.training.test_native_model import save_all; "
        run(f"import os, sys; {cores}{make}save_all(Path(sys.argv[1]))", str(folder))
        run(BARE_READER, str(folder))
        folders.append(folder)
    return folders


@pytest.mark.slow
@pytest.mark.parametrize(("family", "option"), MODELS, ids=["-".join(m) for m in MODELS])
def test_the_bare_library_gives_the_pipelines_values_in_fresh_processes(two_processes, family, option):
    first, second = (folder / f"{family}-{option}" for folder in two_processes)
    for place in (first, second):
        assert np.array_equal(np.load(place / "found.npy"), np.load(place / "expected.npy"))
    assert np.array_equal(np.load(first / "found.npy"), np.load(second / "found.npy"))
    if option in ("bare", "weighted", "searched"):
        assert np.array_equal(np.load(first / "found.npy"), np.load(first / "scores.npy"))


@pytest.mark.slow
@pytest.mark.parametrize(("family", "option"), MODELS, ids=["-".join(m) for m in MODELS])
def test_bytes_are_the_same_in_two_fresh_processes_on_one_core_or_all(two_processes, family, option):
    first, second = (folder / f"{family}-{option}/model" for folder in two_processes)
    native = NATIVE[family].file
    assert (first / native).read_bytes() == (second / native).read_bytes()
    assert artifact_digest(first) == artifact_digest(second)


@pytest.mark.parametrize(("family", "option"), MODELS, ids=["-".join(m) for m in MODELS])
def test_the_file_read_back_gives_the_last_steps_values(family, option, tmp_path):
    model, frame = fitted(family, option), input_frame(rows_with_holes(), INPUTS)
    scores = saved(model, tmp_path / "model")
    native = NATIVE[family]
    found = native_scores(native, tmp_path / "model" / native.file, inputs_of_last_step(model, frame))
    assert np.array_equal(found, pipeline_of(model).predict_proba(frame)[:, 1].astype(np.float64))
    if option in ("calibrated", "all"):  # the curve makes the score of it, of LightGBM's log-odds
        (curve,) = model.calibrated_classifiers_[0].calibrators
        read = np.log(found / (1 - found)) if family == "lightgbm" else found
        assert np.allclose(curve.predict(read), scores, rtol=1e-6)
        assert not np.allclose(found, scores, rtol=1e-2)
    else:
        assert np.array_equal(found, scores)


@pytest.mark.parametrize("family", FAMILIES)
def test_mlflow_loads_the_file_by_the_librarys_flavour(family, tmp_path):
    import mlflow.models

    scores = saved(fitted(family, "bare"), tmp_path / "model")
    frame = input_frame(rows_with_holes(), INPUTS)
    if family == "lightgbm":
        import mlflow.lightgbm

        found = mlflow.lightgbm.load_model(str(tmp_path / "model")).predict(frame)
    else:
        import mlflow.xgboost
        import xgboost

        found = mlflow.xgboost.load_model(str(tmp_path / "model")).predict(xgboost.DMatrix(frame))
    assert np.array_equal(found.astype(np.float64), scores)
    info = mlflow.models.get_model_info(str(tmp_path / "model"))
    assert set(info.flavors) == {"python_function", "sklearn", family}
    # what scores here and for MLflow stays the pipeline
    assert info.flavors["python_function"]["loader_module"] == "mlflow.sklearn"
    told = info.metadata["native_model"]
    assert told["file"] == NATIVE[family].file
    assert told["inputs"] == INPUTS
    assert told["covers"] == "the whole model: its values are the scores"


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    ("option", "told"),
    [
        ("preprocessed", "the estimator without the preprocessing (impute_median, standardise); model.pkl holds"),
        ("calibrated", "the estimator without the sigmoid calibration of its {read}; model.pkl holds"),
        ("all", "the estimator without the preprocessing (standardise) and the isotonic calibration of its {read};"),
    ],
    ids=["preprocessed", "calibrated", "both"],
)  # fmt: skip
def test_a_file_that_is_a_part_of_the_model_says_so_and_is_no_flavour(family, option, told, tmp_path):
    import mlflow.lightgbm
    import mlflow.xgboost
    from mlflow.exceptions import MlflowException

    saved(fitted(family, option), tmp_path / "model")
    info = mlflow.models.get_model_info(str(tmp_path / "model"))
    assert info.metadata["native_model"]["covers"].startswith(
        told.format(read="log-odds" if family == "lightgbm" else "probability")
    )
    assert info.metadata["native_model"]["inputs"] == INPUTS
    with pytest.raises(MlflowException, match=f'does not have the "{family}" flavor'):
        getattr(mlflow, family).load_model(str(tmp_path / "model"))


@pytest.mark.parametrize(
    ("family", "parameters", "told"),
    [
        ("xgboost", {"missing": -1.0}, "missing: -1.0 counts when scoring and is not in the file"),
        ("lightgbm", {"pred_early_stop": True}, "pred_early_stop counts when scoring"),
    ],
    ids=["missing", "early stop"],
)
def test_a_parameter_that_the_file_does_not_hold_leaves_it_out(family, parameters, told, tmp_path):
    import mlflow.models

    declared = {**FAMILIES[family], "parameters": {**FAMILIES[family]["parameters"], **parameters}}
    model = fit(Estimator(**declared), made(), INPUTS, "label")
    saved(model, tmp_path / "model")
    info = mlflow.models.get_model_info(str(tmp_path / "model"))
    assert told in info.metadata["native_model"]["left_out"]
    assert family not in info.flavors
    assert not (tmp_path / "model" / NATIVE[family].file).exists()


def test_a_file_that_gives_other_values_is_left_out(tmp_path):
    import lightgbm
    import mlflow.models
    from sklearn.pipeline import Pipeline

    class Doubtful(lightgbm.LGBMClassifier):
        def predict_proba(self, X, **options):
            found = super().predict_proba(X, **options)
            return 0.5 + (found - 0.5) / 2

    rows = made()
    last = Doubtful(n_estimators=5, verbosity=-1, n_jobs=1)
    model = Pipeline([("estimator", last)]).fit(input_frame(rows, INPUTS), rows["label"].to_numpy())
    saved(model, tmp_path / "model")
    info = mlflow.models.get_model_info(str(tmp_path / "model"))
    assert "gave other values than the estimator" in info.metadata["native_model"]["left_out"]
    assert not (tmp_path / "model/model.lightgbm.txt").exists()


def test_the_machines_number_of_cores_is_not_in_the_file(tmp_path):
    saved(fitted("lightgbm", "bare"), tmp_path / "model")
    assert "[num_threads: 0]" in (tmp_path / "model/model.lightgbm.txt").read_text()
    declared = {"path": "lightgbm.LGBMClassifier", "parameters": {"n_jobs": 3}}
    assert build_pipeline(Estimator(**declared))[-1].n_jobs == 3


def test_a_changed_native_file_is_a_changed_model(tmp_path):
    saved(fitted("lightgbm", "bare"), tmp_path / "model")
    digest = artifact_digest(tmp_path / "model")
    path = tmp_path / "model/model.lightgbm.txt"
    path.write_text(path.read_text().replace("leaf_value=", "leaf_value=9", 1))
    with pytest.raises(LakeError, match="was changed"):
        load_model(Stores.at(Home.at(tmp_path)), "model", digest)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_folder_saved_before_there_were_native_files_still_loads(family, tmp_path):
    import mlflow.sklearn

    model, rows = fitted(family, "bare"), rows_with_holes()
    mlflow.sklearn.save_model(
        model, str(tmp_path / "model"), serialization_format="cloudpickle", pip_requirements=["scikit-learn"]
    )
    loaded = load_model(Stores.at(Home.at(tmp_path)), "model", artifact_digest(tmp_path / "model"))
    assert np.array_equal(score(loaded, rows), score(model, rows))


def test_scikit_learn_has_no_file_of_its_own_and_skops_is_never_the_same(tmp_path):
    """Why cloudpickle: skops names its parts by the addresses of objects, and stamps each with the time."""
    import mlflow.models
    import skops.io

    model = fit(Estimator(path="sklearn.linear_model.LogisticRegression"), made(), INPUTS, "label")
    save_model(
        model, tmp_path / "model", made().select(INPUTS), score(model, made()), identity="m", made_at="x"
    )
    info = mlflow.models.get_model_info(str(tmp_path / "model"))
    assert set(info.flavors) == {"python_function", "sklearn"}
    assert info.metadata is None
    first, second = (skops.io.dumps(copy.deepcopy(model)) for _ in range(2))
    assert hashlib.sha256(first).digest() != hashlib.sha256(second).digest()
    names = [name.removesuffix(".npy") for name in zipfile.ZipFile(BytesIO(first)).namelist()]
    assert [name for name in names if name.isdigit()], names
