"""Assets of sources and feature views: shared by every product that names them."""

from __future__ import annotations

from collections.abc import Iterable

import dagster as dg

from platform_assets.components.code_references import declared_in
from platform_assets.declaration.repository import Repository
from platform_assets.features.assets import feature_view_asset
from platform_assets.jobs.source_jobs import source_jobs
from platform_assets.online.assets import online_asset
from platform_assets.parity.assets import view_parity_asset
from platform_assets.raw.assets import raw_asset
from platform_assets.sensors.source_sensor import source_sensor


def source_definitions(repository: Repository, sources: Iterable[str]) -> dg.Definitions:
    """Raw asset, feature views, online stores with their parity, jobs and sensor of each source."""
    assets: list[dg.AssetsDefinition] = []
    jobs, sensors = [], []
    for name in sources:
        source = repository.source(name)
        views = [view for view in repository.feature_views.values() if view.source == name]
        assets += _linked(repository, "sources", name, raw_asset(repository, source))
        for view in views:
            of_view = [feature_view_asset(repository, view)]
            if view.online:
                of_view += [online_asset(repository, view), view_parity_asset(repository, view)]
            assets += _linked(repository, "feature_views", view.name, *of_view)
        made = source_jobs(source, views)
        jobs += made
        sensors.append(source_sensor(repository, source, made))
    return dg.Definitions(assets=assets, jobs=jobs, sensors=sensors)


def _linked(
    repository: Repository, kind: str, name: str, *assets: dg.AssetsDefinition
) -> list[dg.AssetsDefinition]:
    """Assets with the link to their declaration; one made in Python has none."""
    place = repository.places.get((kind, name))
    return [declared_in(asset, *place) for asset in assets] if place else list(assets)
