"""What of a product is due now, as run requests: for its sensors and its schedule."""

from __future__ import annotations

from collections.abc import Sequence

import dagster as dg

from platform_assets.automation.plan import next_requests
from platform_assets.declaration.product import Product
from platform_assets.declaration.repository import Repository
from platform_assets.environments import environment
from platform_assets.jobs.run_requests import run_requests, why_nothing
from platform_assets.resources import PlatformResource


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
    from platform_assets.automation.product_observation import PRODUCT_STAGES, observe_product
    from platform_assets.automation.source_observation import observe_source

    stores = platform.stores()
    source = repository.source(product.source)
    upstream = observe_source(stores, repository, source, environment().source_variables(source.name))
    if upstream.waits:
        return [], f"waiting for source {source.name}: it has days, features or online stores to build"
    work = observe_product(stores, repository, product)
    requests = [r for r in next_requests(work, PRODUCT_STAGES) if r.stage in stages]
    made, waits = run_requests(context.instance, product.name, requests, product.schedule.cooldown)
    return made, "" if made else why_nothing(work, waits)
