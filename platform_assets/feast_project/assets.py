"""A Feast user's repository as assets: registry, sources, views, online values, parity, training sets."""

from pathlib import Path

import dagster as dg

from platform_assets.declaration.feast_project import Project
from platform_assets.feast_project.project_asset import ProjectAssets
from platform_assets.feast_project.snapshot import Snapshot, View
from platform_assets.feast_project.source_assets import registry_asset, source_asset
from platform_assets.feast_project.training_assets import served_asset, training_set_asset
from platform_assets.feast_project.training_set import views_read
from platform_assets.feast_project.view_assets import online_asset, parity_asset, view_asset


def project_assets(
    project: Project, repo: Path, snapshot: Snapshot, views: list[View]
) -> list[dg.AssetsDefinition]:
    """Every asset of these views and of the declared training sets."""
    assets = ProjectAssets(project, repo, snapshot)
    sources = list(dict.fromkeys(view.source for view in views))
    online = [view for view in views if view.online]
    return [
        registry_asset(assets),
        *(source_asset(assets, snapshot.source(name)) for name in sources),
        *(view_asset(assets, view) for view in views),
        *(online_asset(assets, view) for view in online),
        *(parity_asset(assets, view) for view in online),
        *(training_set_asset(assets, declared) for declared in project.training_sets),
        *(
            served_asset(assets, declared)
            for declared in project.training_sets
            if all(view in online for view in views_read(snapshot, declared))
        ),
    ]
