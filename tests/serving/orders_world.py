"""A small shop in a fresh home: raw days written straight into the lake, features built for real."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from platform_assets.declaration.feature_view import Entity, FeatureView
from platform_assets.declaration.product import Product
from platform_assets.declaration.repository import Repository
from platform_assets.declaration.source import Source
from platform_assets.features.compute import build_feature_days
from platform_assets.home import Home
from platform_assets.lake.digest import document_digest
from platform_assets.serving.day_inputs import day_inputs
from platform_assets.stores import Stores
from platform_assets.vocabulary import AVAILABLE_AT, feature_table, product_table, raw_table

START = date(2024, 3, 1)
ROWS = 200

SOURCE = Source.model_validate(
    {
        "name": "orders",
        "owners": ["team:shop"],
        "location": "orders",
        "start": START,
        "columns": [
            {"name": "order_id", "type": "int64"},
            {"name": "placed_at", "type": "timestamp"},
            {"name": "shop_id", "type": "int64"},
            {"name": "amount", "type": "float64", "scale": 2},
            {"name": "late", "type": "int64"},
        ],
        "primary_key": ["order_id"],
        "event_timestamp": "placed_at",
        "contract": "orders.json",
    }
)
VIEW = FeatureView.model_validate(
    {
        "name": "shop_activity",
        "owners": ["team:shop"],
        "source": "orders",
        "entity": "shop",
        "features": [
            {"name": "orders_2d", "function": "count", "window": "2d"},
            {
                "name": "late_share_2d",
                "function": "mean",
                "column": "late",
                "window": "2d",
                "delay": "1d",
                "empty": 0,
            },
        ],
    }
)
PRODUCT = Product.model_validate(
    {
        "name": "late_orders",
        "owners": ["team:shop"],
        "source": "orders",
        "entities": ["shop"],
        "feature_views": ["shop_activity"],
        "inputs": ["amount", "shop_activity"],
        "label": {"column": "late", "delay": "1d"},
        "split": {"train_days": 3, "delay_days": 1, "test_days": 2},
        "estimator": {"path": "sklearn.linear_model.LogisticRegression", "preprocessing": ["standardise"]},
        "metrics": ["roc_auc", "average_precision"],
        "gates": [
            {"kind": "floor", "metric": "roc_auc", "at_least": 0},
            {"kind": "not_worse_than_champion", "entity": "shop", "margin": 0.99},
            {"kind": "contract"},
            {"kind": "feature_equality"},
            {"kind": "leakage"},
            {"kind": "parity"},
        ],
        "drift": {"current_days": 2, "min_rows": 100},
    }
)


def day(number: int) -> str:
    """The day that many days after the source's first."""
    return (START + timedelta(days=number)).isoformat()


def raw_rows(name: str, *, rows: int = ROWS, amount: float = 1.0) -> pa.Table:
    """The orders of a day, always the same; `amount` multiplies every amount."""
    number = (date.fromisoformat(name) - START).days
    random = np.random.default_rng(number)
    seconds = np.sort(random.choice(86_400, rows, replace=False))
    at = np.datetime64(name, "us") + seconds.astype("timedelta64[s]")
    amounts = np.round(random.lognormal(3, 1, rows) * amount, 2)
    return pa.table(
        {
            "order_id": np.arange(rows) + number * 10_000,
            "placed_at": at,
            "shop_id": random.integers(0, 12, rows),
            "amount": amounts,
            "late": (amounts / amount * random.uniform(0.5, 1.5, rows) > 30).astype(np.int64),
            AVAILABLE_AT: at,
        }
    )


