"""The one code location: packaged products, and those named by `PLATFORM_PRODUCT` or `make run`."""

from __future__ import annotations

import functools
from pathlib import Path

import dagster as dg

import platform_assets.defs
from platform_assets.components.model_product import product_definitions, read_product
from platform_assets.environments import Environment, environment
from platform_assets.resources import PlatformResource


@functools.cache
def packaged() -> dg.Definitions:
    """Definitions of every folder below `platform_assets/defs`."""
    root = Path(platform_assets.defs.__file__).resolve().parent
    return dg.ComponentTree.from_module(platform_assets.defs, root.parents[1]).build_defs()


def build_definitions() -> dg.Definitions:
    """All definitions with the environment's resources and executor."""
    present = environment()
    outside = [product_definitions(read_product(path), path) for path in present.products]
    return in_environment(present, packaged(), *outside)


def in_environment(present: Environment, *parts: dg.Definitions) -> dg.Definitions:
    """Definitions with an environment's resources and executor."""
    executor: dg.ExecutorDefinition = dg.in_process_executor
    if present.name == "production":
        from dagster_k8s import k8s_job_executor

        executor = k8s_job_executor
    return dg.Definitions.merge(
        *parts,
        dg.Definitions(resources={"platform": PlatformResource()}, executor=executor),
    )


defs = build_definitions()
