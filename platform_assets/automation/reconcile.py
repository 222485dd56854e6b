"""What a kill between a manifest and its event left untold is told now."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from platform_assets import asset_keys, vocabulary
from platform_assets.declaration.feature_view import FeatureView
from platform_assets.declaration.product import Product
from platform_assets.stores import Stores

if TYPE_CHECKING:
    import dagster as dg


def tables_of_source(source: str, views: Iterable[FeatureView]) -> dict[dg.AssetKey, str]:
    """Assets by the day of a source, with the table of each."""
    return {asset_keys.raw_key(source): vocabulary.raw_table(source)} | {
        asset_keys.view_key(view.name): vocabulary.feature_table(view.lake_name) for view in views
    }


def tables_of_product(product: Product) -> dict[dg.AssetKey, str]:
    """Assets by the day of a product, with the table of each."""
    noun = "predictions"
    return {asset_keys.product_key(product, noun): vocabulary.product_table(product.name, noun)}


def reconcile(instance: dg.DagsterInstance, stores: Stores, tables: Mapping[dg.AssetKey, str]) -> list[str]:
    """Record an event for every daily partition that the lake holds and the event log does not know.

    Returns what was recorded, in words. Leave out what a run is building: its events come at its end.
    """
    import dagster as dg

    recorded = []
    for key, name in tables.items():
        table = stores.lake.table(name)
        held = table.partitions()
        if not held:
            continue
        told = instance.get_materialized_partitions(key)
        # each tick of a sensor asks, and nearly always nothing is missing: no other manifest is read
        missing = table.current(day for day in held if day not in told)
        for manifest in missing.values():
            instance.report_runless_asset_event(
                dg.AssetMaterialization(
                    asset_key=key,
                    partition=manifest.partition,
                    description="Recorded afterwards: the run ended between manifest and event.",
                    metadata={
                        vocabulary.ROWS: manifest.rows,
                        vocabulary.DIGEST: manifest.digest,
                        vocabulary.CAUSE: manifest.cause,
                    },
                )
            )
        if missing:
            asset = key.to_user_string()
            recorded.append(
                f"{asset}: {len(missing)} days were built by a run that was cut off; now recorded"
            )
    return recorded
