"""The split that counts now, and what was made for it.

By the raw days there are and the declaration, never by which manifest was written last: a declaration
that goes back, or a clock that was set back, must not bring an older split's model forward.
"""

from __future__ import annotations

from platform_assets.declaration.product import Product
from platform_assets.errors import Blocked
from platform_assets.lake.manifest import Manifest
from platform_assets.stores import Stores
from platform_assets.training.split import resolve_split
from platform_assets.vocabulary import product_table, raw_table


def present_split_id(stores: Stores, product: Product) -> str:
    """The partition of the product's split on the raw days there are. Raises Blocked without any."""
    days = stores.lake.table(raw_table(product.source)).partitions()
    if not days:
        raise Blocked(
            f"product {product.name}: {raw_table(product.source)} holds no day; take raw data in first"
        )
    return resolve_split(product.split, max(days)).id


def present(stores: Stores, product: Product, noun: str) -> Manifest:
    """The present split's manifest of a product table; Blocked when it was not made yet."""
    split_id = present_split_id(stores, product)
    manifest = stores.lake.table(product_table(product.name, noun)).manifest(split_id)
    if manifest is None:
        raise Blocked(
            f"{product.name}: there is no {noun} of split {split_id} yet; materialize "
            f"{product.name}/{noun} first"
        )
    return manifest
