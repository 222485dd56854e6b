"""A small world to serve from: sales of another domain, with ties, nulls, text keys and window edges."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa

from platform_assets.declaration.feature_view import Entity, FeatureView
from platform_assets.declaration.product import Product
from platform_assets.declaration.repository import Repository
from platform_assets.declaration.source import Source
from platform_assets.features.compute import build_feature_days
from platform_assets.home import Home
from platform_assets.online.online_store import fill_online
from platform_assets.stores import Stores
from platform_assets.vocabulary import AVAILABLE_AT, raw_table

START = date(2024, 2, 26)
DAYS = tuple((START + timedelta(days=n)).isoformat() for n in range(9))
NEWEST = DAYS[-1]

SOURCE = Source.model_validate(
    {
        "name": "sales",
        "owners": ["team:shops"],
        "location": "sales",
        "start": START,
        "columns": [
            {"name": "till", "type": "string"},
            {"name": "slip", "type": "int64"},
            {"name": "sold_at", "type": "timestamp"},
            {"name": "shop", "type": "string", "nullable": True},
            {"name": "member", "type": "int64"},
            {"name": "price", "type": "float64", "scale": 2},
            {"name": "weight", "type": "float64", "nullable": True},
            {"name": "returned", "type": "int64", "nullable": True},
        ],
        "primary_key": ["till", "slip"],
        "event_timestamp": "sold_at",
        "contract": "contracts/sales.json",
    }
)
SHOP_TRADE = FeatureView.model_validate(
    {
        "name": "shop_trade",
        "owners": ["team:shops"],
        "source": "sales",
        "entity": "shop",
        "features": [
            {"name": "sales_6h", "function": "count", "window": "6h"},
            {"name": "sum_1d", "function": "sum", "column": "price", "window": "1d"},
            {"name": "mean_2d", "function": "mean", "column": "price", "window": "2d"},
            {"name": "max_2d", "function": "max", "column": "price", "window": "2d"},
            {"name": "others_1d", "function": "count", "window": "1d", "include_current_row": False},
            {
                "name": "others_min_1d",
                "function": "min",
                "column": "price",
                "window": "1d",
                "include_current_row": False,
            },
            {"name": "weighed_1d", "function": "count", "column": "weight", "window": "1d"},
            {"name": "weight_2d", "function": "mean", "column": "weight", "window": "2d", "empty": -1},
        ],
    }
)
MEMBER_RETURNS = FeatureView.model_validate(
    {
        "name": "member_returns",
        "owners": ["team:shops"],
        "source": "sales",
        "entity": "member",
        "features": [
            {"name": "known_2d", "function": "count", "window": "2d", "delay": "1d"},
            {
                "name": "share_2d",
                "function": "mean",
                "column": "returned",
                "window": "2d",
                "delay": "1d",
                "empty": 0,
            },
            {"name": "share_3d", "function": "mean", "column": "returned", "window": "3d", "delay": "2d"},
        ],
    }
)
SALE_TIME = FeatureView.model_validate(
    {
        "name": "sale_time",
        "owners": ["team:shops"],
        "source": "sales",
        "entity": "member",
        "online": False,
        "features": [
            {"name": "weekend", "function": "weekend"},
            {"name": "early", "function": "hour_at_most", "hour": 6},
            {"name": "weight_now", "function": "value", "column": "weight"},
        ],
    }
)
VIEWS = (SHOP_TRADE, MEMBER_RETURNS, SALE_TIME)
REPOSITORY = Repository(
    sources={"sales": SOURCE},
    entities={
        "shop": Entity(name="shop", join_key="shop"),
        "member": Entity(name="member", join_key="member"),
    },
    feature_views={view.name: view for view in VIEWS},
)
SHOP_TRADE, MEMBER_RETURNS, SALE_TIME = VIEWS = tuple(
    REPOSITORY.feature_view(view.name) for view in VIEWS
)  # they know their source


def product(**gate: float) -> Product:
    """A product on all three views, with its parity gate as told."""
    return Product.model_validate(
        {
            "name": "returns",
            "owners": ["team:shops"],
            "source": "sales",
            "entities": ["shop", "member"],
            "feature_views": [view.name for view in VIEWS],
            "inputs": ["price", *(view.name for view in VIEWS)],
            "label": {"column": "returned", "delay": "1d"},
            "split": {"train_days": 2, "delay_days": 1, "test_days": 1},
            "estimator": {"path": "sklearn.linear_model.LogisticRegression"},
            "metrics": ["roc_auc"],
            "gates": [
                {"kind": "floor", "metric": "roc_auc", "at_least": 0.5},
                {"kind": "not_worse_than_champion", "metric": "roc_auc", "entity": "shop"},
                {"kind": "contract"},
                {"kind": "feature_equality"},
                {"kind": "leakage"},
                {"kind": "parity", **gate},
            ],
        }
    )


def sales(day: str, rows: int = 60) -> pa.Table:
    """Sales of a day on a grid of half hours, so that ties and exact window edges are everywhere."""
    random = np.random.default_rng(int(day.replace("-", "")))
    midnight = datetime.fromisoformat(day)
    moments = [midnight + timedelta(minutes=30 * int(n)) for n in random.integers(0, 48, rows)]
    shops = random.integers(0, 5, rows)
    weights = [None if n < 0.3 else float(n) for n in random.random(rows)]
    return pa.table(
        {
            "till": pa.array([f"till {n % 3}" for n in range(rows)]),
            "slip": pa.array([1000 * DAYS.index(day) + n for n in range(rows)], pa.int64()),
            "sold_at": pa.array(moments, pa.timestamp("us")),
            "shop": pa.array([None if n == 4 else f"shop {n}" for n in shops]),
            "member": pa.array(random.integers(1, 9, rows), pa.int64()),
            "price": pa.array(random.integers(0, 9999, rows) / 100),
            "weight": pa.array(weights, pa.float64()),
            "returned": pa.array(
                [None if n == 2 else int(n) for n in random.integers(0, 3, rows)], pa.int64()
            ),
            AVAILABLE_AT: pa.array(moments, pa.timestamp("us")),
        }
    )


def write_raw(stores: Stores, day: str, rows: pa.Table) -> None:
    stores.lake.table(raw_table("sales")).write(
        day, rows, key=SOURCE.primary_key, code_version="1", inputs={"source": {day: "token"}}, cause="test"
    )


@dataclass(frozen=True)
class World:
    """A home with raw days, and what tests do to it."""

    stores: Stores

    @classmethod
    def at(cls, root: Path, days: tuple[str, ...] = DAYS, online: str = "") -> World:
        stores = Stores.at(Home.at(root, online))
        for day in days:
            write_raw(stores, day, sales(day))
        return cls(stores)

    @classmethod
    def of(cls, root: Path) -> World:
        """The world of a home that is there."""
        return cls(Stores.at(Home.at(root)))

    def fill(self) -> None:
        for view in VIEWS:
            if view.online:
                fill_online(self.stores, REPOSITORY, view, cause="test")

    def build(self, days: tuple[str, ...] = (NEWEST,)) -> None:
        for view in VIEWS:
            entity = REPOSITORY.entity_of(view)
            build_feature_days(self.stores, SOURCE, entity, view, days, untrusted={}, cause="test")

    def raw(self, day: str = NEWEST) -> pa.Table:
        return self.stores.lake.table(raw_table("sales")).read([day])
