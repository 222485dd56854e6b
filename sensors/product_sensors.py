"""Sensors of a product: the chain, and the promotion of a new version."""

from collections.abc import Sequence

import dagster as dg

from platform_assets.automation.plan import next_requests
from platform_assets.declaration.product import Product
from platform_assets.declaration.repository import Repository
from platform_assets.environments import environment
from platform_assets.jobs.product_jobs import Jobs
from platform_assets.jobs.source_jobs import job_name
from platform_assets.resources import PlatformResource
from platform_assets.sensors.requests import default_status, run_requests, tick_seconds, why_nothing


def product_sensors(repository: Repository, product: Product, jobs: Jobs) -> list[dg.SensorDefinition]:
    """One for training, predictions and monitoring; one that runs the gates for a new version."""
    return [
        _sensor(repository, product, jobs, "chain", ("training", "predictions", "monitoring")),
        _sensor(repository, product, jobs, "promotion", ("promotion",)),
    ]


def due(
    context: dg.SensorEvaluationContext | dg.ScheduleEvaluationContext,
    platform: PlatformResource,
    repository: Repository,
    product: Product,
    stages: Sequence[str],
) -> tuple[list[dg.RunRequest], str]:
    """Run requests that are due in these stages, and a reason when there are none.

    A product waits while its source has days or features to build.
    """
    from platform_assets.automation.observation import PRODUCT_STAGES, observe_product, observe_source

    stores = platform.stores()
    source = repository.source(product.source)
    upstream = observe_source(stores, repository, source, environment().source_variables(source.name))
    if upstream.waits:
        return [], f"waiting for source {source.name}: it has days, features or online stores to build"
    work = observe_product(stores, repository, product)
    requests = [r for r in next_requests(work, PRODUCT_STAGES) if r.stage in stages]
    made = run_requests(context.instance, product.name, requests, product.schedule.cooldown)
    return made, "" if made else why_nothing(work, waiting=bool(requests))


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
        made, reason = due(context, platform, repository, product, stages)
        return dg.SensorResult(run_requests=made, skip_reason=reason or None)

    return watch_product
