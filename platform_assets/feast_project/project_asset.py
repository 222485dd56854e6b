"""What every asset of a Feast user's repository shares: key, owners, group, tags, compute."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from platform_assets import asset_keys, events, vocabulary
from platform_assets.declaration.feast_project import Project
from platform_assets.feast_project.snapshot import Snapshot
from platform_assets.resources import PlatformResource
from platform_assets.step_failure import failing_plainly

if TYPE_CHECKING:
    from platform_assets.feast_project.open_project import OpenProject

Measure = Callable[[dg.AssetExecutionContext, PlatformResource], dg.MaterializeResult]  # type: ignore[type-arg]


class ProjectAssets:
    """The assets of one repository, each with what the declaration says about all of them."""

    def __init__(self, project: Project, repo: Path, snapshot: Snapshot) -> None:
        self.project = project
        self.repo = repo
        self.snapshot = snapshot

    def key(self, noun: str, name: str = "") -> dg.AssetKey:
        """The key of one part."""
        return asset_keys.feast_key(self.project.name, noun, name)

    def asset(
        self,
        key: dg.AssetKey,
        measure: Measure,
        *,
        description: str,
        kinds: set[str],
        code_version: str,
        deps: list[Any],
        checks: dict[str, str] | None = None,
        metadata: dict[str, Any] | None = None,
        owner: str = "",
    ) -> dg.AssetsDefinition:
        """One asset; `checks` are names with what they say."""
        owners = [
            *self.project.owners,
            *([owner] if "@" in owner and owner not in self.project.owners else []),
        ]

        @dg.asset(
            key=key,
            description=description,
            owners=owners,
            group_name=self.project.name,
            kinds=kinds,
            code_version=code_version,
            deps=deps,
            check_specs=[
                dg.AssetCheckSpec(name, asset=key, description=text) for name, text in (checks or {}).items()
            ],
            metadata=metadata,
            tags={vocabulary.FEAST_PROJECT_TAG: self.project.name},
            op_tags={vocabulary.K8S_CONFIG: self.project.compute.k8s_config()},
        )
        @failing_plainly
        def of_feast(context: dg.AssetExecutionContext, platform: PlatformResource) -> dg.MaterializeResult:  # type: ignore[type-arg]
            started = time.perf_counter()
            result = measure(context, platform)
            rows = (result.metadata or {}).get(vocabulary.ROWS)
            events.say(
                key.to_user_string(), rows if isinstance(rows, int) else None, time.perf_counter() - started
            )
            return result

        return of_feast

    def opened(self, platform: PlatformResource) -> "OpenProject":
        """The user's store, opened for one run."""
        from platform_assets.feast_project.open_project import open_project

        return open_project(platform.stores(), self.project, self.repo, self.snapshot)
