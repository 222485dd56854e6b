"""What loading a code location may not look at, because it needs the libraries: looked at before a run."""

from __future__ import annotations

from pathlib import Path

from platform_assets.declaration.feature_view import FeatureView
from platform_assets.declaration.product import Product
from platform_assets.declaration.repository import Repository
from platform_assets.declaration.yaml_document import read_document
from platform_assets.declaration.yaml_reader import located
from platform_assets.errors import DeclarationError


def check_declaration(product: Product, repository: Repository, file: Path) -> None:
    """Raise DeclarationError, with file and line, for an estimator or a view in SQL that cannot work."""
    from platform_assets.training.estimator import build_pipeline

    try:
        build_pipeline(product.estimator)
    except DeclarationError as error:
        raise located(error, file, "attributes") from None
    for view in repository.views_of(product):
        if view.sql is not None:
            _check_sql(view, repository)


def _check_sql(view: FeatureView, repository: Repository) -> None:
    from platform_assets.features.sql_view import check_sql_view

    try:
        check_sql_view(repository.source(view.source), repository.entity_of(view), view)
    except DeclarationError as error:
        raise type(error)(f"{_place(view, repository)}{error}") from None


def _place(view: FeatureView, repository: Repository) -> str:
    """`file:line: ` of a view's sql; nothing for a view that was declared in Python."""
    folder = repository.view_folders.get(view.name)
    for path in sorted(folder.glob("*.yaml")) if folder else ():
        document = read_document(path)
        declared = document.data.get("feature_views") if isinstance(document.data, dict) else None
        for number, item in enumerate(declared or ()):
            if isinstance(item, dict) and item.get("name") == view.name:
                return f"{path}:{document.line('feature_views', number, 'sql')}: "
    return ""
