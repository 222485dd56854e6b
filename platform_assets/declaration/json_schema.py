"""JSON schemas of what squads write, for editors that complete and check YAML (draft 2020-12)."""

from __future__ import annotations

from typing import Any, Literal

from platform_assets.declaration.product import Product
from platform_assets.declaration.repository import RepositoryFile

DIALECT = "https://json-schema.org/draft/2020-12/schema"
PRODUCT_COMPONENT = "platform_assets.components.ModelProduct"

SchemaName = Literal["product", "feature_repository"]
NAMES: tuple[SchemaName, ...] = ("product", "feature_repository")
MATCHES: dict[SchemaName, tuple[str, ...]] = {
    "product": ("defs.yaml",),
    "feature_repository": ("feature_repo/*.yaml", "!feature_repo/feature_store.yaml"),
}
"""Files that each schema is about, as an editor's glob patterns."""


def json_schema(name: SchemaName) -> dict[str, Any]:
    """The schema of a product's `defs.yaml`, envelope included, or of a file of a feature repository.

    Names of sources, views and columns are checked when a declaration is read; a schema of one file
    cannot know them.
    """
    if name == "feature_repository":
        repository = RepositoryFile.model_json_schema(mode="validation")
        return {"$schema": DIALECT, **repository, "title": "Feature repository", "type": "object"}
    product = Product.model_json_schema(mode="validation")
    definitions = product.pop("$defs")
    return {
        "$schema": DIALECT,
        "title": "Model product",
        "description": "A model product as a Dagster component.",
        "type": "object",
        "properties": {
            "type": {"const": PRODUCT_COMPONENT, "description": "The component that reads the attributes."},
            "attributes": {"$ref": "#/$defs/Product"},
            "template_vars_module": {"type": ["string", "null"]},
            "requirements": {"type": ["object", "null"]},
            "post_processing": {"type": ["object", "null"]},
        },
        "required": ["type", "attributes"],
        "additionalProperties": False,
        "$defs": {**definitions, "Product": product},
    }
