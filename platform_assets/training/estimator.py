"""From a declared estimator to a fitted pipeline, and from a pipeline to scores."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from platform_assets.declaration.estimator import Estimator
from platform_assets.errors import DeclarationError, TrainingError, UnknownName
from platform_assets.training.anomaly import AnomalyModel, is_unsupervised
from platform_assets.training.class_weight import check_weights, row_weights
from platform_assets.training.estimator_parameters import check_parameters
from platform_assets.training.one_thread import one_blas_thread, single_threaded
from platform_assets.training.time_order import calibration_part

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import pyarrow as pa

ESTIMATOR_STEP = "estimator"
LEAST_CALIBRATION_ROWS = 10
"""Of each class: fewer cannot place a curve."""


def import_estimator(path: str) -> type[Any]:
    """The class at an import path such as `sklearn.linear_model.LogisticRegression`.

    Raises DeclarationError saying whether the module or the name in it is what is missing, with
    the nearest name there is.
    """
    module_name, _, name = path.rpartition(".")
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise DeclarationError(
            f"estimator {path!r}: module {module_name!r} cannot be imported ({error}); "
            f"is the path right and its package installed?"
        ).at("estimator", "path") from None
    if not hasattr(module, name):
        classes = [n for n, value in vars(module).items() if inspect.isclass(value)]
        exported = [n for n in getattr(module, "__all__", ()) if inspect.isclass(getattr(module, n, None))]
        raise UnknownName.among(
            f"estimator in module {module_name!r} called", name, {*classes, *exported}
        ).at("estimator", "path")
    found = getattr(module, name)
    if not inspect.isclass(found) or not hasattr(found, "fit") or not hasattr(found, "get_params"):
        raise DeclarationError(
            f"estimator {path!r}: is not a scikit-learn compatible class (fit, get_params)"
        ).at("estimator", "path")
    return found


def build_pipeline(estimator: Estimator) -> Any:
    """An unfitted scikit-learn pipeline: the declared preprocessing, then the estimator.

    Parameters are passed as declared; `seed` becomes `random_state` where the class takes one and
    the parameters do not set it, and LightGBM is told to be deterministic. Raises DeclarationError
    for a parameter that the class does not take, also one that is searched, and for options that
    do not fit the estimator, before anything is fitted.
    """
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler

    cls = import_estimator(estimator.path)
    try:
        known = set(cls().get_params(deep=False))
    except (TypeError, RuntimeError) as error:
        raise DeclarationError(f"estimator {estimator.path!r}: cannot be made without arguments: {error}").at(
            "estimator", "path"
        ) from None
    takes_any = any(p.kind is p.VAR_KEYWORD for p in inspect.signature(cls).parameters.values())
    check_parameters(estimator.path, estimator.parameters, known, takes_any=takes_any)
    if estimator.search is not None:
        examples = {name: p.example() for name, p in estimator.search.parameters.items()}
        check_parameters(
            estimator.path, examples, known, takes_any=takes_any, inside=("search", "parameters")
        )
    parameters = dict(estimator.parameters)
    if "random_state" in known:
        parameters.setdefault("random_state", estimator.seed)
    if cls.__module__.split(".")[0] == "lightgbm":
        parameters |= _same_on_every_machine(parameters)
    last = cls(**parameters)
    unsupervised = is_unsupervised(last)
    if not unsupervised and not hasattr(last, "predict_proba"):
        raise DeclarationError(
            f"estimator {estimator.path!r}: has no predict_proba, so it gives no scores; take a classifier, "
            f"or the parameter that makes it give probabilities"
        ).at("estimator", "path")
    _check_values(estimator, last)
    check_weights(estimator, last, unsupervised=unsupervised)
    if "novelty" in known and not hasattr(last, "score_samples"):
        raise DeclarationError(
            f"estimator {estimator.path!r}: scores rows it was not fitted on only with parameters "
            f"{{novelty: true}}"
        )
    for option in ("calibration", "search"):
        if unsupervised and getattr(estimator, option) is not None:
            raise DeclarationError(
                f"estimator {estimator.path!r}: is fitted without labels, so it takes no {option}"
            ).at("estimator", option)
    steps: dict[str, Any] = {
        "standardise": StandardScaler,
        # an input without any value in the train days stays, as zeros: inputs keep their number and order
        "impute_median": lambda: SimpleImputer(strategy="median", keep_empty_features=True),
    }
    return Pipeline([*((name, steps[name]()) for name in estimator.preprocessing), (ESTIMATOR_STEP, last)])


def _check_values(estimator: Estimator, last: Any) -> None:
    """Raise DeclarationError for a value that scikit-learn would refuse once everything before is built."""
    if not hasattr(last, "_parameter_constraints"):
        return  # other libraries look at values when they fit
    try:
        last._validate_params()
    except ValueError as error:
        name = re.match(r"The '(\w+)' parameter", str(error))
        place = ("parameters", name[1]) if name and name[1] in estimator.parameters else ("parameters",)
        raise DeclarationError(f"estimator {estimator.path!r}: {error}").at("estimator", *place) from None


def _same_on_every_machine(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """LightGBM's settings that make a fit the same elsewhere, as far as nothing else is declared."""
    added: dict[str, Any] = {}
    if not {"force_col_wise", "force_row_wise"} & {*parameters}:
        # it measures at every start which of the two is faster, and their sums differ in the last bits
        added = {"deterministic": parameters.get("deterministic", True), "force_row_wise": True}
    if not {"n_jobs", "num_threads", "num_thread", "nthread", "nthreads"} & {*parameters}:
        # as many threads as OpenMP gives; left open, the number of this machine's cores stands in the model
        added["n_jobs"] = 0
    return added


