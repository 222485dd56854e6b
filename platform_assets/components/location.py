"""A code location: what a defs folder declares, with the environment's resources and executor."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import dagster as dg

from platform_assets.environments import Environment, environment
from platform_assets.errors import DeclarationError
from platform_assets.resources import PlatformResource


def code_location(defs: ModuleType, *more: dg.Definitions) -> dg.Definitions:
    """Everything below a squad's `defs` package, and `more`, ready to be loaded by Dagster.

    In the squad's `definitions.py`:

        import platform_assets
        import my_squad.defs

        defs = platform_assets.code_location(my_squad.defs)
    """
    return in_environment(environment(), folder_definitions(defs), *more)


def folder_definitions(defs: ModuleType) -> dg.Definitions:
    """Definitions of every folder below a `defs` package, without resources.

    Unlike Dagster's `load_from_defs_folder` it needs no pyproject.toml, so it works from a wheel.
    """
    folders = [Path(folder).resolve() for folder in getattr(defs, "__path__", ())]
    if not folders:
        raise DeclarationError(
            f"code_location: {defs.__name__} is not a package; give it the folder of components, "
            f"such as my_squad.defs"
        )
    return dg.ComponentTree.from_module(defs, folders[0].parents[1]).build_defs()


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