@dataclass(frozen=True)
class OrdersWorld:
    """Stores and declarations, and hands that write days."""

    stores: Stores
    repository: Repository
    product: Product = PRODUCT

    @classmethod
    def at(cls, folder: Path) -> OrdersWorld:
        """An empty world; nothing is written yet."""
        repository = Repository(
            {SOURCE.name: SOURCE},
            {"shop": Entity(name="shop", join_key="shop_id")},
            {VIEW.name: VIEW},
            {SOURCE.name: folder},
        )
        return cls(Stores.at(Home.at(folder / "home")), repository)

    @property
    def view(self) -> FeatureView:
        return self.repository.feature_view(VIEW.name)

    def put_raw(self, name: str, rows: pa.Table | None = None) -> None:
        """Make these rows the raw day, or the day's usual ones."""
        rows = raw_rows(name) if rows is None else rows
        self.stores.lake.table(raw_table(SOURCE.name)).write(
            name, rows, key=SOURCE.primary_key, code_version="1", inputs={}, cause="test"
        )

    def build(self, days: Iterable[str]) -> None:
        """Bring the feature days up to date."""
        build_feature_days(
            self.stores,
            SOURCE,
            self.repository.entity("shop"),
            self.view,
            sorted(days),
            untrusted={},
            cause="test",
        )

    def correct(self, name: str, *, amount: float = 2.0) -> None:
        """Change the amounts of a day and rebuild the features it reaches."""
        self.put_raw(name, raw_rows(name, amount=amount))
        features = self.stores.lake.table(feature_table(VIEW.name))
        self.build(features.partitions())

    def train(self, days: Iterable[str], *, contrary: bool = False) -> str:
        """Fit a model on whole days and register it, lineage and all; the version it became.

        A `contrary` one learns the opposite label, so that its scores are quite others.
        """
        from platform_assets.registry.model_versions import MODEL_TAG
        from platform_assets.training.estimator import fit, score
        from platform_assets.training.mlflow_store import open_mlflow
        from platform_assets.training.model_artifact import artifact_digest, save_model

        lake, name = self.stores.lake, self.product.name
        days = sorted(days)
        columns = self.repository.input_columns(self.product)
        inputs = day_inputs(self.stores, SOURCE, [self.view], days)
        rows = pa.concat_tables(
            made.read(self.stores, SOURCE, [self.view], ("placed_at", "shop_id", *columns, "late"))
            for made in inputs.values()
        )
        if contrary:
            place = rows.column_names.index("late")
            rows = rows.set_column(place, "late", pc.subtract(1, rows.column("late")))
        rows = rows.append_column("_split", pa.array(["train"] * rows.num_rows))
        partition = f"{days[0]}_{len(days)}_1_2"
        training_set = lake.table(product_table(name, "training_set")).write(
            partition, rows, key=SOURCE.primary_key, code_version="1", inputs={}, cause="test"
        )
        model = fit(self.product.estimator, rows, columns, "late", event_timestamp="placed_at")
        scores = score(model, rows.select(list(columns)))
        model_digest = document_digest([training_set.digest, scores.tobytes().hex()])
        artifact = f"models/{model_digest}"
        folder = self.stores.home.root / artifact
        save_model(model, folder, rows.select(list(columns)), scores, identity=model_digest, made_at=days[0])
        views = {self.view.name: self.view.code_version}
        run = lake.table(product_table(name, "training_run")).write_document(
            partition,
            {"model_digest": model_digest, "inputs": list(columns), "views": views},
            code_version="1",
            inputs={training_set.table: {partition: training_set.digest}},
            cause="test",
        )
        client = open_mlflow(self.stores)
        if not client.search_registered_models(f"name='{name}'"):
            client.create_registered_model(name)
        version = client.create_model_version(
            name, source=str(folder), tags={MODEL_TAG: model_digest}
        ).version
        lake.table(product_table(name, "registered_model")).write_document(
            partition,
            {
                "version": str(version),
                "model_digest": model_digest,
                "artifact_digest": artifact_digest(folder),
                "artifact_path": artifact,
                "training_set": {"partition": partition, "digest": training_set.digest},
                "training_run_digest": run.digest,
                "views": views,
            },
            code_version="1",
            inputs={run.table: {partition: run.digest}},
            cause="test",
            notes={"version": str(version)},
        )
        return str(version)

    def crown(self, version: str) -> None:
        """Make a version champion: alias and ledger, as a promotion that passed its gates does."""
        from platform_assets.registry.alias_move import Alias, lease, move
        from platform_assets.registry.model_versions import lineage

        alias = Alias(self.stores, self.product.name)
        with lease(self.stores, self.product.name):
            move(
                self.stores,
                alias,
                "intent",
                holder=alias.holder(),
                to=version,
                model=lineage(self.stores, self.product, version),
                actor="test",
                about={},
            )