def input_frame(rows: pa.Table, columns: Sequence[str]) -> pd.DataFrame:
    """Model inputs as float64 columns in the order named; missing values are NaN.

    Raises TrainingError for a column that is absent or not a number.
    """
    import numpy as np
    import pandas as pd
    import pyarrow as pa

    values = {}
    for name in columns:
        if name not in rows.column_names:
            raise TrainingError(
                f"input {name!r} is not among the {len(rows.column_names)} columns of the rows"
            )
        column = rows.column(name)
        if pa.types.is_boolean(column.type):
            column = column.cast(pa.int8())
        elif not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
            raise TrainingError(
                f"input {name!r} is {column.type}; a model takes numbers: declare a feature that turns it "
                f"into one, or take it out of inputs"
            )
        values[name] = column.to_numpy().astype(np.float64)
    return pd.DataFrame(values, columns=list(columns), copy=False)


def fit(
    estimator: Estimator,
    rows: pa.Table,
    columns: Sequence[str],
    label: str,
    *,
    event_timestamp: str | None = None,
) -> Any:
    """Fit the declared pipeline on rows in the order given (the order changes many models).

    A declared calibration fits on the later part of the rows, by `event_timestamp`, and the
    pipeline on the earlier one. A declared search must have been settled (`Estimator.found`).
    Raises TrainingError when the inputs hold missing values that the estimator refuses, or the rows
    do not suffice.
    """
    import numpy as np

    if estimator.search is not None:
        raise TrainingError(f"estimator {estimator.path!r}: its searched parameters were not found yet")
    if estimator.calibration is None:
        return _fit(estimator, rows, columns, label)
    if event_timestamp is None:
        raise TrainingError("calibration: the rows' event timestamp is not known")
    part = calibration_part(rows, event_timestamp, estimator.calibration)
    model = _fit(estimator, rows.take(part.fit), columns, label)
    later = rows.take(part.judge)
    target = later.column(label).to_numpy().astype(np.int64)
    if min(counts := np.bincount(target, minlength=2)) < LEAST_CALIBRATION_ROWS:
        raise TrainingError(
            f"calibration: of the last {len(target)} train rows {counts[1]} are positive; it takes at least "
            f"{LEAST_CALIBRATION_ROWS} of either class: calibrate on more rows"
        )
    return _calibrated(model, estimator.calibration.method, input_frame(later, columns), target)


