"""Training runs: fit, score, save, and write down everything the model was made from."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from platform_assets.declaration.product import Product
from platform_assets.declaration.recorded_declaration import recorded
from platform_assets.declaration.repository import Repository
from platform_assets.errors import Blocked
from platform_assets.lake.atomic_files import TEMPORARY
from platform_assets.lake.digest import document_digest
from platform_assets.lake.lake import Table
from platform_assets.lake.manifest import Manifest
from platform_assets.provenance import code_version, lock_digest
from platform_assets.stores import Stores
from platform_assets.training.attempt import Attempt, attempt
from platform_assets.training.estimator import fit, score
from platform_assets.training.model_artifact import digest_of_folder, load_model, save_model
from platform_assets.training.search import SearchResult, search
from platform_assets.training.training_rows import SPLIT_COLUMN
from platform_assets.training.training_set import in_fitting_order, read_training_set
from platform_assets.vocabulary import product_table

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

__all__ = ["fitted", "load_model", "model_digest", "train"]


def train(
    stores: Stores,
    repository: Repository,
    product: Product,
    training_set: Manifest,
    *,
    cause: str,
    run_id: str = "",
) -> Manifest:
    """Fit the declared estimator on a training set and record the run.

    One MLflow run an attempt; attempts whose process is gone are ended as KILLED first. The same
    training set and estimator give the same model digest. Raises TrainingError when the estimator
    cannot use the rows, DeclarationError for an estimator or parameter that does not exist, Blocked
    when the training set was built from another declaration.
    """
    if training_set.code_version != product.training_version:
        raise Blocked(
            f"product {product.name!r}: training set {training_set.partition} was built from another "
            f"declaration of the product; materialize training_set first"
        )
    rows = read_training_set(stores, training_set)
    inputs = repository.input_columns(product)
    with attempt(stores, product.name, _tags(product, training_set, run_id)) as run:
        run.parameters(_parameters(product, training_set, inputs))
        model, scores, found = fitted(repository, product, rows)
        digest = model_digest(training_set.digest, product, scores)
        artifact, artifact_path = _saved(
            stores, run, model, rows.select(list(inputs)), scores, digest, training_set
        )
        payload: dict[str, Any] = {
            "model_digest": digest,
            "training_set_digest": training_set.digest,
            "estimator_version": product.estimator_version,
            "estimator": product.estimator.model_dump(mode="json"),
            "inputs": list(inputs),
            "views": dict(training_set.notes["views"]),
            "gates_version": product.gates_version,
            "gates": [gate.model_dump(mode="json") for gate in product.gates],
        }
        notes: dict[str, Any] = {
            "mlflow_run_id": run.id,
            "artifact_digest": artifact,
            "artifact_path": artifact_path,
            "code_version": code_version(),
            "lock_digest": lock_digest(),
            # what a later reproduction rebuilds from, whatever the files say by then
            "declaration": recorded(repository, product),
        }
        if found is not None:
            payload["search"] = found.summary()
            notes["search_trials"] = len(found.trials)
            run.search(found)
        run.tags({"model_digest": digest, "artifact_digest": artifact})
        run.document("training_run.json", {**payload, **notes})
        run.document("training_set.json", json.loads(training_set.to_json()))
        table = stores.lake.table(product_table(product.name, "training_run"))
        _heal_broken_folders(stores, table, training_set.partition, artifact, artifact_path)
        return table.write_document(
            training_set.partition,
            payload,
            code_version=product.estimator_version,
            inputs={training_set.table: {training_set.partition: training_set.digest}},
            cause=cause,
            run_id=run_id,
            notes=notes,
        )


def fitted(
    repository: Repository, product: Product, rows: pa.Table, *, trials: int | None = None
) -> tuple[Any, np.ndarray, SearchResult | None]:
    """The pipeline fitted on the train rows, its scores of all rows in the order given, and its search.

    `rows` are a whole training set; they are fitted in fitting order whatever order they come in.
    `trials` repeats a search of as many trials, whatever its budget of CPU seconds allowed then.
    """
    import pyarrow.compute as pc

    inputs = repository.input_columns(product)
    train_rows = rows.filter(pc.equal(rows.column(SPLIT_COLUMN), "train"))
    source, label = repository.source(product.source), product.label.column
    ordered = in_fitting_order(source, train_rows)
    estimator, found = product.estimator, None
    if estimator.search is not None:
        found = search(
            estimator, ordered, inputs, label, event_timestamp=source.event_timestamp, trials=trials
        )
        estimator = estimator.found(found.best.parameters)
    model = fit(estimator, ordered, inputs, label, event_timestamp=source.event_timestamp)
    return model, score(model, rows.select(list(inputs))), found


def model_digest(training_set_digest: str, product: Product, scores: np.ndarray) -> str:
    """What a model is, stable over processes: training set, estimator, and its scores of that set.

    Files of equal models differ in bytes (dates, ids, pickles), and predictions are what counts.
    `scores` are those of all rows in the order of their primary key.
    """
    import numpy as np

    values = hashlib.sha256(np.ascontiguousarray(scores, dtype="<f8").tobytes()).hexdigest()
    return document_digest(
        {"training_set": training_set_digest, "estimator": product.estimator_version, "scores": values}
    )


def _saved(
    stores: Stores,
    run: Attempt,
    model: Any,
    inputs: pa.Table,
    scores: np.ndarray,
    identity: str,
    training_set: Manifest,
) -> tuple[str, str]:
    """Save the model as the run's artifact; its digest, and its folder relative to the home."""
    with tempfile.TemporaryDirectory(prefix="platform-model-") as folder:
        saved = Path(folder) / "model"
        made_at = str(training_set.notes["trained_as_of"])
        save_model(model, saved, inputs, scores, identity=identity, made_at=made_at)
        digest = digest_of_folder(saved)
        target = run.artifacts / "model"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(saved, target)
    return digest, target.relative_to(stores.home.root).as_posix()


