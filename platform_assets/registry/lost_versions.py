"""Versions that lineage or ledger tell of, and MLflow's registry does not hold any more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from platform_assets.evidence.ledger import Entry
from platform_assets.stores import Stores


def lost_versions(stores: Stores, product: str, models: Mapping[str, str]) -> list[str]:
    """Versions that the registry does not hold, or holds as another model, in order of their numbers.

    `models` maps each version that there should be to its model digest. A database that is not
    there is not made by asking.
    """
    held = _held(stores, product) if models else {}
    return sorted((v for v, digest in models.items() if held.get(v) != digest), key=int)


def told_versions(entries: Sequence[Entry], product: str) -> set[str]:
    """Versions of a product that were decided on, approved or restored, by the ledger."""
    found: set[str] = set()
    for entry in entries:
        if entry.product == product:
            named = (entry.body.get("to"), entry.body.get("version"), *entry.body.get("versions", ()))
            found |= {str(version) for version in named if version is not None}
    return found


def loss_told(stores: Stores, product: str, versions: Sequence[str]) -> str:
    """What is wrong with a registry that lost versions, and what to do."""
    from platform_assets.training.mlflow_store import DATABASE

    noun = "version" if len(versions) == 1 else "versions"
    return (
        f"product {product}: MLflow's registry does not hold {noun} {', '.join(versions)} as registered; "
        f"restore {stores.home.mlflow / DATABASE} from a copy, or move it away and say `platform-assets "
        f"restore-registry --product {product} --by <your address> --reason ...` for each product"
    )


def _held(stores: Stores, product: str) -> dict[str, str | None]:
    from platform_assets.registry.model_versions import MODEL_TAG
    from platform_assets.training.mlflow_store import DATABASE, open_mlflow

    if not (stores.home.mlflow / DATABASE).exists():
        return {}
    client = open_mlflow(stores)
    held: dict[str, str | None] = {}
    token = None
    while True:
        page = client.search_model_versions(f"name='{product}'", page_token=token)
        held |= {str(version.version): version.tags.get(MODEL_TAG) for version in page}
        token = page.token
        if not token:
            return held
