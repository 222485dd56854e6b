"""The component that turns a feature repository into assets."""

from __future__ import annotations

from typing import Any

import dagster as dg
from pydantic import BaseModel

from platform_assets.components.repositories import repository
from platform_assets.components.shared_assets import source_definitions
from platform_assets.declaration.declared import Declared


class FeatureRepositoryAttributes(Declared):
    """Nothing to say: folders come from the package and from `PLATFORM_FEATURE_REPO`."""


class FeatureRepository(dg.Component):
    """Sources and feature views declared in `feature_repo/*.yaml`, as assets shared by all products."""

    @classmethod
    def get_model_cls(cls) -> type[BaseModel]:
        return FeatureRepositoryAttributes

    @classmethod
    def load(cls, attributes: BaseModel | None, context: dg.ComponentLoadContext) -> FeatureRepository:
        return cls()

    def build_defs(self, context: Any) -> dg.Definitions:
        """Raw assets, feature views and online stores of every shared source."""
        shared = repository()
        return source_definitions(shared, shared.sources)
