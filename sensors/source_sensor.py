"""The sensor that notices new and changed days of a source and asks for what they reach."""

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

import dagster as dg

from platform_assets.automation.plan import next_requests
from platform_assets.declaration.repository import Repository
from platform_assets.declaration.source import Source
from platform_assets.environments import environment
from platform_assets.jobs.run_requests import default_status, run_requests, tick_seconds, why_nothing
from platform_assets.resources import PlatformResource
from platform_assets.sensors.cut_off_runs import record_cut_off

if TYPE_CHECKING:
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

COOLDOWN = timedelta(hours=1)


def source_sensor(
    repository: Repository, source: Source, jobs: "Sequence[UnresolvedAssetJobDefinition]"
) -> dg.SensorDefinition:
    """Raw days by content, then feature days by reach, then the online stores; one stage a tick."""

    @dg.sensor(
        name=f"{source.name}_source",
        jobs=list(jobs),
        minimum_interval_seconds=tick_seconds(),
        default_status=default_status(),
        description=f"New and changed days of {source.name}, and every feature day they reach.",
    )
    def watch_source(context: dg.SensorEvaluationContext, platform: PlatformResource) -> dg.SensorResult:
        from platform_assets.automation.reconcile import tables_of_source
        from platform_assets.automation.source_observation import SOURCE_STAGES, observe_source

        stores = platform.stores()
        views = [view for view in repository.feature_views.values() if view.source == source.name]
        recorded = record_cut_off(context, stores, tables_of_source(source.name, views))
        seen = observe_source(stores, repository, source, environment().source_variables(source.name))
        requests = next_requests(seen.work, SOURCE_STAGES)
        made, waits = run_requests(context.instance, source.name, requests, COOLDOWN)
        reason = None if made else "; ".join([*recorded, why_nothing(seen.work, waits)])
        return dg.SensorResult(run_requests=made, skip_reason=reason)

    return watch_source