def _heal_broken_folders(
    stores: Stores, table: Table, partition: str, artifact: str, artifact_path: str
) -> None:
    """Training again is the cure for a saved model that was lost or changed.

    Recorded folders that should hold this very artifact, and do not, get it back: versions and the
    champion name them. Where the bytes came out otherwise (another lock), the present manifest is
    forgotten, so that the one written next names the new folder.
    """
    for earlier in table.history(partition):
        folder = stores.home.root / earlier.notes["artifact_path"]
        broken = not folder.is_dir() or digest_of_folder(folder) != earlier.notes["artifact_digest"]
        if broken and earlier.notes["artifact_digest"] == artifact:
            _put_back(stores.home.root / artifact_path, folder)
        elif broken and earlier == table.manifest(partition):
            (table.folder / "manifests" / partition / "current").unlink(missing_ok=True)


def _put_back(source: Path, folder: Path) -> None:
    """Replace a folder by a copy of another; a kill in between leaves it broken, and the next one heals."""
    aside = folder.with_name(f".{folder.name}.{os.getpid()}{TEMPORARY}")
    shutil.rmtree(aside, ignore_errors=True)
    shutil.copytree(source, aside)
    shutil.rmtree(folder, ignore_errors=True)
    aside.replace(folder)


def _parameters(product: Product, training_set: Manifest, inputs: tuple[str, ...]) -> Mapping[str, Any]:
    estimator = product.estimator
    return {
        "estimator": estimator.path,
        "seed": estimator.seed,
        "preprocessing": ", ".join(estimator.preprocessing) or "none",
        **{f"estimator.{name}": value for name, value in estimator.parameters.items()},
        "inputs": ", ".join(inputs),
        "label": product.label.column,
        "split": training_set.partition,
        "trained_as_of": training_set.notes["trained_as_of"],
        **{name: value for name, value in training_set.notes.items() if isinstance(value, int)},
    }


def _tags(product: Product, training_set: Manifest, run_id: str) -> Mapping[str, str]:
    return {
        "product": product.name,
        "split": training_set.partition,
        "training_set": f"{training_set.table}/{training_set.partition}@{training_set.digest}",
        "training_set_manifest": f"{training_set.sequence:06d}",
        "training_set_inputs": training_set.inputs_digest,
        "training_version": product.training_version,
        "estimator_version": product.estimator_version,
        "gates_version": product.gates_version,
        "code_version": code_version(),
        "lock_digest": lock_digest(),
        "dagster_run_id": run_id,
        **{f"view.{name}": version for name, version in training_set.notes["views"].items()},
    }
