"""The feature views that live models read: kept beside the declared ones, never changed silently.

A live model is the one that a product's last confirmed decision made champion. What it reads is taken
from the declaration recorded with its training run, not from the files of today.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from platform_assets.declaration.feature_view import Feature, FeatureView
from platform_assets.declaration.product import Product
from platform_assets.declaration.recorded_declaration import declaration_from
from platform_assets.declaration.repository import Repository
from platform_assets.errors import DeclarationError, LakeError
from platform_assets.stores import Stores
from platform_assets.vocabulary import product_table


@dataclass(frozen=True)
class LiveModel:
    """A champion, and the declaration it was trained by."""

    product: str
    version: str
    declared: Product
    repository: Repository

    @property
    def views(self) -> tuple[FeatureView, ...]:
        """The views it reads, as they were declared."""
        return tuple(self.repository.feature_views.values())


def live_models(stores: Stores) -> list[LiveModel]:
    """Every product's champion by the ledger, one without a recorded declaration left out."""
    confirmed = {entry.product: entry.body for entry in stores.ledger.entries(kind="confirm")}
    found = [_live(stores, product, body) for product, body in sorted(confirmed.items())]
    return [model for model in found if model is not None]


def kept_views(
    stores: Stores, repository: Repository, view: FeatureView
) -> list[tuple[Repository, FeatureView]]:
    """Other versions of a declared view that a live model still reads, each with its own repository."""
    kept: dict[str, tuple[Repository, FeatureView]] = {}
    for model in live_models(stores):
        for read in model.views:
            if read.name == view.name and read.version != view.version:
                kept[read.code_version] = (_only(model.repository, repository, read), read)
    return list(kept.values())


def built_views(stores: Stores, repository: Repository) -> dict[tuple[str, str], FeatureView]:
    """Every view that is kept up to date, by name and code version: the declared and the kept ones."""
    found = {(view.name, view.code_version): view for view in repository.feature_views.values()}
    for model in live_models(stores):
        for read in model.views:
            declared = repository.feature_views.get(read.name)
            if declared is not None and declared.version != read.version:
                found.setdefault((read.name, read.code_version), read)
    return found


def check_live_views(stores: Stores, repository: Repository, names: Iterable[str] | None = None) -> None:
    """Raise DeclarationError when a view that a live model reads computes something else unversioned.

    `names` are the views looked at; None looks at every declared one.
    """
    wanted = set(repository.feature_views if names is None else names)
    problems = [
        f"product {model.product!r}, version {model.version}, which is live, reads feature view "
        f"{read.name!r} version {read.version}; declared under the same version is another one:\n"
        + "\n".join(f"  {line}" for line in what_changed(read, repository.feature_views[read.name]))
        + f"\n  Fix: say `version: {read.version + 1}` in feature view {read.name!r} (version {read.version} "
        f"is kept up to date until no live model reads it), or put it back"
        for model in live_models(stores)
        for read in model.views
        if read.name in wanted and read.name in repository.feature_views
        if repository.feature_views[read.name].version == read.version
        if repository.feature_views[read.name].code_version != read.code_version
    ]
    if problems:
        raise DeclarationError("\n".join(dict.fromkeys(problems)))


def what_changed(before: FeatureView, after: FeatureView) -> list[str]:
    """What another declaration of a view computes otherwise, feature by feature. Pure."""
    lines = []
    for field in ("source", "entity"):
        if getattr(before, field) != getattr(after, field):
            lines.append(f"{field}: {getattr(before, field)} -> {getattr(after, field)}")
    lines += [f"{name}: {told}" for name, told in _differences(before.reads, after.reads)]
    old = {feature.name: feature for feature in before.features}
    new = {feature.name: feature for feature in after.features}
    lines += [f"feature {name}: is gone" for name in old if name not in new]
    lines += [f"feature {name}: is new" for name in new if name not in old]
    for name in old.keys() & new.keys():
        changes = _differences(_computed(old[name]), _computed(new[name]))
        lines += [f"feature {name}: {field} {told}" for field, told in changes]
    if not lines:
        lines.append("features: in another order")
    return sorted(lines)


def _computed(feature: Feature) -> dict[str, Any]:
    return feature.model_dump(mode="json", exclude={"name", "description"})


def _differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[tuple[str, str]]:
    names = dict.fromkeys((*before, *after))
    return [
        (name, f"{_word(before.get(name))} -> {_word(after.get(name))}")
        for name in names
        if before.get(name) != after.get(name)
    ]


def _word(value: Any) -> str:
    return "none" if value is None else str(value)


def _only(recorded: Repository, declared: Repository, view: FeatureView) -> Repository:
    """A repository of one recorded view; files are found where the source is declared now."""
    source = recorded.source(view.source)
    return Repository(
        {source.name: source},
        {name: recorded.entity(name) for name in view.entities},
        {view.name: view},
        {source.name: declared.folders.get(source.name, recorded.folders[source.name])},
    )


def _live(stores: Stores, product: str, confirmed: Mapping[str, Any]) -> LiveModel | None:
    version = confirmed.get("to")
    if version is None:  # the alias was taken away
        return None
    registered = stores.lake.table(product_table(product, "registered_model"))
    lineages = [
        manifest
        for partition in registered.partitions()
        for manifest in registered.history(partition)
        if manifest.notes.get("version") == version
    ]
    if not lineages:
        return None
    lineage = registered.document_of(max(lineages, key=lambda m: (m.created_at, m.sequence)))
    try:
        run = stores.lake.table(product_table(product, "training_run")).version(
            lineage["training_set"]["partition"], lineage["training_run_digest"]
        )
    except LakeError:
        return None
    if "declaration" not in run.notes:
        return None
    repository, declared = declaration_from(run.notes["declaration"], stores.home.root)
    return LiveModel(product, str(version), declared, repository)
