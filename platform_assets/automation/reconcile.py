"""What a kill between a manifest and its event left untold is told now."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from platform_assets import vocabulary
from platform_assets.lake.manifest import Manifest
from platform_assets.stores import Stores

if TYPE_CHECKING:
    import dagster as dg


def untold(told: Mapping[str, str] | set[str], manifests: Mapping[str, Manifest]) -> list[Manifest]:
    """Manifests of partitions for which no event was recorded. Pure."""
    return [manifest for partition, manifest in sorted(manifests.items()) if partition not in told]


def reconcile(
    instance: dg.DagsterInstance, stores: Stores, tables: Mapping[dg.AssetKey, str]
) -> dict[str, int]:
    """Record an event for every daily partition that the lake holds and the event log does not know.

    Returns how many were recorded, by table.
    """
    import dagster as dg

    recorded: dict[str, int] = {}
    for key, name in tables.items():
        manifests = stores.lake.table(name).current()
        if not manifests:
            continue
        missing = untold(set(instance.get_materialized_partitions(key)), manifests)
        for manifest in missing:
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
            recorded[name] = len(missing)
    return recorded
