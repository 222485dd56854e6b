"""The feature repository: sources, entities and feature views, read from YAML and cross-checked."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pydantic import Field

from platform_assets.declaration.declared import Declared
from platform_assets.declaration.feature_view import AnyEntity, Entity, FeatureView, JointEntity
from platform_assets.declaration.gate import NoLeakage
from platform_assets.declaration.product import Product
from platform_assets.declaration.source import Source
from platform_assets.declaration.view_check import check_features
from platform_assets.declaration.yaml_document import Document
from platform_assets.declaration.yaml_reader import read_located
from platform_assets.errors import DeclarationError, UnknownName

T = TypeVar("T")
NUMBERS = ("int64", "float64", "bool")


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
    view_folders: Mapping[str, Path] = field(default_factory=dict)
    places: Mapping[tuple[str, str], tuple[Path, int]] = field(default_factory=dict, compare=False)
    """File and line of what was read from one, by kind (`sources`, `feature_views`) and name."""

    def __post_init__(self) -> None:
        """Each view learns what of its source it reads; one whose names do not exist stays as it is."""
        bound = {name: self._bound(view) for name, view in self.feature_views.items()}
        object.__setattr__(self, "feature_views", bound)

    def _bound(self, view: FeatureView) -> FeatureView:
        source = self.sources.get(view.source)
        if source is None or not self.entities.keys() >= set(view.entities):
            return view
        try:
            return view.bound_to(source, self.entity_of(view))
        except KeyError:  # a column that the source has not: `read_repository` tells it
            return view

    def source(self, name: str) -> Source:
        """The source of that name, or UnknownName with the nearest one."""
        return _named("source", name, self.sources)

    def entity(self, name: str) -> Entity:
        """The entity of that name, or UnknownName with the nearest one."""
        return _named("entity", name, self.entities)

    def entity_of(self, view: FeatureView) -> AnyEntity:
        """What a view is about: one entity, or several as one; UnknownName as for `entity`."""
        members = tuple(self.entity(name) for name in view.entities)
        return members[0] if len(members) == 1 else JointEntity(members)

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
        """Raise UnknownName or DeclarationError, with its place, unless every name of a product exists."""
        source = _at(self.source, product.source, "source")
        if product.contract is not None and product.contract != source.contract:
            raise DeclarationError(
                f"product {product.name!r}: contract {product.contract!r} is not the contract of "
                f"source {source.name!r}, which is {source.contract!r}"
            ).at("contract")
        for number, name in enumerate(product.entities):
            _at(self.entity, name, "entities", number)
        for number, name in enumerate(product.feature_views):
            view = _at(self.feature_view, name, "feature_views", number)
            if view.source != product.source:
                raise DeclarationError(
                    f"product {product.name!r}: feature view {view.name!r} is computed from source "
                    f"{view.source!r}, not from {product.source!r}"
                ).at("feature_views", number)
            for missing in (name for name in view.entities if name not in product.entities):
                raise DeclarationError(
                    f"product {product.name!r}: feature view {view.name!r} is about entity "
                    f"{missing!r}, which is missing from entities; add it there"
                ).at("entities")
        label = product.label
        for field_name, column in (("column", label.column), ("available_at", label.available_at)):
            if column is not None and column not in source.column_names:
                raise UnknownName.among("label column", column, source.column_names).at("label", field_name)
        if source.column(label.column).type not in NUMBERS:
            raise DeclarationError(
                f"product {product.name!r}: label {label.column!r} is declared "
                f"{source.column(label.column).type}; a label is 0 or 1, a number or a flag"
            ).at("label", "column")
        start = product.split.train_start
        if start is not None and start < source.start:
            raise DeclarationError(
                f"product {product.name!r}: train_start {start} lies before source {source.name!r} begins, "
                f"on {source.start}"
            ).at("split", "train_start")
        self._check_inputs(product, source)
        entities: list[tuple[tuple[str | int, ...], str | None]] = [
            (("split", "remove_known"), product.split.remove_known),
            (("evaluation", "entity"), product.evaluation.entity),
            *((("metrics", n), getattr(item, "entity", None)) for n, item in enumerate(product.metrics)),
            *((("gates", n), getattr(item, "entity", None)) for n, item in enumerate(product.gates)),
        ]
        for place, entity in entities:
            if entity is not None and entity not in product.entities:
                raise UnknownName.among("entity of the product", entity, product.entities).at(*place)
        inputs = self.input_columns(product)
        for number, gate in enumerate(product.gates):
            for name in gate.allow if isinstance(gate, NoLeakage) else ():
                if name not in inputs:
                    raise UnknownName.among("input to allow", name, inputs).at("gates", number, "allow")
        self._check_evaluation(product, source)

    def _check_evaluation(self, product: Product, source: Source) -> None:
        declared = product.evaluation
        known = tuple(dict.fromkeys((*source.column_names, *self.input_columns(product))))
        for number, each in enumerate(declared.slices):
            if each.column not in known:
                raise UnknownName.among("column", each.column, known).at("evaluation", "slices", number)
            if each.column in source.column_names and (told := each.unfit(source.column(each.column).type)):
                raise DeclarationError(f"slice {each.name!r}: {told}").at("evaluation", "slices", number)
        for number, name in enumerate(declared.slice_search.columns if declared.slice_search else ()):
            if name not in known:
                raise UnknownName.among("column", name, known).at(
                    "evaluation", "slice_search", "columns", number
                )
        if declared.costs is not None:
            place = ("evaluation", "costs", "amount")
            numbers = [column.name for column in source.columns if column.type in ("int64", "float64")]
            if declared.costs.amount not in numbers:
                raise UnknownName.among("column of numbers", declared.costs.amount, numbers).at(*place)

    def _check_inputs(self, product: Product, source: Source) -> None:
        for number, name in enumerate(product.inputs):
            if ":" in name:
                view_name, feature = name.split(":", 1)
                names = self.feature_view(view_name).feature_names
                if feature not in names:
                    raise UnknownName.among(f"feature of view {view_name!r} called", feature, names).at(
                        "inputs", number
                    )
            elif name not in product.feature_views and name not in source.column_names:
                raise UnknownName.among("input", name, (*source.column_names, *product.feature_views)).at(
                    "inputs", number
                )
            elif name in source.column_names and source.column(name).type not in NUMBERS:
                raise DeclarationError(
                    f"product {product.name!r}: input {name!r} is declared {source.column(name).type}; a "
                    f"model takes numbers: declare a feature that turns it into one"
                ).at("inputs", number)
            elif name == product.label.column:
                raise DeclarationError(
                    f"product {product.name!r}: input {name!r} is the label itself, not known when a row "
                    f"is scored; take it out of inputs"
                ).at("inputs", number)
        columns = self.input_columns(product)
        twice = sorted({name for name in columns if columns.count(name) > 1})
        if twice:
            raise DeclarationError(f"product {product.name!r}: inputs named twice: {', '.join(twice)}").at(
                "inputs"
            )


def _at(find: Callable[[str], T], name: str, *location: str | int) -> T:
    try:
        return find(name)
    except DeclarationError as error:
        raise error.at(*location) from None


def _named(kind: str, name: str, among: Mapping[str, T]) -> T:
    if name not in among:
        raise UnknownName.among(kind, name, among)
    return among[name]


def read_repository(folders: Iterable[Path]) -> Repository:
    """Read every `*.yaml` directly in the folders, in name order, and cross-check the names."""
    found: dict[str, dict[str, Any]] = {field_name: {} for field_name in _KINDS}
    where: dict[str, Path] = {}
    views_where: dict[str, Path] = {}
    places: dict[tuple[str, str], tuple[Document, int]] = {}
    for folder in folders:
        for path in sorted(Path(folder).glob("*.yaml")):
            if path.name == "feature_store.yaml":
                continue  # Feast's own settings, not a declaration
            read, document = read_located(path, RepositoryFile)
            for field_name, kind in _KINDS.items():
                for number, item in enumerate(getattr(read, field_name)):
                    place = (field_name, item.name)
                    if place in places:
                        first, index = places[place]
                        raise DeclarationError(
                            document.told(
                                f"{kind} {item.name!r} is also declared in {first.path}:"
                                f"{first.line(field_name, index)}; rename or remove one",
                                field_name,
                                number,
                            )
                        )
                    places[place] = (document, number)
                    found[field_name][item.name] = item
                    if field_name == "sources":
                        where[item.name] = path.parent
                    elif field_name == "feature_views":
                        views_where[item.name] = path.parent
    lines = {place: (doc.path, doc.line(place[0], number)) for place, (doc, number) in places.items()}
    repository = Repository(
        found["sources"], found["entities"], found["feature_views"], where, views_where, lines
    )
    for (field_name, name), (document, number) in places.items():
        try:
            if field_name == "sources":
                _check_contract(repository, repository.sources[name])
            elif field_name == "feature_views":
                _check_view(repository, repository.feature_views[name])
        except DeclarationError as error:
            told = f"{_KINDS[field_name]} {name!r}: {error}"
            line = document.line(field_name, number, *error.location)
            raise type(error)(f"{document.path}:{line}: {told}") from None
    return repository


_KINDS = {"sources": "source", "entities": "entity", "feature_views": "feature view"}


def _check_contract(repository: Repository, source: Source) -> None:
    """The suite exists and names columns of the source; what it expects is the contract's own affair."""
    path = repository.contract_path(source)
    try:
        suite = json.loads(path.read_text(encoding="utf-8"))
        expectations = [dict(item["kwargs"]) for item in suite["expectations"]]
    except FileNotFoundError:
        near = difflib.get_close_matches(path.name, [p.name for p in path.parent.glob("*.json")], n=1)
        hint = f"did you mean {near[0]!r}?" if near else "write the suite, or put its path right"
        raise DeclarationError(f"contract: there is no file {path}; {hint}").at("contract") from None
    except (OSError, ValueError, TypeError, KeyError):
        return  # its verdict is UNKNOWN, which is shown as a check of its own and never passes
    for item in expectations:
        columns = [item[key] for key in ("column", "column_A", "column_B") if key in item]
        for column in (*columns, *(item.get("column_list") or ())):
            if column not in source.column_names:
                error = UnknownName.among("column", str(column), source.column_names)
                raise UnknownName(f"contract {path}: {error}").at("contract")


def _check_view(repository: Repository, view: FeatureView) -> None:
    source = _at(repository.source, view.source, "source")
    for name in view.entities:
        key = _at(repository.entity, name, "entity").join_key
        if key not in source.column_names:
            raise UnknownName.among(
                f"column for the join key of entity {name!r} called", key, source.column_names
            ).at("entity")
        if source.column(key).type not in ("int64", "string"):
            raise DeclarationError(
                f"the join key of entity {name!r} is column {key!r}, a {source.column(key).type}; "
                f"entities are told apart by whole numbers or texts"
            ).at("entity")
    check_features(view, source, repository.entity_of(view).join_keys)
