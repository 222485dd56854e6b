"""The fitted model in its library's own format, beside the pipeline: LightGBM's text, XGBoost's UBJSON.

An export for other engines and for auditors, read without pickle and without this library. This platform
never scores with it; it is written only after it gave the pipeline's values, bit for bit.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from platform_assets.training.estimator import ESTIMATOR_STEP, input_frame, pipeline_of
from platform_assets.training.one_thread import single_threaded

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import pyarrow as pa
    from mlflow.models import Model

METADATA = "native_model"
"""Key of the description in the metadata of `MLmodel`."""
CHECKED_ROWS = 1000


@dataclass(frozen=True)
class NativeFormat:
    """A library's own file in the model folder, and how MLflow's flavour of the library names it."""

    library: str
    file: str
    format: str
    model_class: str
    version_key: str
    output: str


LIGHTGBM = NativeFormat(
    "lightgbm", "model.lightgbm.txt", "LightGBM text", "lightgbm.basic.Booster", "lgb_version", "float64"
)
XGBOOST = NativeFormat(
    "xgboost", "model.xgboost.ubj", "XGBoost UBJSON", "xgboost.core.Booster", "xgb_version", "float32"
)


def native_format(model: Any) -> NativeFormat | None:
    """The library's own format of a model's last step; None when it has none. Imports no library."""
    last = _steps(model)[-1][1]
    for name, base, found in (("lightgbm", "LGBMModel", LIGHTGBM), ("xgboost", "XGBModel", XGBOOST)):
        library = sys.modules.get(name)  # whoever fitted with it has imported it
        if library is not None and isinstance(last, getattr(library, base)):
            return found
    return None


def add_native_model(saved: Model, model: Any, folder: Path, inputs: pa.Table) -> None:
    """Write the last step of a fitted model into its saved folder, and tell of the file in `MLmodel`.

    `inputs` are rows to check with (n rows, every input): the file read back has to give the last
    step's probabilities of `CHECKED_ROWS` of them, bit for bit. `MLmodel` says under `native_model` what
    the file holds and what not, or in `left_out` why there is none. It is a flavour of MLflow only where
    it is the whole model: loaded as one, a part would give other scores than the model's. Nothing
    happens for libraries without a format of their own.
    """
    native = native_format(model)
    if native is None:
        return
    version = sys.modules[native.library].__version__
    described = {"library": native.library, "version": version}
    if reason := _written(native, model, folder, inputs):
        described |= {"left_out": reason}
    else:
        described |= _description(native, model)
        if not described["before"] and not described["after"]:
            saved.add_flavor(
                native.library,
                data=native.file,
                model_class=native.model_class,
                code=None,
                **{native.version_key: version},
            )
        saved.model_size_bytes = (saved.model_size_bytes or 0) + (folder / native.file).stat().st_size
    saved.metadata = {**(saved.metadata or {}), METADATA: described}
    saved.save(os.fspath(folder / "MLmodel"))


def inputs_of_last_step(model: Any, frame: pd.DataFrame) -> Any:
    """What the preprocessing makes of inputs: the frame itself without any, else an array of its shape."""
    if len(_steps(model)) == 1:
        return frame
    with single_threaded(model):
        return pipeline_of(model)[:-1].transform(frame)


def native_scores(native: NativeFormat, path: Path, inputs: Any) -> np.ndarray:
    """What a native file alone makes of the inputs of the last step: float64, one value a row."""
    import numpy as np

    if native is LIGHTGBM:
        import lightgbm

        return np.asarray(lightgbm.Booster(model_file=path).predict(inputs, num_threads=1), dtype=np.float64)
    import xgboost

    booster = xgboost.Booster({"nthread": 1}, model_file=os.fspath(path))
    return np.asarray(booster.predict(xgboost.DMatrix(inputs, nthread=1)), dtype=np.float64)


def _steps(model: Any) -> list[tuple[str, Any]]:
    pipeline = pipeline_of(model)
    return list(getattr(pipeline, "steps", [(ESTIMATOR_STEP, pipeline)]))


def _written(native: NativeFormat, model: Any, folder: Path, inputs: pa.Table) -> str:
    """Write the file and check it; why there is none, or nothing."""
    import numpy as np

    last = _steps(model)[-1][1]
    if reason := _beyond_the_file(native, last):
        return reason
    path = folder / native.file
    booster = last.booster_ if native is LIGHTGBM else last.get_booster()
    booster.save_model(os.fspath(path))
    places = np.linspace(0, inputs.num_rows - 1, min(inputs.num_rows, CHECKED_ROWS)).astype(np.int64)
    frame = inputs_of_last_step(model, input_frame(inputs.take(places), _input_names(model)))
    with single_threaded(model):
        expected = np.asarray(last.predict_proba(frame)[:, 1], dtype=np.float64)
    if np.array_equal(native_scores(native, path, frame), expected):
        return ""
    path.unlink()
    return "the file, read back, gave other values than the estimator"


def _beyond_the_file(native: NativeFormat, last: Any) -> str:
    """A parameter that counts when scoring and is not in the library's file; few rows may show it."""
    parameters = last.get_params(deep=False)
    missing = parameters.get("missing")
    if native is XGBOOST and missing is not None and missing == missing:  # NaN, the default, is no value
        return f"the parameter missing: {missing} counts when scoring and is not in the file"
    early = [name for name, value in parameters.items() if name.startswith("pred_early_stop") and value]
    return f"the parameter {early[0]} counts when scoring and is not in the file" if early else ""


def _description(native: NativeFormat, model: Any) -> dict[str, Any]:
    before = [name for name, _ in _steps(model)[:-1]]
    after = ""
    if hasattr(model, "calibrated_classifiers_"):
        read = "log-odds" if hasattr(_steps(model)[-1][1], "decision_function") else "probability"
        after = f"{model.method} calibration of its {read}"
    without = [f"the preprocessing ({', '.join(before)})"] if before else []
    without += [f"the {after}"] if after else []
    covers = "the whole model: its values are the scores"
    if without:
        covers = f"the estimator without {' and '.join(without)}; model.pkl holds all, and scores"
    return {
        "file": native.file,
        "format": native.format,
        "covers": covers,
        "inputs": _input_names(model),  # by place, also behind the preprocessing: it keeps number and order
        "before": before,
        "after": after,
        "output": f"probability of the positive class, {native.output}",
    }


def _input_names(model: Any) -> list[str]:
    return [str(name) for name in model.feature_names_in_]
