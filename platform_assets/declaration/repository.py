"""The feature repository: sources, entities and feature views, read from YAML and cross-checked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pydantic import Field

from platform_assets.declaration.declared import Declared
from platform_assets.declaration.feature_view import Entity, FeatureView
from platform_assets.declaration.product import Product
from platform_assets.declaration.source import Source
from platform_assets.declaration.yaml_reader import read_yaml
from platform_assets.errors import DeclarationError, UnknownName

T = TypeVar("T")


class RepositoryFile(Declared):
    """What one YAML file of a feature repository may hold."""

    sources: tuple[Source, ...] = Field(default=())
    entities: tuple[Entity, ...] = Field(default=())
    feature_views: tuple[FeatureView, ...] = Field(default=())


@dataclass(frozen=True)
class Repository:
    """Everything that products may name."""

    sources: Mapping[str, Source] = field(default_factory=dict)
    entities: Mapping[str, Entity] = field(default_factory=dict)
    feature_views: Mapping[str, FeatureView] = field(default_factory=dict)
    folders: Mapping[str, Path] = field(default_factory=dict)

    def source(self, name: str) -> Source:
        """The source of that name, or UnknownName with the nearest one."""
        return _named("source", name, self.sources)

    def entity(self, name: str) -> Entity:
        """The entity of that name, or UnknownName with the nearest one."""
        return _named("entity", name, self.entities)

    def feature_view(self, name: str) -> FeatureView:
        """The feature view of that name, or UnknownName with the nearest one."""
        return _named("feature view", name, self.feature_views)

    def views_of(self, product: Product) -> tuple[FeatureView, ...]:
        """A product's feature views, in its order."""
        return tuple(self.feature_view(name) for name in product.feature_views)

    def contract_path(self, source: Source) -> Path:
        """Where a source's Great Expectations suite lies."""
        return self.folders[source.name] / source.contract

    def input_columns(self, product: Product) -> tuple[str, ...]:
        """Model inputs in order, feature views expanded to their features."""
        names: list[str] = []
        for name in product.inputs:
            if ":" in name:
                names.append(name.split(":", 1)[1])
            elif name in product.feature_views:
                names.extend(self.feature_view(name).feature_names)
            else:
                names.append(name)
        return tuple(names)

    def check_product(self, product: Product) -> None:
        """Raise UnknownName or DeclarationError unless every name of a product exists."""
        source = self.source(product.source)
        if product.contract is not None and product.contract != source.contract:
            raise DeclarationError(
                f"product {product.name!r}: contract {product.contract!r} is not the contract of "
                f"source {source.name!r}, which is {source.contract!r}"
            )
        for name in product.entities:
            self.entity(name)
        for view in self.views_of(product):
            if view.source != product.source:
                raise DeclarationError(
                    f"product {product.name!r}: feature view {view.name!r} is computed from source "
                    f"{view.source!r}, not from {product.source!r}"
                )
            if view.entity not in product.entities:
                raise DeclarationError(
                    f"product {product.name!r}: feature view {view.name!r} is about entity "
                    f"{view.entity!r}, which is missing from entities"
                )
        for column in filter(None, (product.label.column, product.label.available_at)):
            if column not in source.column_names:
                raise UnknownName.among("label column", column, source.column_names)
        for name in product.inputs:
            if ":" in name:
                view_name, feature = name.split(":", 1)
                names = self.feature_view(view_name).feature_names
                if feature not in names:
                    raise UnknownName.among(f"feature of view {view_name!r}", feature, names)
            elif name not in product.feature_views and name not in source.column_names:
                raise UnknownName.among("input", name, (*source.column_names, *product.feature_views))
        columns = self.input_columns(product)
        twice = sorted({name for name in columns if columns.count(name) > 1})
        if twice:
            raise DeclarationError(f"product {product.name!r}: inputs named twice: {', '.join(twice)}")
        entities = {product.split.remove_known, *(getattr(m, "entity", None) for m in product.metrics)}
        entities |= {getattr(gate, "entity", None) for gate in product.gates}
        for name in sorted(filter(None, entities)):
            if name not in product.entities:
                raise UnknownName.among("entity of the product", name, product.entities)


def _named(kind: str, name: str, among: Mapping[str, T]) -> T:
    if name not in among:
        raise UnknownName.among(kind, name, among)
    return among[name]


def read_repository(folders: Iterable[Path]) -> Repository:
    """Read every `*.yaml` directly in the folders, in name order, and cross-check the names."""
    sources: dict[str, Source] = {}
    entities: dict[str, Entity] = {}
    views: dict[str, FeatureView] = {}
    where: dict[str, Path] = {}
    files: dict[str, Path] = {}
    for folder in folders:
        for path in sorted(Path(folder).glob("*.yaml")):
            if path.name == "feature_store.yaml":
                continue  # Feast's own settings, not a declaration
            read = read_yaml(path, RepositoryFile)
            kinds: tuple[tuple[str, dict[str, Any], tuple[Any, ...]], ...] = (
                ("source", sources, read.sources),
                ("entity", entities, read.entities),
                ("feature view", views, read.feature_views),
            )
            for kind, among, found in kinds:
                for item in found:
                    key = f"{kind} {item.name}"
                    if key in files and files[key] != path:
                        raise DeclarationError(
                            f"{path}: {kind} {item.name!r} is also declared in {files[key]}"
                        )
                    files[key] = path
                    among[item.name] = item
                    if kind == "source":
                        where[item.name] = path.parent
    repository = Repository(sources, entities, views, where)
    for view in views.values():
        _check_view(repository, view, files[f"feature view {view.name}"])
    return repository


def _check_view(repository: Repository, view: FeatureView, path: Path) -> None:
    try:
        source = repository.source(view.source)
        entity = repository.entity(view.entity)
        if entity.join_key not in source.column_names:
            raise UnknownName.among(
                f"join key of entity {entity.name!r}", entity.join_key, source.column_names
            )
        for feature in view.features:
            if feature.column is not None and feature.column not in source.column_names:
                raise UnknownName.among(
                    f"column of feature {feature.name!r}", feature.column, source.column_names
                )
    except DeclarationError as error:
        raise type(error)(f"{path}: feature view {view.name!r}: {error}") from None
