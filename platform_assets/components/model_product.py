"""The component that turns a product's declaration into its assets, jobs, sensors and schedule."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import BaseModel

from platform_assets.components.code_references import declared_in
from platform_assets.components.product_scaffold import ProductScaffolder
from platform_assets.components.repositories import location_of, product_folders, repository
from platform_assets.components.shared_assets import source_definitions
from platform_assets.declaration.json_schema import PRODUCT_COMPONENT
from platform_assets.declaration.product import Product
from platform_assets.declaration.repository import Repository
from platform_assets.declaration.yaml_reader import located, read_yaml
from platform_assets.environments import environment
from platform_assets.errors import DeclarationError
from platform_assets.evaluation.assets import evaluation_report_asset
from platform_assets.hindsight.assets import hindsight_report_asset
from platform_assets.jobs.product_jobs import product_jobs
from platform_assets.jobs.product_schedule import daily_schedule
from platform_assets.monitoring.assets import drift_report_asset
from platform_assets.parity.assets import parity_report_asset
from platform_assets.registry.assets import promotion_asset, registered_model_asset
from platform_assets.sensors.product_sensors import product_sensors
from platform_assets.serving.assets import predictions_asset
from platform_assets.training.assets import training_run_asset, training_set_asset

PACKAGED_DEFS = Path(__file__).resolve().parent.parent / "defs"


@dg.scaffold_with(ProductScaffolder)
class ModelProduct(dg.Component):
    """A model product: everything from its training set to its drift report."""

    def __init__(self, product: Product, file: Path | None, location: Path | None = None) -> None:
        self.product = product
        self.file = file
        self.location = location

    @classmethod
    def get_model_cls(cls) -> type[BaseModel]:
        return Product

    @classmethod
    def load(cls, attributes: BaseModel | None, context: dg.ComponentLoadContext) -> ModelProduct:
        if not isinstance(attributes, Product):
            raise DeclarationError(f"{context.path}: expected a product under `attributes`")
        return cls(attributes, Path(context.path) / "defs.yaml", Path(context.defs_module_path))

    def build_defs(self, context: Any) -> dg.Definitions:
        """The product's definitions; a packaged one gives way to the same product given from outside."""
        outside = {read_product(path).name for path in environment().products}
        if self.product.name in outside and self.location == PACKAGED_DEFS:
            return dg.Definitions()
        return product_definitions(self.product, self.file, self.location)


def read_product(path: Path) -> Product:
    """A product from a `defs.yaml`; DeclarationError with file and line of every mistake."""
    return read_yaml(path, Product, inside="attributes", component=PRODUCT_COMPONENT)


def product_repository(product: Product, file: Path | None, location: Path | None = None) -> Repository:
    """What a product may name, every name checked; errors carry the declaring file.

    `location` is the folder of components it belongs to; by default the nearest `defs` above the file.
    """
    if file is None:
        declared = repository(location=location)
    else:
        declared = repository(*product_folders(file), location=location or location_of(file))
    try:
        declared.check_product(product)
    except DeclarationError as error:
        if file is None:
            raise type(error)(f"{product.name}: {error}") from None
        raise located(error, file, "attributes") from None
    return declared


def product_definitions(
    product: Product, file: Path | None = None, location: Path | None = None
) -> dg.Definitions:
    """Everything that follows from a product's declaration, whether it came from YAML or Python.

    Sources that nothing else in the `location` makes come along.
    """
    declared = product_repository(product, file, location)
    assets = [
        training_set_asset(declared, product),
        training_run_asset(declared, product),
        evaluation_report_asset(declared, product),
        hindsight_report_asset(declared, product),
        registered_model_asset(declared, product),
        parity_report_asset(declared, product),
        promotion_asset(declared, product),
        predictions_asset(declared, product),
        drift_report_asset(declared, product),
    ]
    if file is not None and location is None:
        # below a `defs` folder Dagster links the component's file itself
        assets = [declared_in(asset, file, 1) for asset in assets]
    jobs = product_jobs(declared, product)
    own = dg.Definitions(
        assets=assets,
        jobs=jobs,
        sensors=product_sensors(declared, product, jobs),
        schedules=[daily_schedule(declared, product, jobs)],
    )
    shared = repository(location=location).sources
    missing = [name for name in declared.sources if name not in shared]
    return dg.Definitions.merge(own, source_definitions(declared, missing)) if missing else own
