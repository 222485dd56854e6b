"""A web shop's returns: a training set in a real lake, a model really fitted, saved and loaded."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from platform_assets.declaration.feature_view import Entity
from platform_assets.declaration.product import Product
from platform_assets.declaration.repository import Repository
from platform_assets.declaration.source import Column, Source
from platform_assets.evaluation.evaluation_report import evaluate
from platform_assets.evidence.evidence import Evidence
from platform_assets.home import Home
from platform_assets.lake.manifest import Manifest
from platform_assets.stores import Stores
from platform_assets.training.training_run import train
from platform_assets.vocabulary import product_table, raw_table

SPLIT = "2024-01-01_2_1_2"
TRAIN, TEST = ("2024-01-01", "2024-01-02"), ("2024-01-04", "2024-01-05")
LOGISTIC = "sklearn.linear_model.LogisticRegression"
CARD_PRECISION = {"kind": "card_precision", "k": 5, "entity": "buyer"}
GATES = [
    {"kind": "floor", "metric": "roc_auc", "at_least": 0.6},
    {"kind": "not_worse_than_champion", "entity": "buyer"},
    {"kind": "contract"},
    {"kind": "feature_equality"},
    {"kind": "leakage"},
    {"kind": "parity"},
]


@dataclass(frozen=True)
class Shop:
    """One home, a declared product, and what tests do with them."""

    stores: Stores
    repository: Repository
    product: Product

    @property
    def reports(self) -> Path:
        return self.stores.home.reports / self.product.name

    def table(self, noun: str):
        return self.stores.lake.table(product_table(self.product.name, noun))

    def training_set(
        self, *, rows_a_day: int = 300, test_labels: int | None = None, seed: int = 0
    ) -> Manifest:
        """Write orders of two train and two test days; `test_labels` gives all test rows one label."""
        rng = np.random.default_rng(seed)
        n = rows_a_day * 4
        price, late = rng.gamma(2.0, 30.0, n).round(2), rng.integers(0, 10, n)
        returned = (rng.random(n) < 1 / (1 + np.exp(5 - 0.5 * late - price / 60))).astype(np.int64)
        split = np.repeat(["train", "test"], n // 2)
        if test_labels is not None:
            returned[n // 2 :] = test_labels
        seconds = np.sort(rng.integers(0, 86_400, (4, rows_a_day)), axis=1)
        day = np.repeat(np.array([*TRAIN, *TEST], "datetime64[us]"), rows_a_day)
        columns: dict[str, Any] = {
            "order_id": rng.permutation(n),
            "at": pa.array(day + seconds.ravel().astype("timedelta64[s]"), pa.timestamp("us")),
            "buyer_id": pa.array([f"b{i:03d}" for i in rng.integers(0, 80, n)]),
            "price": price,
            "days_late": late,
            "returned": returned,
            "_split": split,
        }
        positives = {part: int(returned[split == part].sum()) for part in ("train", "test")}
        return self.table("training_set").write(
            SPLIT,
            pa.table(columns),
            key=["order_id"],
            code_version=self.product.training_version,
            inputs={raw_table("orders"): {day: f"raw of {day}" for day in (*TRAIN, *TEST)}},
            cause="test",
            notes={
                "train_rows": n // 2, "test_rows": n // 2,
                "train_positives": positives["train"], "test_positives": positives["test"],
                "removed_known_rows": 0, "trained_as_of": "2024-01-03T23:59:59.999999Z",
                "train_days": list(TRAIN), "test_days": list(TEST), "views": {},
            },
        )  # fmt: skip

    def train(self, rows: Manifest) -> Manifest:
        return train(self.stores, self.repository, self.product, rows, cause="test")

    def evaluate(self, rows: Manifest, run: Manifest) -> Manifest:
        return evaluate(self.stores, self.repository, self.product, rows, run, cause="test")

    def evidence(self) -> Evidence:
        found = self.stores.evidence.latest(
            "evaluation", product_table(self.product.name, "evaluation_report"), SPLIT
        )
        assert found is not None
        return found

    def declaring(self, **changes: Any) -> Shop:
        data = self.product.model_dump(mode="json") | changes
        return replace(self, product=Product.model_validate(data))


def shop_at(home: Path) -> Shop:
    source = Source(
        name="orders", owners=("team:shop",), location=".", start=date(2024, 1, 1), contract="orders.json",
        columns=(
            Column(name="order_id", type="int64"), Column(name="at", type="timestamp"),
            Column(name="buyer_id", type="string"), Column(name="price", type="float64"),
            Column(name="days_late", type="int64"), Column(name="returned", type="int64"),
        ),
        primary_key=("order_id",), event_timestamp="at",
    )  # fmt: skip
    product = Product.model_validate(
        {
            "name": "order_returns", "owners": ["team:shop"], "source": "orders", "entities": ["buyer"],
            "inputs": ["price", "days_late"], "label": {"column": "returned", "delay": "1d"},
            "split": {"train_days": 2, "delay_days": 1, "test_days": 2},
            "estimator": {"path": LOGISTIC, "preprocessing": ["standardise"]},
            "metrics": ["roc_auc", "average_precision", CARD_PRECISION],
            "gates": GATES,
        }
    )  # fmt: skip
    repository = Repository(
        {"orders": source}, {"buyer": Entity(name="buyer", join_key="buyer_id")}, {}, {"orders": home}
    )
    repository.check_product(product)
    return Shop(Stores.at(Home.at(home)), repository, product)


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return shop_at(tmp_path)


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory) -> tuple[Shop, Manifest, Manifest, Manifest]:
    """A shop with its training set, training run and evaluation report; tests only read it."""
    shop = shop_at(tmp_path_factory.mktemp("shop"))
    rows = shop.training_set()
    run = shop.train(rows)
    return shop, rows, run, shop.evaluate(rows, run)
