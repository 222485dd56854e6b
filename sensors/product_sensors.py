"""Sensors of a product: the chain, and the promotion of a new version."""

import dagster as dg

from platform_assets.declaration.product import Product
from platform_assets.declaration.repository import Repository
from platform_assets.jobs.due_requests import due
from platform_assets.jobs.product_jobs import Jobs
from platform_assets.jobs.run_requests import default_status, tick_seconds
from platform_assets.jobs.source_jobs import job_name
from platform_assets.resources import PlatformResource
from platform_assets.sensors.cut_off_runs import record_cut_off


def product_sensors(repository: Repository, product: Product, jobs: Jobs) -> list[dg.SensorDefinition]:
    """One for training, predictions and monitoring; one that runs the gates for a new version."""
    return [
        _sensor(repository, product, jobs, "chain", ("training", "predictions", "monitoring")),
        _sensor(repository, product, jobs, "promotion", ("promotion",)),
    ]


def _sensor(
    repository: Repository, product: Product, jobs: Jobs, name: str, stages: tuple[str, ...]
) -> dg.SensorDefinition:
    names = {job_name(product.name, stage) for stage in stages}

    @dg.sensor(
        name=f"{product.name}_{name}",
        jobs=[job for job in jobs if job.name in names],
        minimum_interval_seconds=tick_seconds(),
        default_status=default_status(),
        description=f"{', '.join(stages)} of {product.name}, when something they are made from changed.",
    )
    def watch_product(context: dg.SensorEvaluationContext, platform: PlatformResource) -> dg.SensorResult:
        from platform_assets.automation.reconcile import tables_of_product

        tables = tables_of_product(product) if "predictions" in stages else {}
        recorded = record_cut_off(context, platform.stores(), tables)
        made, reason = due(context, platform, repository, product, stages)
        return dg.SensorResult(
            run_requests=made, skip_reason=None if made else "; ".join([*recorded, reason])
        )

    return watch_product
