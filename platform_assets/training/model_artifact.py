"""A saved model folder: its digest, and the check before every load."""

from __future__ import annotations

import hashlib
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from platform_assets.errors import LakeError, TrainingError
from platform_assets.stores import Stores
from platform_assets.training.saved_environment import differences, foreign_bytecode, in_words

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

EXAMPLE_ROWS = 5
PUT_BACK = "under the Python and packages it was saved with (the same model is put back)"


def save_model(
    model: Any, folder: Path, inputs: pa.Table, scores: np.ndarray, *, identity: str, made_at: str
) -> None:
    """Save a fitted pipeline as an MLflow model: cloudpickle, signature, example of the inputs only.

    MLflow would write an id of chance and the time of saving; `identity` (the model's digest) and
    `made_at` stand there instead, so that equal models make equal folders.
    MLflow's default format, skops, names its parts by memory address and stamps them with the time, and
    refuses some estimators unless their types are named one by one; what a pickle may do is bounded by
    the digest that `load_model` checks first. LightGBM and XGBoost leave a file of their own as well.
    """
    from platform_assets.training.estimator import input_frame
    from platform_assets.training.mlflow_store import quiet_mlflow
    from platform_assets.training.native_model import add_native_model

    quiet_mlflow()
    import mlflow.sklearn
    from mlflow.models import Model, infer_signature

    columns = inputs.column_names
    frame = input_frame(inputs.slice(0, EXAMPLE_ROWS), columns)
    saved = Model(model_uuid=identity, utc_time_created=made_at)
    logger = logging.getLogger("mlflow.sklearn")
    level = logger.level
    logger.setLevel(logging.ERROR)  # it warns of pickles in general; the digest is our answer
    try:
        mlflow.sklearn.save_model(
            model,
            str(folder),
            mlflow_model=saved,
            serialization_format=mlflow.sklearn.SERIALIZATION_FORMAT_CLOUDPICKLE,
            signature=infer_signature(frame, scores[:EXAMPLE_ROWS]),
            input_example=frame,
            pip_requirements=_requirements(model),
            pyfunc_predict_fn="predict_proba",
        )
        add_native_model(saved, model, folder, inputs)
    except Exception as error:
        raise TrainingError(f"the fitted model cannot be saved: {error}") from error
    finally:
        logger.setLevel(level)


def artifact_digest(folder: Path) -> str:
    """32 hex digits over a model folder: the relative path and the bytes of every file, in order."""
    digest = hashlib.sha256()
    files = sorted(
        (p for p in folder.rglob("*") if p.is_file()), key=lambda p: p.relative_to(folder).as_posix()
    )
    for path in files:
        content = path.read_bytes()
        # lengths keep one file's end from passing for the next one's beginning
        name = path.relative_to(folder).as_posix().encode()
        digest.update(f"{len(name)}:{len(content)}:".encode() + name + content)
    return digest.hexdigest()[:32]


def load_model(stores: Stores, artifact_path: str, artifact_digest: str) -> Any:
    """Load a saved model after its files were checked against the digest it was saved with.

    `artifact_path` is relative to the home. Raises LakeError when the folder is gone or was
    changed, or holds bytecode of another Python; nothing of it is executed then. Also when it cannot be
    loaded here, with the Python and packages that differ from those it was saved with.
    """
    folder = stores.home.root / artifact_path
    if not (folder / "MLmodel").is_file():
        raise LakeError(
            f"{folder}: the saved model is gone; materialize training_run again {PUT_BACK}, or restore it "
            f"from a copy"
        )
    found = digest_of_folder(folder)
    if found != artifact_digest:
        raise LakeError(
            f"{folder}: the saved model was changed: its digest is {found}, recorded was {artifact_digest}; "
            f"it was not loaded. Materialize training_run again {PUT_BACK}, or restore it from a copy."
        )
    if (python := foreign_bytecode(folder)) is not None:
        minor = ".".join(python.then.split(".")[:2])
        raise LakeError(
            f"{folder}: the saved model holds a function as bytecode (a lambda, or one made inside another) "
            f"and was saved with Python {python.then}; Python {python.now} cannot run it, so it was not "
            f"loaded. Go on with Python {minor}; or let the estimator keep only functions that a module "
            f"has by name, and train a new version"
        )
    from platform_assets.training.mlflow_store import quiet_mlflow

    quiet_mlflow()
    import mlflow.sklearn

    try:
        return mlflow.sklearn.load_model(os.fspath(folder))
    except Exception as error:
        differs = in_words(differences(folder))
        raise LakeError(
            f"{folder}: the saved model cannot be loaded: {type(error).__name__}: {error}"
            + (f"; it was {differs}" if differs else "")
        ) from error


digest_of_folder = artifact_digest  # `load_model` has a parameter of that name


def _requirements(model: Any) -> list[str]:
    """Exact versions of what the model's classes come from; inferring them takes MLflow seconds."""
    from importlib import metadata

    from platform_assets.training.estimator import pipeline_of

    model = pipeline_of(model)
    modules = {type(step).__module__.split(".")[0] for _, step in getattr(model, "steps", [("", model)])}
    names = {"scikit-learn", "cloudpickle", "numpy", "pandas"}
    if others := modules - {"sklearn"}:
        by_module = metadata.packages_distributions()  # 0.3 s: reads every installed distribution
        names.update(name for module in others for name in by_module.get(module, ())[:1])
    return [f"{name}=={metadata.version(name)}" for name in sorted(names)]
