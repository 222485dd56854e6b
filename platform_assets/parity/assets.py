"""The parity report of a product as an asset."""

import time

import dagster as dg

from platform_assets import asset_keys, events
from platform_assets.declaration.product import Product
from platform_assets.declaration.repository import Repository
from platform_assets.product_assets import product_asset
from platform_assets.resources import PlatformResource

PARITY_CHECK = "parity"


def parity_report_asset(repository: Repository, product: Product) -> dg.AssetsDefinition:
    """Served values against training values at the same moment."""
    key = asset_keys.product_key(product, "parity_report")
    online = [view.name for view in repository.views_of(product) if view.online]

    @product_asset(
        product,
        "parity_report",
        description="Values served at a request time against training values at the same time.",
        kinds={"feast"},
        code_version="1",
        deps=[
            *(asset_keys.online_key(name) for name in online),
            *(
                dg.AssetDep(asset_keys.view_key(name), partition_mapping=dg.AllPartitionMapping())
                for name in product.feature_views
            ),
        ],
        check_specs=[dg.AssetCheckSpec(PARITY_CHECK, asset=key, description="Served equals training.")],
    )
    def parity_report(context: dg.AssetExecutionContext, platform: PlatformResource) -> dg.MaterializeResult:  # type: ignore[type-arg]
        from platform_assets.parity.parity_report import parity_report as measure

        started = time.perf_counter()
        evidence = measure(platform.stores(), repository, product, run_id=context.run_id)
        events.say(
            f"{product.name}/parity_report",
            None,
            time.perf_counter() - started,
            f"{evidence.verdict}: {evidence.reason}",
        )
        return events.evidence_result(evidence, PARITY_CHECK, key)

    return parity_report
