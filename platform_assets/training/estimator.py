"""From a declared estimator to a fitted pipeline, and from a pipeline to scores."""

from __future__ import annotations

import contextlib
import importlib
import inspect
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from platform_assets.declaration.estimator import Estimator
from platform_assets.errors import DeclarationError, TrainingError, UnknownName
from platform_assets.training.estimator_parameters import check_parameters

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import pyarrow as pa

ESTIMATOR_STEP = "estimator"


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
    the parameters do not set it. Raises DeclarationError for a parameter the class does not take,
    before anything is fitted.
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
    parameters = dict(estimator.parameters)
    if "random_state" in known:
        parameters.setdefault("random_state", estimator.seed)
    steps: dict[str, Any] = {
        "standardise": StandardScaler,
        # an input without any value in the train days stays, as zeros: inputs keep their number and order
        "impute_median": lambda: SimpleImputer(strategy="median", keep_empty_features=True),
    }
    return Pipeline(
        [*((name, steps[name]()) for name in estimator.preprocessing), (ESTIMATOR_STEP, cls(**parameters))]
    )


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


def fit(estimator: Estimator, rows: pa.Table, columns: Sequence[str], label: str) -> Any:
    """Fit the declared pipeline on rows in the order given (the order changes many models).

    Raises TrainingError when the inputs hold missing values that the estimator refuses.
    """
    import numpy as np

    pipeline = build_pipeline(estimator)
    frame = input_frame(rows, columns)
    target = rows.column(label).to_numpy().astype(np.int64)
    try:
        with _one_blas_thread():
            return pipeline.fit(frame, target)
    except (ValueError, TypeError) as error:
        raise TrainingError(
            f"estimator {estimator.path!r} could not be fitted on {len(frame)} rows: "
            f"{_missing(frame) or _first_line(error)}"
        ) from error


def score(model: Any, inputs: pa.Table) -> np.ndarray:
    """Probability of the positive class for each row, float64 in [0, 1].

    The columns are taken by the names the model was fitted on when it knows them. Raises
    TrainingError for a model without probabilities, missing inputs, or values that are none.
    """
    import numpy as np

    if not hasattr(model, "predict_proba"):
        raise TrainingError(
            f"{type(_last(model)).__name__} gives no probabilities (no predict_proba), and a decision "
            f"value is not one: set the estimator's own option, or wrap it in a CalibratedClassifierCV"
        )
    columns = [str(name) for name in getattr(model, "feature_names_in_", inputs.column_names)]
    frame = input_frame(inputs, columns)
    classes = list(model.classes_)
    if len(classes) != 2:
        raise TrainingError(f"{type(_last(model)).__name__} knows classes {classes}; expected 0 and 1")
    if not len(frame):
        return np.empty(0, dtype=np.float64)
    try:
        with _single_threaded(model):
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


@contextlib.contextmanager
def _single_threaded(model: Any) -> Iterator[None]:
    """Sums over threads have no fixed order (a forest's mean): score with one, then put settings back."""
    parameters = model.get_params(deep=True) if hasattr(model, "get_params") else {}
    before = {
        name: value
        for name, value in parameters.items()
        if name.split("__")[-1] in ("n_jobs", "nthread", "num_threads") and value != 1
    }
    try:
        if before:
            model.set_params(**dict.fromkeys(before, 1))
        with _one_blas_thread():
            yield
    finally:
        if before:
            model.set_params(**before)


@contextlib.contextmanager
def _one_blas_thread() -> Iterator[None]:
    """Matrix products split over threads differ in the last bits with the number of cores."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    with threadpool_limits(1, user_api="blas"):
        yield


def _last(model: Any) -> Any:
    return model[-1] if hasattr(model, "steps") else model


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n")[0]


def _missing(frame: pd.DataFrame) -> str:
    counts = frame.isna().sum()
    missing = {name: int(n) for name, n in counts.items() if n}
    if not missing:
        return ""
    told = ", ".join(f"{name} ({n} rows)" for name, n in list(missing.items())[:5])
    return f"missing values in {told}; declare preprocessing impute_median, or `empty` on the features"
