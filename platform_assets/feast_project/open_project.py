"""A Feast user's store as it is configured, opened for one asset, with its registry looked at first."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from platform_assets.declaration.feast_project import Project
from platform_assets.errors import Blocked
from platform_assets.feast_project.feast_definitions import registered, snapshot_of
from platform_assets.feast_project.feast_errors import store_told
from platform_assets.feast_project.registry_file import check_registry_file, registry_path
from platform_assets.feast_project.repo_files import read_configuration
from platform_assets.feast_project.snapshot import Snapshot, View
from platform_assets.lake.atomic_files import exclusive_lock
from platform_assets.stores import Stores
from platform_assets.vocabulary import plain_name

if TYPE_CHECKING:
    from feast import FeatureStore

AS_OF_STORE = "platform_assets.offline_store.as_of.AsOfOfflineStore"
FILE_STORES = ("file", "dask", "duckdb")
"""Feast's stores of Parquet files: slow, and they lose or repeat rows."""


@dataclass(frozen=True)
class OpenProject:
    """What every part of a project works with: stores of ours, and Feast's."""

    project: Project
    repo: Path
    snapshot: Snapshot
    stores: Stores
    feast: FeatureStore

    @property
    def name(self) -> str:
        return self.project.name

    def asset(self, noun: str, name: str) -> str:
        """One of this repository's assets as an error names it."""
        return f"{self.name}/{noun}_{plain_name(name)}"

    @property
    def views(self) -> list[View]:
        """The views that are assets."""
        return self.snapshot.chosen(self.project.feature_views)

    @property
    def online_store(self) -> str:
        """The online store as an error names it."""
        return f"online store {self.feast.config.online_store.type} of {self.repo / 'feature_store.yaml'}"

    @property
    def offline_store(self) -> str:
        """The offline store as an error names it."""
        return f"offline store {self.feast.config.offline_store.type} of {self.repo / 'feature_store.yaml'}"

    def feast_view(self, name: str) -> Any:
        """Feast's own object of a view: a feature view or a stream feature view."""
        return self.feast.registry.get_any_feature_view(name, self.feast.project)

    def registered(self) -> Snapshot:
        """What the registry holds, as a snapshot."""
        with store_told(f"registry of {self.repo}", "see that it can be reached, then run again"):
            found = registered(self.feast)
        return snapshot_of(
            found, self.feast.config, digest=self.snapshot.digest, made_from=self.snapshot.made_from
        )

    def check_registered(self, *views: View) -> None:
        """Blocked unless the registry holds these views as the repository declares them."""
        known = {view.name: view for view in self.registered().views}
        for view in views:
            found = known.get(view.name)
            if found is None or found.version != view.version:
                what = "is not in" if found is None else "is another one in"
                raise Blocked(
                    f"feature view {view.name!r} {what} the registry of {self.repo}; materialize "
                    f"{self.name}/registry first"
                )

    @contextmanager
    def registry_lock(self) -> Iterator[None]:
        """One writer of the registry at a time: a registry in a file loses writes of two."""
        with exclusive_lock(self.stores.home.locks / f"feast_registry_{self.name}"):
            self.feast.refresh_registry()
            yield


def open_project(stores: Stores, project: Project, repo: Path, snapshot: Snapshot) -> OpenProject:
    """Open the store that the repository's `feature_store.yaml` describes.

    Raises DeclarationError for settings or a registry file that cannot be read, Blocked when nothing
    was applied yet.
    """
    config = read_configuration(repo)
    check_registry_file(config)
    path = registry_path(config)
    if path is not None and not path.exists():
        raise Blocked(f"{path}: there is no registry yet; materialize {project.name}/registry first")
    if hasattr(config.online_store, "skip_dedup"):
        # without it Redis keeps the old values of a corrected row with the same event timestamp
        config.online_store.skip_dedup = True
    if project.offline_store == "as_of" and str(config.offline_store.type) in FILE_STORES:
        config.offline_config, config._offline_store = {"type": AS_OF_STORE}, None
    import feast

    with store_told(f"Feast store of {repo}", "see that it can be reached, then run again"):
        opened = feast.FeatureStore(repo_path=str(repo), config=config)
        opened.refresh_registry()
    return OpenProject(project, repo, snapshot, stores, opened)


def moment_of(text: str) -> datetime:
    """A moment as the lake writes it: ISO 8601 with a zone, in UTC."""
    return datetime.fromisoformat(text).astimezone(UTC)
