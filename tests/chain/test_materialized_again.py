"""After a finished run every asset can be materialized again by hand, alone: it ends well and changes nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import dagster as dg
import pytest
from clinic import Clinic

from platform_assets.components.model_product import product_definitions, read_product
from platform_assets.resources import PlatformResource

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

DAY = "2025-01-26"


def test_every_asset_again(make_clinic: Callable[..., Clinic]) -> None:
    clinic = make_clinic(26)
    done = clinic.run()
    assert done.returncode == 0, done.stdout + done.stderr
    expected, decisions = clinic.digests(), Counter(entry.kind for entry in clinic.stores.ledger.entries())
    assets = list(product_definitions(read_product(clinic.defs), clinic.defs).assets or ())
    again: dict[str, bool] = {}
    with dg.DagsterInstance.ephemeral() as instance:
        for asset in assets:
            assert isinstance(asset, dg.AssetsDefinition)
            result = dg.materialize(
                assets,
                selection=[asset.key],
                partition_key=DAY if asset.partitions_def is not None else None,
                instance=instance,
                resources={"platform": PlatformResource(home=str(clinic.home))},
                raise_on_error=False,
            )
            again[asset.key.to_user_string()] = result.success
            declared = {key.name for key in asset.check_keys}
            assert {check.check_name for check in result.get_asset_check_evaluations()} == declared
    assert len(again) > 12
    assert [key for key, well in again.items() if not well] == []
    assert clinic.digests() == expected
    assert Counter(entry.kind for entry in clinic.stores.ledger.entries()) == decisions
