"""A view's version: what changes it, and what a live model keeps of the one before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from platform_assets.declaration.feature_view import Entity, FeatureView
from platform_assets.declaration.repository import Repository, read_repository
from platform_assets.declaration.source import Source
from platform_assets.features.live_views import what_changed
from platform_assets.online.feast_objects import slot_view_name

SOURCE: dict[str, Any] = {
    "name": "orders",
    "owners": ["team:shop"],
    "location": "orders",
    "start": "2024-03-01",
    "columns": [
        {"name": "order_id", "type": "int64"},
        {"name": "placed_at", "type": "timestamp"},
        {"name": "paid_at", "type": "timestamp"},
        {"name": "shop_id", "type": "int64"},
        {"name": "street", "type": "int64"},
        {"name": "amount", "type": "float64", "scale": 2},
        {"name": "note", "type": "string"},
    ],
    "primary_key": ["order_id"],
    "event_timestamp": "placed_at",
    "contract": "orders.json",
}
VIEW: dict[str, Any] = {
    "name": "spending",
    "owners": ["team:shop"],
    "source": "orders",
    "entity": "shop",
    "features": [
        {"name": "total", "function": "sum", "column": "amount", "window": "7d"},
        {"name": "orders", "function": "count", "window": "7d"},
    ],
}


def declared(
    *,
    columns: dict[str, dict[str, Any]] | None = None,
    join_key: str = "shop_id",
    view: Any = None,
    **source: Any,
) -> FeatureView:
    """The view as a repository knows it, some of the declaration otherwise."""
    changed = [{**column, **(columns or {}).get(column["name"], {})} for column in SOURCE["columns"]]
    made = Source.model_validate({**SOURCE, "columns": changed, **source})
    read = FeatureView.model_validate({**VIEW, **(view or {})})
    entity = Entity(name="shop", join_key=join_key)
    return Repository({"orders": made}, {"shop": entity}, {"spending": read}).feature_view("spending")


BEFORE = declared()


@pytest.mark.parametrize(
    ("after", "told"),
    [
        pytest.param(
            declared(columns={"amount": {"type": "int64", "scale": None}}),
            ["column amount: float64 with scale 2 -> int64"],
            id="type of a column it reads",
        ),
        pytest.param(
            declared(columns={"amount": {"scale": 3}}),
            ["column amount: float64 with scale 2 -> float64 with scale 3"],
            id="scale of a column it reads",
        ),
        pytest.param(
            declared(columns={"amount": {"nullable": True}}),
            ["column amount: float64 with scale 2 -> float64 with scale 2, nullable"],
            id="a column it reads may be null",
        ),
        pytest.param(
            declared(event_timestamp="paid_at"),
            ["column paid_at: none -> timestamp", "column placed_at: timestamp -> none",
             "event timestamp: placed_at -> paid_at"],
            id="event timestamp",
        ),
        pytest.param(
            declared(join_key="street"),
            ["column shop_id: int64 -> none", "column street: none -> int64", "join key: shop_id -> street"],
            id="join key",
        ),
        pytest.param(
            declared(primary_key=["order_id", "shop_id"]),
            ["primary key: order_id -> order_id, shop_id"],
            id="primary key",
        ),
        pytest.param(
            declared(view={"features": [{**VIEW["features"][0], "window": "14d"}, VIEW["features"][1]]}),
            ["feature total: window 7d -> 14d"],
            id="window",
        ),
        pytest.param(
            declared(view={"features": [{**VIEW["features"][0], "name": "sum"}, VIEW["features"][1]]}),
            ["feature sum: is new", "feature total: is gone"],
            id="name",
        ),
        pytest.param(
            declared(view={"features": VIEW["features"][::-1]}), ["features: in another order"], id="order"
        ),
    ],
)  # fmt: skip
def test_what_is_computed_is_in_the_code_version(after: FeatureView, told: list[str]) -> None:
    assert after.code_version != BEFORE.code_version
    assert what_changed(BEFORE, after) == told


@pytest.mark.parametrize(
    "after",
    [
        pytest.param(declared(columns={"note": {"type": "int64"}}), id="a column it does not read"),
        pytest.param(
            declared(columns={"note": {"nullable": True}}), id="a column it does not read, nullable"
        ),
        pytest.param(declared(columns={"amount": {"description": "in euros"}}), id="description of a column"),
        pytest.param(declared(columns={"amount": {"masked": True}}), id="what is shown of a column"),
        pytest.param(declared(view={"owners": ["team:other"]}), id="owners"),
        pytest.param(declared(view={"online": False}), id="where it is kept"),
        pytest.param(
            declared(view={"features": [{**f, "description": "text"} for f in VIEW["features"]]}),
            id="description of a feature",
        ),
    ],
)
def test_what_is_not_computed_is_not(after: FeatureView) -> None:
    assert after.code_version == BEFORE.code_version


def test_every_version_but_the_first_has_its_own_tables() -> None:
    newer = declared(view={"version": 2})
    assert (BEFORE.lake_name, newer.lake_name) == ("spending", "spending@2")
    assert newer.code_version.startswith("v2-")
    assert [slot_view_name(view, "a") for view in (BEFORE, newer)] == [
        "spending__events_a",
        "spending__v2__events_a",
    ]


def test_views_declared_before_keep_their_code_versions() -> None:
    """A home that was built by an earlier release is not built again."""
    declared = read_repository([Path(__file__).parents[2] / "feature_repo"]).feature_views
    assert {name: view.code_version for name, view in declared.items()} == {
        "customer_spending": "v1-d16d9e5b8b6efd43",
        "terminal_risk": "v1-9fd9f21974bfcd15",
        "transaction_calendar": "v1-8aa1d0abb689695f",
    }
