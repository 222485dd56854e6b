"""The registry brought to what the repository declares, as `feast apply` does, and back to what is online."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from platform_assets.declaration.feast_project import Project
from platform_assets.errors import Blocked
from platform_assets.feast_project.online_state import reconcile_registry
from platform_assets.feast_project.open_project import open_project
from platform_assets.feast_project.snapshot import Snapshot
from platform_assets.feast_project.snapshot_cache import fresh_snapshot, make_snapshot
from platform_assets.lake.atomic_files import exclusive_lock
from platform_assets.stores import Stores


@dataclass(frozen=True)
class RegistryState:
    """What is registered now; `healed` are views whose online state the registry had forgotten."""

    snapshot: Snapshot
    differs: list[dict[str, str]]
    healed: list[str]


def update_registry(stores: Stores, project: Project, repo: Path, loaded: Snapshot) -> RegistryState:
    """Apply the repository's definitions (unless `apply: false`) and tell what still differs.

    Raises DeclarationError when the repository or its registry cannot be read, Blocked when the
    repository is no longer the one that the code location was loaded with.
    """
    if project.apply and loaded.made_from == "repo":
        with exclusive_lock(stores.home.locks / f"feast_registry_{project.name}"):
            present = make_snapshot(stores.home, project.name, repo, apply=True)
    else:
        present = fresh_snapshot(stores.home, project.name, repo)
    if present.definitions_digest != loaded.definitions_digest:
        raise Blocked(
            f"{repo}: changed since this code location was loaded; reload it, so that the graph shows what "
            f"the repository declares now, and run again"
        )
    opened = open_project(stores, project, repo, present)
    differs = differences(present, opened.registered())
    known = {row["name"] for row in differs}
    healed = reconcile_registry(opened, [view for view in present.views if view.name not in known])
    return RegistryState(present, differs, healed)


def differences(wanted: Snapshot, found: Snapshot) -> list[dict[str, str]]:
    """What the registry does not hold as it is declared; what it holds besides is not looked at."""
    told = []
    for kind, declared, registered in (
        ("feature view", wanted.views, found.views),
        ("on-demand view", wanted.on_demand_views, found.on_demand_views),
        ("feature service", wanted.services, found.services),
    ):
        known: dict[str, Any] = {item.name: item for item in registered}
        for item in declared:
            if item.name not in known:
                told.append({"kind": kind, "name": item.name, "what": "not registered"})
            elif _plain(item) != _plain(known[item.name]):
                told.append({"kind": kind, "name": item.name, "what": "registered otherwise"})
    return told


def _plain(item: Any) -> Any:
    return getattr(item, "version", None) or item
