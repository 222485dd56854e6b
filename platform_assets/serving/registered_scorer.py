"""A registered version, ready to score: its inputs, its feature views, its model."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from platform_assets.declaration.feature_view import FeatureView
from platform_assets.declaration.product import Product
from platform_assets.declaration.recorded_declaration import declaration_from
from platform_assets.declaration.repository import Repository
from platform_assets.errors import Blocked
from platform_assets.stores import Stores
from platform_assets.vocabulary import product_table

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa


@dataclass(frozen=True)
class RegisteredScorer:
    """One version of a product's model, as its lineage recorded it; not as the product is declared today."""

    stores: Stores
    product: str
    version: str
    model_digest: str
    inputs: tuple[str, ...]
    view_versions: Mapping[str, str]
    recorded_views: Mapping[str, FeatureView]
    training_set: Mapping[str, str]
    training_run_digest: str
    artifact_path: str
    artifact_digest: str

    @classmethod
    def of(cls, stores: Stores, product: Product, version: str) -> RegisteredScorer:
        """Read a version's lineage; the model itself is loaded when first used."""
        from platform_assets.registry.model_versions import lineage

        recorded = lineage(stores, product, version)
        runs = stores.lake.table(product_table(product.name, "training_run"))
        run = runs.version(recorded["training_set"]["partition"], recorded["training_run_digest"])
        declaration = run.notes.get("declaration")
        views = declaration_from(declaration, stores.home.root)[0].feature_views if declaration else {}
        return cls(
            stores=stores,
            product=product.name,
            version=version,
            model_digest=recorded["model_digest"],
            inputs=tuple(runs.document_of(run)["inputs"]),
            view_versions=dict(recorded["views"]),
            recorded_views=views,
            training_set=dict(recorded["training_set"]),
            training_run_digest=recorded["training_run_digest"],
            artifact_path=recorded["artifact_path"],
            artifact_digest=recorded["artifact_digest"],
        )

    def changed_views(self, repository: Repository) -> list[str]:
        """What it reads and is no longer built, in words: neither declared nor read by a live model."""
        from platform_assets.features.live_views import built_views

        built = built_views(self.stores, repository)
        changed = []
        for name in sorted(self.view_versions):
            view = repository.feature_views.get(name)
            if view is None:
                changed.append(f"{name} is no longer declared")
            elif (name, self._trained_on(name)) not in built:
                changed.append(f"{name} was {self._trained_on(name)}, declared is {view.code_version}")
        return changed

    def views(self, repository: Repository) -> tuple[FeatureView, ...]:
        """The feature views it reads, in the versions it was trained on.

        Raises Blocked unless each is still built: declared so, or kept for a live model.
        """
        from platform_assets.features.live_views import built_views

        changed = self.changed_views(repository)
        if changed:
            raise Blocked(
                f"product {self.product}: version {self.version} was trained on other feature views "
                f"({'; '.join(changed)}); train and promote a version on the declared ones, or put the "
                f"declaration back"
            )
        built = built_views(self.stores, repository)
        return tuple(built[name, self._trained_on(name)] for name in self.view_versions)

    def _trained_on(self, name: str) -> str:
        """Code version of a view it reads; computed anew from the record, so that its form may change."""
        recorded = self.recorded_views.get(name)
        return self.view_versions[name] if recorded is None else recorded.code_version

    def score(self, rows: pa.Table) -> np.ndarray:
        """Scores, float64 in [0, 1], of rows that hold at least its inputs.

        Raises LakeError when the saved model is not the registered one, TrainingError when a row
        cannot be scored.
        """
        from platform_assets.training.estimator import score

        return score(self._model, rows.select(list(self.inputs)))

    @functools.cached_property
    def _model(self) -> Any:
        from platform_assets.training.model_artifact import load_model

        return load_model(self.stores, self.artifact_path, self.artifact_digest)
