"""The component that turns a product's declaration into its assets, jobs, sensors and schedule."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import BaseModel

from platform_assets.components.repositories import product_folders, repository
from platform_assets.components.shared_assets import source_definitions
from platform_assets.declaration.json_schema import PRODUCT_COMPONENT
from platform_assets.declaration.product import Product
from platform_assets.declaration.repository import Repository
from platform_assets.declaration.yaml_reader import located, read_yaml
from platform_assets.environments import environment
from platform_assets.errors import DeclarationError
from platform_assets.evaluation.assets import evaluation_report_asset
from platform_assets.jobs.product_jobs import product_jobs
from platform_assets.jobs.product_schedule import daily_schedule
from platform_assets.monitoring.assets import drift_report_asset
from platform_assets.registry.assets import parity_report_asset, promotion_asset, registered_model_asset
from platform_assets.sensors.product_sensors import product_sensors
from platform_assets.serving.assets import predictions_asset
from platform_assets.training.assets import training_run_asset, training_set_asset


class ModelProduct(dg.Component):
    """A model product: everything from its training set to its drift report."""

    def __init__(self, product: Product, file: Path | None) -> None:
        self.product = product
        self.file = file

    @classmethod
    def get_model_cls(cls) -> type[BaseModel]:
        return Product

    @classmethod
    def load(cls, attributes: BaseModel | None, context: dg.ComponentLoadContext) -> ModelProduct:
        if not isinstance(attributes, Product):
            raise DeclarationError(f"{context.path}: expected a product under `attributes`")
        return cls(attributes, Path(context.path) / "defs.yaml")

    def build_defs(self, context: Any) -> dg.Definitions:
        """The product's definitions; none when a file given from outside declares the same product."""
        outside = {read_product(path).name for path in environment().products}
        if self.product.name in outside:
            return dg.Definitions()
        return product_definitions(self.product, self.file)


def read_product(path: Path) -> Product:
    """A product from a `defs.yaml`; DeclarationError with file and line of every mistake."""
    return read_yaml(path, Product, inside="attributes", component=PRODUCT_COMPONENT)


def product_repository(product: Product, file: Path | None) -> Repository:
    """What a product may name, every name checked; errors carry the declaring file."""
    declared = repository(*(product_folders(file) if file else ()))
    try:
        declared.check_product(product)
    except DeclarationError as error:
        if file is None:
            raise type(error)(f"{product.name}: {error}") from None
        raise located(error, file, "attributes") from None
    return declared


def product_definitions(product: Product, file: Path | None = None) -> dg.Definitions:
    """Everything that follows from a product's declaration, whether it came from YAML or Python."""
    declared = product_repository(product, file)
    assets = [
        training_set_asset(declared, product),
        training_run_asset(declared, product),
        evaluation_report_asset(declared, product),
        registered_model_asset(declared, product),
        parity_report_asset(declared, product),
        promotion_asset(declared, product),
        predictions_asset(declared, product),
        drift_report_asset(declared, product),
    ]
    jobs = product_jobs(declared, product)
    own = dg.Definitions(
        assets=assets,
        jobs=jobs,
        sensors=product_sensors(declared, product, jobs),
        schedules=[daily_schedule(declared, product, jobs)],
    )
    shared = repository().sources
    missing = [name for name in declared.sources if name not in shared]
    return dg.Definitions.merge(own, source_definitions(declared, missing)) if missing else own
