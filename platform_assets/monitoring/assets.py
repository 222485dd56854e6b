"""The drift report as an asset."""

import time

import dagster as dg

from platform_assets import asset_keys, events
from platform_assets.declaration.product import Product
from platform_assets.declaration.repository import Repository
from platform_assets.product_assets import product_asset
from platform_assets.resources import PlatformResource

DRIFT_CHECK = "drift"


def drift_report_asset(repository: Repository, product: Product) -> dg.AssetsDefinition:
    """Inputs and scores of the newest days against the champion's training rows."""
    key = asset_keys.product_key(product, "drift_report")

    @product_asset(
        product,
        "drift_report",
        description="Population stability index of inputs and score against the champion's training rows.",
        kinds={"numpy"},
        code_version=product.drift.fingerprint(),
        deps=[
            dg.AssetDep(
                asset_keys.product_key(product, "predictions"), partition_mapping=dg.AllPartitionMapping()
            )
        ],
        check_specs=[dg.AssetCheckSpec(DRIFT_CHECK, asset=key, description="No input or score has drifted.")],
    )
    def drift_report(context: dg.AssetExecutionContext, platform: PlatformResource) -> dg.MaterializeResult:  # type: ignore[type-arg]
        from platform_assets.monitoring.drift import drift_report as measure

        started = time.perf_counter()
        evidence = measure(platform.stores(), repository, product, run_id=context.run.run_id)
        events.say(
            f"{product.name}/drift_report",
            None,
            time.perf_counter() - started,
            f"{evidence.verdict}: {evidence.reason}",
        )
        return events.evidence_result(evidence, DRIFT_CHECK, key)

    return drift_report
