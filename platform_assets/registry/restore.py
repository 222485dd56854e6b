"""The MLflow registry anew from lake and ledger, after its database was lost."""

from __future__ import annotations

from platform_assets.errors import Blocked
from platform_assets.lake.manifest import Manifest
from platform_assets.registry.alias_move import Alias, agrees, last_confirmed, lease
from platform_assets.registry.model_versions import MODEL_TAG, RUN_TAG
from platform_assets.stores import Stores
from platform_assets.vocabulary import product_table

KIND = "restore"


def restore_registry(stores: Stores, product: str, actor: str, reason: str) -> list[str]:
    """Register every version of a product again under its own number; the versions restored.

    Numbers, model digests and the champion alias are as lake and ledger know them; MLflow's runs
    (parameters, metrics) are not restored, what they said stands in each model's folder. One entry
    in the ledger tells. Raises Blocked when nothing was ever registered, when the registry holds a
    version already (then it is not lost), or when the lake does not know the champion's.
    """
    from mlflow.exceptions import MlflowException

    from platform_assets.training.mlflow_store import open_mlflow

    newest = _newest_lineages(stores, product)
    if not newest:
        raise Blocked(
            f"product {product}: the lake knows of no registered version; there is nothing to restore"
        )
    confirmed = last_confirmed(stores.ledger.entries(product))
    champion = confirmed.body["to"] if confirmed is not None else None
    if champion is not None and int(champion) not in newest:
        raise Blocked(
            f"product {product}: the ledger's champion is version {champion}, of which the lake holds no "
            f"lineage; restore the lake from a copy first"
        )
    with lease(stores, product):
        client = open_mlflow(stores)
        held = client.search_model_versions(f"name='{product}'")
        if held:
            raise Blocked(
                f"product {product}: the registry holds {len(held)} versions; "
                f"it is restored only after it was lost. If that database was begun anew, or lost some of "
                f"them, move {stores.home.mlflow / 'mlflow.db'} away first"
            )
        try:
            client.create_registered_model(product)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        table = stores.lake.table(product_table(product, "registered_model"))
        for number in range(1, max(newest) + 1):
            lineage = table.document_of(newest[number]) if number in newest else None
            made = client.create_model_version(
                product,
                source=str(stores.home.root / lineage["artifact_path"]) if lineage else "deleted",
                tags={RUN_TAG: lineage["training_run_digest"], MODEL_TAG: lineage["model_digest"]}
                if lineage
                else {},
            )
            if lineage is None:  # its number was given once and must not be given again
                client.delete_model_version(product, made.version)
        alias = Alias(stores, product)
        if champion is not None and not agrees(alias.holder(), confirmed):
            alias.set(champion)
        versions = [str(number) for number in sorted(newest)]
        stores.ledger.append(KIND, product, actor, {"versions": versions, "reason": reason})
    return versions


def _newest_lineages(stores: Stores, product: str) -> dict[int, Manifest]:
    """The newest lineage of each version."""
    table = stores.lake.table(product_table(product, "registered_model"))
    found: dict[int, Manifest] = {}
    for partition in table.partitions():
        for manifest in table.history(partition):
            found[int(manifest.notes["version"])] = manifest
    return found
