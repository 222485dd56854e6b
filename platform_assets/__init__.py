"""The whole life of a machine-learning model as one Dagster asset graph.

Everything a squad needs stands here by its plain name and is loaded when it is first used:
`import platform_assets` itself imports neither Dagster nor any other package.

>>> from platform_assets import Metric
>>> Metric(kind="card_precision", k=100, entity="customer").key
'card_precision_100'
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from platform_assets.components.feast_project import FeastProject
    from platform_assets.components.feature_repository import FeatureRepository
    from platform_assets.components.location import code_location
    from platform_assets.components.model_product import ModelProduct, product_definitions, read_product
    from platform_assets.declaration.compute import Compute
    from platform_assets.declaration.entity import Entity
    from platform_assets.declaration.estimator import Calibration, Estimator, Search, SearchedParameter
    from platform_assets.declaration.evaluation import Costs, Evaluation, ReviewBudget, Slice, SliceSearch
    from platform_assets.declaration.feature import Feature
    from platform_assets.declaration.feature_view import FeatureView
    from platform_assets.declaration.gate import (
        Approval,
        ContractHolds,
        FeatureEquality,
        Floor,
        NoLeakage,
        NotWorseThanChampion,
        Parity,
    )
    from platform_assets.declaration.metric import Metric
    from platform_assets.declaration.monitor import DriftMonitor, HindsightMonitor
    from platform_assets.declaration.product import Label, Product, Schedule, Split
    from platform_assets.declaration.repository import Repository, read_repository
    from platform_assets.declaration.source import Column, Source, Volume
    from platform_assets.declaration.view_parity import ViewParity
    from platform_assets.definitions import build_definitions
    from platform_assets.environments import Environment
    from platform_assets.errors import (
        Blocked,
        DeclarationError,
        LakeError,
        LeakageError,
        PlatformError,
        PromotionRefused,
        SourceError,
        TrainingError,
        UnknownName,
    )
    from platform_assets.evidence.evidence import Evidence, Verdict
    from platform_assets.home import Home
    from platform_assets.resources import PlatformResource
    from platform_assets.stores import Stores

_MODULES = {
    "components.feast_project": ("FeastProject",),
    "components.feature_repository": ("FeatureRepository",),
    "components.location": ("code_location",),
    "components.model_product": ("ModelProduct", "product_definitions", "read_product"),
    "declaration.compute": ("Compute",),
    "declaration.estimator": ("Calibration", "Estimator", "Search", "SearchedParameter"),
    "declaration.entity": ("Entity",),
    "declaration.evaluation": ("Costs", "Evaluation", "ReviewBudget", "Slice", "SliceSearch"),
    "declaration.feature": ("Feature",),
    "declaration.feature_view": ("FeatureView",),
    "declaration.gate": (
        "Approval",
        "ContractHolds",
        "FeatureEquality",
        "Floor",
        "NoLeakage",
        "NotWorseThanChampion",
        "Parity",
    ),
    "declaration.metric": ("Metric",),
    "declaration.monitor": ("DriftMonitor", "HindsightMonitor"),
    "declaration.product": ("Label", "Product", "Schedule", "Split"),
    "declaration.repository": ("Repository", "read_repository"),
    "declaration.source": ("Column", "Source", "Volume"),
    "declaration.view_parity": ("ViewParity",),
    "definitions": ("build_definitions",),
    "environments": ("Environment",),
    "errors": (
        "Blocked",
        "DeclarationError",
        "LakeError",
        "LeakageError",
        "PlatformError",
        "PromotionRefused",
        "SourceError",
        "TrainingError",
        "UnknownName",
    ),
    "evidence.evidence": ("Evidence", "Verdict"),
    "home": ("Home",),
    "resources": ("PlatformResource",),
    "stores": ("Stores",),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "Approval",
    "Blocked",
    "Calibration",
    "Column",
    "Compute",
    "ContractHolds",
    "Costs",
    "DeclarationError",
    "DriftMonitor",
    "Entity",
    "Environment",
    "Estimator",
    "Evaluation",
    "Evidence",
    "FeastProject",
    "Feature",
    "FeatureEquality",
    "FeatureRepository",
    "FeatureView",
    "Floor",
    "HindsightMonitor",
    "Home",
    "Label",
    "LakeError",
    "LeakageError",
    "Metric",
    "ModelProduct",
    "NoLeakage",
    "NotWorseThanChampion",
    "Parity",
    "PlatformError",
    "PlatformResource",
    "Product",
    "PromotionRefused",
    "Repository",
    "ReviewBudget",
    "Schedule",
    "Search",
    "SearchedParameter",
    "Slice",
    "SliceSearch",
    "Source",
    "SourceError",
    "Split",
    "Stores",
    "TrainingError",
    "UnknownName",
    "Verdict",
    "ViewParity",
    "Volume",
    "build_definitions",
    "code_location",
    "product_definitions",
    "read_product",
    "read_repository",
]


def __getattr__(name: str) -> Any:
    """Load a public name from the module that holds it; AttributeError tells the nearest one."""
    if name not in _MODULE_OF:
        from platform_assets.errors import UnknownName

        raise AttributeError(f"platform_assets: {UnknownName.among('public name', name, __all__)}")
    found = getattr(importlib.import_module(f"platform_assets.{_MODULE_OF[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
