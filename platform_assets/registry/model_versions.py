"""Model versions: one a training run, each with the lineage of everything it was made from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from platform_assets.declaration.product import Product
from platform_assets.declaration.repository import Repository
from platform_assets.errors import Blocked, UnknownName
from platform_assets.lake.atomic_files import exclusive_lock
from platform_assets.lake.digest import digest_of_digests
from platform_assets.lake.manifest import Manifest
from platform_assets.stores import Stores
from platform_assets.training.present_split import present_split_id
from platform_assets.vocabulary import product_table, raw_table

REGISTRATION_VERSION = "1"
RUN_TAG = "training_run_digest"
MODEL_TAG = "model_digest"


def register(
    stores: Stores,
    repository: Repository,
    product: Product,
    *,
    suite_path: Path,
    cause: str,
    run_id: str = "",
) -> Manifest:
    """Register the present split's training run as a model version, and write its lineage.

    A training run has one version, however often it is registered: a run that was killed before
    it wrote the lineage left the version behind, found by its tag. A contract that has changed
    since gives the version a new lineage, not a new number.

    Raises Blocked when the split was not trained, or was trained on a training set that is no
    longer current, and when the registry has lost its versions.
    """
    from platform_assets.raw.contract_in_force import contract_standing

    split_id = present_split_id(stores, product)
    sets = stores.lake.table(product_table(product.name, "training_set"))
    runs = stores.lake.table(product_table(product.name, "training_run"))
    training_set, run = sets.manifest(split_id), runs.manifest(split_id)
    if training_set is None or run is None:
        missing = "training_set" if training_set is None else "training_run"
        raise Blocked(f"product {product.name}: {missing} {split_id} is missing; materialize it first")
    trained = runs.document_of(run)
    if trained["training_set_digest"] != training_set.digest:
        raise Blocked(
            f"product {product.name}: training_run {split_id} was fitted on training set "
            f"{trained['training_set_digest']}, current is {training_set.digest}; materialize training_run"
        )
    source = repository.source(product.source)
    raw = dict(training_set.inputs.get(raw_table(source.name), {}))
    lineage = {
        "version": _version(stores, product, run, trained["model_digest"]),
        "model_digest": trained["model_digest"],
        "artifact_digest": run.notes["artifact_digest"],
        "artifact_path": run.notes["artifact_path"],
        "training_set": {"partition": split_id, "digest": training_set.digest},
        "training_run_digest": run.digest,
        "mlflow_run_id": run.notes["mlflow_run_id"],
        "views": trained["views"],
        "gates_version": trained["gates_version"],
        "gates": trained["gates"],
        "raw": raw,
        "raw_digest": digest_of_digests(raw),
        "contract_version": contract_standing(stores, source, suite_path).in_force.version,
        "trained_as_of": training_set.notes["trained_as_of"],
        "train_days": list(training_set.notes["train_days"]),
        "test_days": list(training_set.notes["test_days"]),
        "label_delay_days": product.label.delay.total_seconds() / 86400,
    }
    return stores.lake.table(product_table(product.name, "registered_model")).write_document(
        split_id,
        lineage,
        code_version=REGISTRATION_VERSION,
        inputs={sets.name: {split_id: training_set.digest}, runs.name: {split_id: run.digest}},
        cause=cause,
        run_id=run_id,
        notes={"version": lineage["version"]},
    )


def lineage(stores: Stores, product: Product, version: str) -> dict[str, Any]:
    """What a version was made from, as recorded last. Raises UnknownName when it was never registered."""
    table = stores.lake.table(product_table(product.name, "registered_model"))
    found: list[Manifest] = []
    versions: set[str] = set()
    for partition in table.partitions():
        for manifest in table.history(partition):
            versions.add(manifest.notes["version"])
            if manifest.notes["version"] == version:
                found.append(manifest)
    if not found:
        raise UnknownName.among(f"registered version of {product.name}", version, versions)
    return table.document_of(max(found, key=lambda m: (m.created_at, m.sequence)))


def candidate_version(stores: Stores, product: Product) -> str:
    """The version that promotion decides on next. Raises Blocked when none is registered."""
    found = candidate_manifest(stores, product)
    if found is None:
        raise Blocked(f"product {product.name}: no version is registered; materialize registered_model first")
    return str(found.notes["version"])


def candidate_manifest(stores: Stores, product: Product) -> Manifest | None:
    """The present split's lineage: a declaration that goes back to an earlier split goes back to its version.

    While the present split was not registered yet, the lineage written last; None when there is none.
    """
    current = stores.lake.table(product_table(product.name, "registered_model")).current()
    if not current:
        return None
    present = current.get(present_split_id(stores, product))
    return present or max(current.values(), key=lambda m: (m.created_at, m.partition))


def model_path(stores: Stores, lineage: dict[str, Any]) -> Path:
    """The saved model's folder."""
    return stores.home.root / str(lineage["artifact_path"])


def _version(stores: Stores, product: Product, run: Manifest, model_digest: str) -> str:
    """The number of the version of a training run, made if need be."""
    from platform_assets.training.mlflow_store import open_mlflow

    client = open_mlflow(stores)
    with exclusive_lock(stores.home.locks / f"{product.name}.registration"):
        _ensure_registered_model(client, product)
        tagged = client.search_model_versions(f"name='{product.name}' and tags.{RUN_TAG}='{run.digest}'")
        known = [version for version in tagged if version.tags.get(MODEL_TAG) == model_digest]
        if known:
            return str(min(int(version.version) for version in known))
        _refuse_lost_registry(stores, product, client)
        made = client.create_model_version(
            product.name,
            source=str(stores.home.root / run.notes["artifact_path"]),
            run_id=run.notes["mlflow_run_id"] or None,
            tags={RUN_TAG: run.digest, MODEL_TAG: model_digest},
        )
        return str(made.version)


def _refuse_lost_registry(stores: Stores, product: Product, client: Any) -> None:
    """Raise Blocked when the lake knows versions and the registry none: it would give their numbers again."""
    table = stores.lake.table(product_table(product.name, "registered_model"))
    known = {m.notes["version"] for partition in table.partitions() for m in table.history(partition)}
    if known and not client.search_model_versions(f"name='{product.name}'"):
        raise Blocked(
            f"product {product.name}: MLflow's registry holds no version, and the lake knows "
            f"{', '.join(sorted(known, key=int))}: its database was lost. Restore it from a copy, or say "
            f"`platform-assets restore-registry --product {product.name} --by <your address> --reason ...`; "
            f"then run again"
        )


def _ensure_registered_model(client: Any, product: Product) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.get_registered_model(product.name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        client.create_registered_model(product.name, description=product.description)
