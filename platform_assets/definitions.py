"""The one code location: packaged products, and those named by `PLATFORM_PRODUCT` or `make run`."""

from __future__ import annotations

import functools

import dagster as dg

import platform_assets.defs
from platform_assets.components.location import folder_definitions, in_environment
from platform_assets.components.model_product import product_definitions, read_product
from platform_assets.environments import environment

__all__ = ["build_definitions", "defs", "in_environment", "packaged"]


@functools.cache
def packaged() -> dg.Definitions:
    """Definitions of every folder below `platform_assets/defs`."""
    return folder_definitions(platform_assets.defs)


def build_definitions() -> dg.Definitions:
    """All definitions with the environment's resources and executor."""
    present = environment()
    outside = [product_definitions(read_product(path), path) for path in present.products]
    return in_environment(present, packaged(), *outside)


defs = build_definitions()
