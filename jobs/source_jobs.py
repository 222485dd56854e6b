"""Jobs of a source: raw days, feature days, online stores with their parity."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import dagster as dg

from platform_assets import asset_keys, vocabulary
from platform_assets.declaration.feature_view import FeatureView
from platform_assets.declaration.source import Source

if TYPE_CHECKING:
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition


def job_name(owner: str, stage: str) -> str:
    """Name of the job that runs one stage of a source or product."""
    return f"{owner}_{stage}"


def source_jobs(source: Source, views: Iterable[FeatureView]) -> list[UnresolvedAssetJobDefinition]:
    """One job a stage."""
    declared = list(views)
    selections = {
        "raw": [asset_keys.raw_key(source.name)],
        "features": [asset_keys.view_key(view.name) for view in declared],
        "online": [
            key
            for view in declared
            if view.online
            for key in (asset_keys.online_key(view.name), asset_keys.view_parity_key(view.name))
        ],
    }
    return [
        dg.define_asset_job(
            job_name(source.name, stage),
            selection=dg.AssetSelection.assets(*keys),
            description=f"{stage} of {source.name}",
            tags={vocabulary.SOURCE_TAG: source.name, vocabulary.STAGE_TAG: stage},
        )
        for stage, keys in selections.items()
        if keys
    ]
