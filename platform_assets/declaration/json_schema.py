"""JSON schemas of what squads write, for editors that complete and check YAML (draft 2020-12)."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel

from platform_assets.declaration.feast_project import Project
from platform_assets.declaration.product import Product
from platform_assets.declaration.repository import RepositoryFile

DIALECT = "https://json-schema.org/draft/2020-12/schema"
PRODUCT_COMPONENT = "platform_assets.components.ModelProduct"
FEAST_COMPONENT = "platform_assets.components.FeastProject"

SchemaName = Literal["product", "feature_repository", "feast_project"]
NAMES: tuple[SchemaName, ...] = ("product", "feature_repository", "feast_project")
MATCHES: dict[SchemaName, tuple[str, ...]] = {
    "product": ("defs.yaml", "!*feast*/defs.yaml"),
    "feature_repository": ("feature_repo/*.yaml", "!feature_repo/feature_store.yaml"),
    "feast_project": ("*feast*/defs.yaml",),
}
"""Files that each schema is about, as an editor's glob patterns."""


def json_schema(name: SchemaName) -> dict[str, Any]:
    """The schema of a `defs.yaml`, envelope included, or of a file of a feature repository.

    Names of sources, views and columns are checked when a declaration is read; a schema of one file
    cannot know them.
    """
    if name == "feature_repository":
        repository = RepositoryFile.model_json_schema(mode="validation")
        return {"$schema": DIALECT, **repository, "title": "Feature repository", "type": "object"}
    if name == "feast_project":
        return _component(Project, FEAST_COMPONENT, "Feast project", "A Feast repository as assets.")
    return _component(Product, PRODUCT_COMPONENT, "Model product", "A model product as a Dagster component.")


def _component(model: type[BaseModel], component: str, title: str, description: str) -> dict[str, Any]:
    """The schema of a `defs.yaml`: the declaration inside Dagster's envelope."""
    declared = model.model_json_schema(mode="validation")
    definitions = declared.pop("$defs")
    return {
        "$schema": DIALECT,
        "title": title,
        "description": description,
        "type": "object",
        "properties": {
            "type": {"const": component, "description": "The component that reads the attributes."},
            "attributes": {"$ref": f"#/$defs/{model.__name__}"},
            "template_vars_module": {"type": ["string", "null"]},
            "requirements": {"type": ["object", "null"]},
            "post_processing": {"type": ["object", "null"]},
        },
        "required": ["type", "attributes"],
        "additionalProperties": False,
        "$defs": {**definitions, model.__name__: declared},
    }
