"""Batch predictions as an asset."""

import time

import dagster as dg

from platform_assets import asset_keys, events
from platform_assets.declaration.product import Product
from platform_assets.declaration.repository import Repository
from platform_assets.product_assets import product_asset
from platform_assets.resources import PlatformResource


def predictions_asset(repository: Repository, product: Product) -> dg.AssetsDefinition:
    """Every payment of a day scored by the champion, or by the version that first scored the day."""
    source = repository.source(product.source)
    keys = [repository.entity(name).join_key for name in product.entities]
    carried = dict.fromkeys((*source.primary_key, source.event_timestamp, *keys))
    raw = asset_keys.raw_key(source.name)
    from_view = {f: view.name for view in repository.views_of(product) for f in view.feature_names}

    @product_asset(
        product,
        "predictions",
        description="Every row of a day scored by the champion; a day keeps its first result.",
        kinds={"mlflow", "parquet"},
        code_version="1",
        partitions_def=asset_keys.daily(source),
        backfill_policy=dg.BackfillPolicy.single_run(),
        deps=[
            asset_keys.product_key(product, "promotion"),
            raw,
            *(asset_keys.view_key(name) for name in product.feature_views),
        ],
        metadata={
            "dagster/column_schema": events.column_schema(
                [
                    *((n, source.column(n).type, source.column(n).description) for n in carried),
                    ("score", "float64", f"Probability of {product.label.column}"),
                ]
            ),
            "dagster/column_lineage": events.column_lineage(
                {
                    **{name: [(raw, name)] for name in carried},
                    "score": [
                        (asset_keys.view_key(from_view[name]) if name in from_view else raw, name)
                        for name in repository.input_columns(product)
                    ],
                }
            ),
        },
    )
    def predictions(context: dg.AssetExecutionContext, platform: PlatformResource) -> dg.MaterializeResult:  # type: ignore[type-arg]
        from platform_assets.serving.predictions import predict_days

        started = time.perf_counter()
        days = asset_keys.days_of(context)
        manifests = predict_days(
            platform.stores(),
            repository,
            product,
            days,
            cause=f"run {context.run.run_id}",
            run_id=context.run.run_id,
        )
        events.say(
            f"{product.name}/predictions",
            sum(m.rows for m in manifests),
            time.perf_counter() - started,
            f"{len(days)} days",
        )
        return events.range_result(context, manifests)

    return predictions
