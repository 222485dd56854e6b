"""What every asset of a product shares: key, owners, group, tags, compute."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import dagster as dg

from platform_assets import asset_keys, vocabulary
from platform_assets.declaration.compute import Compute
from platform_assets.declaration.product import Product
from platform_assets.step_failure import failing_plainly


def product_asset(
    product: Product,
    noun: str,
    *,
    description: str,
    kinds: set[str],
    code_version: str,
    deps: Iterable[Any],
    check_specs: Iterable[dg.AssetCheckSpec] = (),
    metadata: Mapping[str, Any] | None = None,
    **others: Any,
) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
    """`@dg.asset` with what a product's declaration says about all its assets."""
    compute = product.compute.get(noun, Compute())
    decorator: Callable[[Callable[..., Any]], dg.AssetsDefinition] = dg.asset(
        key=asset_keys.product_key(product, noun),
        description=description,
        owners=list(product.owners),
        group_name=product.name,
        kinds=kinds,
        code_version=code_version,
        deps=list(deps),
        check_specs=list(check_specs),
        metadata=metadata,
        tags={vocabulary.PRODUCT_TAG: product.name},
        op_tags={vocabulary.K8S_CONFIG: compute.k8s_config()},
        **others,
    )

    def asset(computed: Callable[..., Any]) -> dg.AssetsDefinition:
        return decorator(failing_plainly(computed))

    return asset
