"""A product's declaration as it was, kept with its training run, so that later changes do not matter."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from platform_assets.declaration.feature_view import Entity, FeatureView
from platform_assets.declaration.product import Product
from platform_assets.declaration.repository import Repository
from platform_assets.declaration.source import Source


def recorded(repository: Repository, product: Product) -> dict[str, Any]:
    """The product and everything it names, as plain data."""
    views = repository.views_of(product)
    entities = dict.fromkeys((*product.entities, *(name for view in views for name in view.entities)))
    return {
        "product": product.model_dump(mode="json"),
        "source": repository.source(product.source).model_dump(mode="json"),
        "entities": [repository.entity(name).model_dump(mode="json") for name in entities],
        "feature_views": [view.model_dump(mode="json") for view in views],
    }


def declaration_from(record: Mapping[str, Any], folder: Path) -> tuple[Repository, Product]:
    """The declaration that `recorded` kept; `folder` stands for the declaring file's."""
    source = Source.model_validate(record["source"])
    entities = [Entity.model_validate(item) for item in record["entities"]]
    views = [FeatureView.model_validate(item) for item in record["feature_views"]]
    repository = Repository(
        {source.name: source},
        {entity.name: entity for entity in entities},
        {view.name: view for view in views},
        {source.name: folder},
    )
    return repository, Product.model_validate(record["product"])
