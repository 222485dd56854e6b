"""A small bank: a few hundred card holders, five weeks, raw and feature days really in a lake."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from platform_assets.declaration.product import Product
from platform_assets.declaration.repository import Repository, read_repository
from platform_assets.declaration.yaml_reader import read_yaml
from platform_assets.evidence.evidence import Evidence, Verdict
from platform_assets.features.compute import build_feature_days
from platform_assets.home import Home
from platform_assets.lake.manifest import Manifest
from platform_assets.raw.generator import generate
from platform_assets.stores import Stores
from platform_assets.training.mlflow_store import open_mlflow
from platform_assets.training.training_run import train
from platform_assets.training.training_set import build_training_set, days_read, newest_split
from platform_assets.vocabulary import AVAILABLE_AT, product_table, raw_table

CHECKOUT = Path(__file__).resolve().parents[2]
START, DAYS = date(2018, 4, 1), 35


@dataclass(frozen=True)
class Bank:
    """One home with its declaration, and what tests do with it."""

    stores: Stores
    repository: Repository
    product: Product

    @property
    def suite(self) -> Path:
        return self.repository.contract_path(self.repository.source(self.product.source))

    def declaring(self, **changes: Any) -> Bank:
        """The same home under a changed product; nested fields as `split={"train_days": 3}`."""
        data = self.product.model_dump(mode="json")
        for name, value in changes.items():
            data[name] = {**data[name], **value} if isinstance(value, dict) else value
        return replace(self, product=Product.model_validate(data))

    def with_view(self, name: str, **changes: Any) -> Bank:
        """The same home under a changed feature view."""
        view = type(self.repository.feature_view(name)).model_validate(
            {**self.repository.feature_view(name).model_dump(mode="json"), **changes}
        )
        views = {**self.repository.feature_views, name: view}
        return replace(self, repository=replace(self.repository, feature_views=views))

    def raw(self, day: str) -> pa.Table:
        return self.stores.lake.table(raw_table(self.product.source)).read([day])

    def write_raw(self, rows: pa.Table, *, trusted: bool = True) -> None:
        """Make rows the current version of their days."""
        source = self.repository.source(self.product.source)
        days = pc.strftime(rows.column(source.event_timestamp), format="%Y-%m-%d")
        if AVAILABLE_AT not in rows.column_names:
            rows = rows.append_column(AVAILABLE_AT, rows.column(source.event_timestamp))
        for day in pc.unique(days).to_pylist():
            manifest = self.stores.lake.table(raw_table(source.name)).write(
                day,
                rows.filter(pc.equal(days, day)),
                key=source.primary_key,
                code_version="1",
                inputs={"source": {day: "test"}},
                cause="test",
            )
            if trusted:
                self.contract(manifest, Verdict.PASSED)

    def contract(self, raw: Manifest, verdict: Verdict) -> None:
        """Record contract evidence for a raw day as if the contract had been evaluated."""
        from platform_assets.raw.declared_contract import declared_contract

        version = declared_contract(self.repository.source(self.product.source), self.suite).version
        self.stores.evidence.record(
            Evidence(
                kind="contract",
                subject=raw.table,
                partition=raw.partition,
                verdict=verdict,
                reason="test",
                versions={"raw": raw.digest, "contract": version},
            )
        )

    def build_features(self, days: Mapping[str, Iterable[str]] | None = None) -> None:
        """Build the feature days that the product's split reads."""
        split = newest_split(self.stores, self.repository, self.product)
        wanted = days or days_read(self.repository, self.product, split).features
        for view in self.repository.views_of(self.product):
            source, entity = self.repository.source(view.source), self.repository.entity_of(view)
            build_feature_days(
                self.stores, source, entity, view, list(wanted[view.name]), untrusted={}, cause="test"
            )

    def training_set(self) -> Manifest:
        return build_training_set(
            self.stores, self.repository, self.product, suite_path=self.suite, cause="test"
        )

    def train(self) -> Manifest:
        return train(self.stores, self.repository, self.product, self.training_set(), cause="test")

    def register(self, version: str = "1") -> None:
        """Write the lineage of the newest training run as registration does."""
        split = newest_split(self.stores, self.repository, self.product).id
        sets = self.stores.lake.table(product_table(self.product.name, "training_set"))
        runs = self.stores.lake.table(product_table(self.product.name, "training_run"))
        rows, run = sets.manifest(split), runs.manifest(split)
        assert rows is not None
        assert run is not None
        self.stores.lake.table(product_table(self.product.name, "registered_model")).write_document(
            split,
            {
                "version": version,
                "model_digest": runs.document_of(run)["model_digest"],
                "artifact_digest": run.notes["artifact_digest"],
                "artifact_path": run.notes["artifact_path"],
                "training_set": {"partition": split, "digest": rows.digest},
                "training_run_digest": run.digest,
                "raw": dict(rows.inputs[raw_table(self.product.source)]),
            },
            code_version="1",
            inputs={},
            cause="test",
            notes={"version": version},
        )


@pytest.fixture(scope="session")
def _built(tmp_path_factory: pytest.TempPathFactory) -> Bank:
    repository = read_repository([CHECKOUT / "feature_repo"])
    product = read_yaml(CHECKOUT / "platform_assets/defs/card_fraud/defs.yaml", Product, inside="attributes")
    bank = Bank(Stores.at(Home.at(tmp_path_factory.mktemp("bank"))), repository, product)
    bank.write_raw(generate(customers=300, terminals=300, days=DAYS, start=START, radius=15, seed=3))
    bank.build_features()
    open_mlflow(bank.stores)  # a fresh database costs a second and more
    return bank


@pytest.fixture(scope="session")
def _registered(_built: Bank, tmp_path_factory: pytest.TempPathFactory) -> Bank:
    bank = _copy(_built, tmp_path_factory.mktemp("registered"))
    bank.train()
    bank.register("1")
    return bank


def _copy(bank: Bank, folder: Path) -> Bank:
    home = folder / "home"
    shutil.copytree(bank.stores.home.root, home)
    return replace(bank, stores=Stores.at(Home.at(home)))


@pytest.fixture
def registered(_registered: Bank, tmp_path: Path) -> Bank:
    """A bank with version 1 registered, in a home that was moved since."""
    return _copy(_registered, tmp_path)


@pytest.fixture
def bank(_built: Bank, tmp_path: Path) -> Bank:
    """A bank of one's own, with raw and feature days built."""
    return _copy(_built, tmp_path)
