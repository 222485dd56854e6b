"""What runs that were cut off built and never told, told by the sensor that looks next."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import dagster as dg

from platform_assets.jobs.run_requests import runs_under_way

if TYPE_CHECKING:
    from platform_assets.stores import Stores


def record_cut_off(
    context: dg.SensorEvaluationContext, stores: Stores, tables: Mapping[dg.AssetKey, str]
) -> list[str]:
    """Record the days of these assets that the lake holds and Dagster does not know; what was recorded.

    A terminated or killed run leaves days without an event. Nothing is open then, so no run would ever tell.
    """
    from platform_assets.automation.reconcile import reconcile

    under_way = runs_under_way(context.instance)
    idle = {key: table for key, table in tables.items() if key.to_python_identifier() not in under_way}
    recorded = reconcile(context.instance, stores, idle)
    for told in recorded:
        context.log.info(told)
    return recorded
