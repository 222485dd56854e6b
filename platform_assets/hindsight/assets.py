"""The hindsight report of a product as an asset."""

import time

import dagster as dg

from platform_assets import asset_keys, events
from platform_assets.declaration.product import Product
from platform_assets.declaration.repository import Repository
from platform_assets.product_assets import product_asset
from platform_assets.resources import PlatformResource

HINDSIGHT_CHECK = "hindsight"


def hindsight_report_asset(repository: Repository, product: Product) -> dg.AssetsDefinition:
    """The newest training set as known now against the same as known then."""
    key = asset_keys.product_key(product, "hindsight_report")

    @product_asset(
        product,
        "hindsight_report",
        description="What the training set knows that nobody knew at the time, and what that adds.",
        kinds={"duckdb"},
        code_version=product.hindsight.fingerprint(),
        deps=[asset_keys.product_key(product, noun) for noun in ("training_set", "training_run")],
        check_specs=[
            dg.AssetCheckSpec(
                HINDSIGHT_CHECK,
                asset=key,
                description="Late and corrected raw rows add no more than declared.",
            )
        ],
    )
    def hindsight_report(
        context: dg.AssetExecutionContext, platform: PlatformResource
    ) -> dg.MaterializeResult:  # type: ignore[type-arg]
        from platform_assets.hindsight.hindsight_report import hindsight_report as measure
        from platform_assets.training.present_split import present

        started = time.perf_counter()
        stores = platform.stores()
        evidence = measure(
            stores,
            repository,
            product,
            present(stores, product, "training_set"),
            present(stores, product, "training_run"),
            run_id=context.run.run_id,
        )
        events.say(
            f"{product.name}/hindsight_report",
            None,
            time.perf_counter() - started,
            f"{evidence.verdict}: {evidence.reason}",
        )
        made = events.evidence_result(evidence, HINDSIGHT_CHECK, key)
        metrics = events.table(evidence.measured.get("metrics", []))
        return dg.MaterializeResult(
            metadata={**(made.metadata or {}), "metrics": metrics}, check_results=made.check_results
        )

    return hindsight_report
