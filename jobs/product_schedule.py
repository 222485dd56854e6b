"""The daily look at a product's chain, whatever sensors did in between."""

import dagster as dg

from platform_assets import vocabulary
from platform_assets.declaration.product import Product
from platform_assets.declaration.repository import Repository
from platform_assets.jobs.due_requests import due
from platform_assets.jobs.product_jobs import Jobs
from platform_assets.jobs.source_jobs import job_name
from platform_assets.resources import PlatformResource


def daily_schedule(repository: Repository, product: Product, jobs: Jobs) -> dg.ScheduleDefinition:
    """Retrains and decides when training or promotion is due; a day on which nothing is due says so."""
    daily_job = next(job for job in jobs if job.name == job_name(product.name, "daily"))

    @dg.schedule(
        name=f"{product.name}_daily",
        job=daily_job,
        cron_schedule=product.schedule.cron,
        execution_timezone=product.schedule.time_zone,
        description=f"Trains {product.name} on the newest days and decides on the version, when that is due.",
    )
    def daily(context: dg.ScheduleEvaluationContext, platform: PlatformResource):  # type: ignore[no-untyped-def]
        made, reason = due(context, platform, repository, product, ("training", "promotion"))
        if not made:
            return dg.SkipReason(reason)
        return dg.RunRequest(run_key=made[0].run_key, tags={vocabulary.STAGE_TAG: "daily"})

    return daily
