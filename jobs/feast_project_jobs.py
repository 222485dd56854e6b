"""The job and the schedule of a Feast user's repository."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dagster as dg

from platform_assets import vocabulary
from platform_assets.declaration.feast_project import Project
from platform_assets.jobs.source_jobs import job_name

if TYPE_CHECKING:
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition


def project_job(project: Project) -> UnresolvedAssetJobDefinition:
    """All assets of the repository in one run, so that all views are online as of one moment."""
    return dg.define_asset_job(
        job_name(project.name, "materialization"),
        selection=dg.AssetSelection.groups(project.name),
        description=f"Registry, sources, views, online values, parity and training sets of {project.name}.",
        tags={vocabulary.FEAST_PROJECT_TAG: project.name},
    )


def project_schedule(project: Project, job: UnresolvedAssetJobDefinition) -> list[dg.ScheduleDefinition]:
    """When it runs; none unless declared."""
    if project.schedule is None:
        return []
    return [
        dg.ScheduleDefinition(
            name=f"{project.name}_schedule",
            job=job,
            cron_schedule=project.schedule.cron,
            execution_timezone=project.schedule.time_zone,
            description=f"Materializes {project.name}.",
        )
    ]
