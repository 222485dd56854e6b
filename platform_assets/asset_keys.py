"""Asset keys and partitions of everything that is declared."""

from __future__ import annotations

import dagster as dg

from platform_assets.declaration.product import Product
from platform_assets.declaration.source import Source
from platform_assets.errors import Blocked
from platform_assets.vocabulary import plain_name


def raw_key(source: str) -> dg.AssetKey:
    """Raw rows of a source."""
    return dg.AssetKey(["raw", source])


def view_key(view: str) -> dg.AssetKey:
    """A feature view's rows."""
    return dg.AssetKey(["features", view])


def online_key(view: str) -> dg.AssetKey:
    """A feature view's online store."""
    return dg.AssetKey(["features", f"online_{view}"])


def view_parity_key(view: str) -> dg.AssetKey:
    """Parity of a feature view's online store."""
    return dg.AssetKey(["features", f"parity_{view}"])


def product_key(product: Product | str, noun: str) -> dg.AssetKey:
    """One of a product's own assets."""
    return dg.AssetKey([product if isinstance(product, str) else product.name, noun])


def feast_key(project: str, noun: str, name: str = "") -> dg.AssetKey:
    """One part of a Feast user's repository: registry, or a noun with a name, such as online_<view>.

    The graph shows the last part of a key alone, so the noun stands in it.
    """
    return dg.AssetKey([project, f"{noun}_{plain_name(name)}" if name else noun])


def daily(source: Source) -> dg.DailyPartitionsDefinition:
    """Days of a source in UTC; a day may be built after it has ended."""
    return dg.DailyPartitionsDefinition(
        start_date=source.start.isoformat(),
        end_date=source.end.isoformat() if source.end else None,
        timezone="UTC",
    )


def days_of(context: dg.AssetExecutionContext) -> list[str]:
    """Days that a run was asked for; Blocked when it was launched without any, which Dagster lets happen."""
    if not (context.has_partition_key or context.has_partition_key_range):
        raise Blocked(
            f"{context.asset_key.to_user_string()}: no day was chosen; launch it with a day or a range "
            f"of days (in the web UI: Materialize, then the days; elsewhere the tag dagster/partition)"
        )
    return list(context.partition_keys)