def _fit(estimator: Estimator, rows: pa.Table, columns: Sequence[str], label: str) -> Any:
    import numpy as np

    pipeline = build_pipeline(estimator)
    frame = input_frame(rows, columns)
    target = rows.column(label).to_numpy().astype(np.int64)
    weights: Mapping[str, Any] = {}
    if estimator.class_weight is not None:
        weights = {f"{ESTIMATOR_STEP}__sample_weight": row_weights(estimator.class_weight, target)}
    try:
        with one_blas_thread():
            if is_unsupervised(pipeline[-1]):
                return AnomalyModel.fitted(pipeline, frame)
            return pipeline.fit(frame, target, **weights)
    except Exception as error:
        if not _is_refusal(error):
            raise
        raise TrainingError(
            f"estimator {estimator.path!r} could not be fitted on {len(frame)} rows: "
            f"{_missing(frame) or _first_line(error)}"
        ) from error


def _is_refusal(error: Exception) -> bool:
    """A library's word on rows or parameters; the boosting libraries have errors of their own."""
    return isinstance(error, ValueError | TypeError) or type(error).__name__ == "LightGBMError"


def _calibrated(model: Any, method: str, frame: pd.DataFrame, target: np.ndarray) -> Any:
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.frozen import FrozenEstimator

    with single_threaded(model):
        # the model is frozen, so the folds only say in which pieces the rows are scored
        return CalibratedClassifierCV(FrozenEstimator(model), method=method, cv=2).fit(frame, target)


def score(model: Any, inputs: pa.Table) -> np.ndarray:
    """Probability of the positive class for each row, float64 in [0, 1].

    The columns are taken by the names the model was fitted on when it knows them. Raises
    TrainingError for a model without probabilities, missing inputs, or values that are none.
    """
    import numpy as np

    if not hasattr(model, "predict_proba"):
        raise TrainingError(
            f"{type(_last(model)).__name__} gives no probabilities (no predict_proba), and a decision "
            f"value is not one: set the estimator's own option, or declare another estimator"
        )
    columns = [str(name) for name in getattr(model, "feature_names_in_", inputs.column_names)]
    frame = input_frame(inputs, columns)
    classes = list(model.classes_)
    if len(classes) != 2:
        raise TrainingError(f"{type(_last(model)).__name__} knows classes {classes}; expected 0 and 1")
    if not len(frame):
        return np.empty(0, dtype=np.float64)
    try:
        with single_threaded(model):
            found = np.asarray(model.predict_proba(frame), dtype=np.float64)[:, 1]
    except ValueError as error:
        raise TrainingError(
            f"{type(_last(model)).__name__} could not score {len(frame)} rows: {_missing(frame) or error}"
        ) from error
    wrong = int(np.count_nonzero(~((found >= 0) & (found <= 1))))
    if wrong:
        raise TrainingError(
            f"{type(_last(model)).__name__} gave {wrong} of {len(found)} scores outside 0 to 1"
        )
    return np.ascontiguousarray(found)


def pipeline_of(model: Any) -> Any:
    """The pipeline within a model; calibration is around a frozen one."""
    while not hasattr(model, "steps") and hasattr(model, "estimator"):
        model = model.estimator
    return model


def _last(model: Any) -> Any:
    pipeline = pipeline_of(model)
    return pipeline[-1] if hasattr(pipeline, "steps") else pipeline


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n")[0]


def _missing(frame: pd.DataFrame) -> str:
    counts = frame.isna().sum()
    missing = {name: int(n) for name, n in counts.items() if n}
    if not missing:
        return ""
    told = ", ".join(f"{name} ({n} rows)" for name, n in list(missing.items())[:5])
    return f"missing values in {told}; declare preprocessing impute_median, or `empty` on the features"
