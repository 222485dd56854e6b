"""The component that turns a feature repository into assets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import BaseModel

from platform_assets.components.repositories import repository, sources_built_by
from platform_assets.components.repository_scaffold import RepositoryScaffolder
from platform_assets.components.shared_assets import source_definitions
from platform_assets.declaration.declared import Declared


class FeatureRepositoryAttributes(Declared):
    """Nothing to say: everything is declared in `feature_repo/*.yaml` beside the `defs.yaml`."""


@dg.scaffold_with(RepositoryScaffolder)
class FeatureRepository(dg.Component):
    """Sources and feature views declared in `feature_repo/*.yaml`, as assets shared by all products.

    The folder lies beside the component's `defs.yaml`. Without one the component stands for what is
    shared already: the package's own sources and those of `PLATFORM_FEATURE_REPO`.
    """

    def __init__(self, folder: Path | None = None, location: Path | None = None) -> None:
        self.folder = folder
        self.location = location

    @classmethod
    def get_model_cls(cls) -> type[BaseModel]:
        return FeatureRepositoryAttributes

    @classmethod
    def load(cls, attributes: BaseModel | None, context: dg.ComponentLoadContext) -> FeatureRepository:
        return cls(Path(context.path), Path(context.defs_module_path))

    def build_defs(self, context: Any) -> dg.Definitions:
        """Raw assets, feature views and online stores of the sources that are this component's to make."""
        shared = repository(location=self.location)
        if self.folder is None or self.location is None:
            return source_definitions(shared, shared.sources)
        return source_definitions(shared, sources_built_by(self.folder, self.location))
