"""A small product with everything a promotion looks at: real rows, real models, a real registry."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa

from platform_assets.declaration.feature_view import Entity, Feature, FeatureView
from platform_assets.declaration.product import Product
from platform_assets.declaration.repository import Repository
from platform_assets.declaration.source import Column, Source
from platform_assets.evidence.evidence import Evidence, Verdict
from platform_assets.home import Home
from platform_assets.lake.digest import document_digest
from platform_assets.lake.manifest import Manifest
from platform_assets.registry.model_versions import register
from platform_assets.registry.promotion import Decision, promote
from platform_assets.stores import Stores
from platform_assets.vocabulary import AVAILABLE_AT, feature_table, online_table, product_table, raw_table

DAYS = [(date(2024, 1, 1) + timedelta(days=n)).isoformat() for n in range(6)]
TRAIN, TEST = DAYS[:2], DAYS[3:5]
SPLIT_ID = "2024-01-01_2_1_2"
ROWS_A_DAY = 150
SUITE = '{"name": "payments", "expectations": [], "meta": {}, "notes": null, "id": null}'

GATES = (
    {"kind": "floor", "metric": "roc_auc", "at_least": 0.7},
    {"kind": "not_worse_than_champion", "entity": "card", "margin": 0.02, "resamples": 60},
    {"kind": "contract"},
    {"kind": "feature_equality"},
    {"kind": "leakage"},
    {"kind": "parity"},
)


def declared_product(**changes) -> Product:
    return Product.model_validate(
        {
            "name": "payment_fraud",
            "owners": ["team:fraud"],
            "source": "payments",
            "entities": ["card"],
            "feature_views": ["spending"],
            "inputs": ["amount", "spending"],
            "label": {"column": "fraud", "delay": "1d"},
            "split": {"train_days": 2, "delay_days": 1, "test_days": 2},
            "estimator": {"path": "sklearn.linear_model.LogisticRegression"},
            "metrics": ["roc_auc", "average_precision"],
            "gates": GATES,
        }
        | changes
    )


def declared_repository(folder: Path, *, view_version: int = 1) -> Repository:
    source = Source(
        name="payments",
        owners=("team:data",),
        location=".",
        start=date(2024, 1, 1),
        columns=(
            Column(name="id", type="int64"),
            Column(name="at", type="timestamp"),
            Column(name="card", type="int64"),
            Column(name="amount", type="float64"),
            Column(name="tip", type="float64"),
            Column(name="fraud", type="int64"),
        ),
        primary_key=("id",),
        event_timestamp="at",
        contract="payments.json",
    )
    view = FeatureView(
        name="spending",
        owners=("team:fraud",),
        source="payments",
        entity="card",
        version=view_version,
        features=(Feature(name="spent", function="sum", column="amount", window=timedelta(days=1)),),
    )
    return Repository(
        {"payments": source},
        {"card": Entity(name="card", join_key="card")},
        {"spending": view},
        {"payments": folder},
    )


@dataclass(frozen=True)
class World:
    """One home, and shorthands for what happens in it."""

    root: Path
    repository: Repository
    product: Product

    @property
    def stores(self) -> Stores:
        return Stores.at(Home.at(self.root / "home"))

    @property
    def suite_path(self) -> Path:
        return self.root / "payments.json"

    @property
    def views(self) -> dict[str, str]:
        return {name: view.code_version for name, view in self.repository.feature_views.items()}

    def table(self, noun: str):
        return self.stores.lake.table(product_table(self.product.name, noun))

    def with_product(self, **changes) -> World:
        return replace(self, product=declared_product(**changes))

    def with_view_version(self, version: int) -> World:
        return replace(self, repository=declared_repository(self.root, view_version=version))

    def build_data(self) -> None:
        self.suite_path.write_text(SUITE)
        for day in DAYS[:5]:
            self.stores.lake.table(raw_table("payments")).write(
                day, raw_day(day), key=["id"], code_version="1", inputs={"source": {day: "x"}}, cause="test"
            )
        self.build_features(DAYS[:5])

    def build_features(self, days: list[str], values=lambda raw: raw.column("amount")) -> None:
        raw = self.stores.lake.table(raw_table("payments"))
        for day in days:
            rows = raw.read([day])
            self.stores.lake.table(feature_table("spending")).write(
                day,
                rows.select(["id", "card", "at", AVAILABLE_AT]).append_column("spent", values(rows)),
                key=["id"],
                code_version=self.views["spending"],
                inputs={raw.name: {day: raw.manifest(day).digest}},
                cause="test",
            )

    def train(
        self, *, noise: float = 0.0, regularisation: float = 1.0, inputs=("amount", "spent"), made_at=TEST[0]
    ) -> Manifest:
        """A training set, and a real model whose training labels are shuffled in a share of rows."""
        from platform_assets.training.estimator import fit, score
        from platform_assets.training.model_artifact import artifact_digest, save_model

        raw, features = (
            self.stores.lake.table(name) for name in (raw_table("payments"), feature_table("spending"))
        )
        days = [*TRAIN, *TEST]
        rows = raw.read(days).append_column("spent", features.read(days).column("spent"))
        split = np.repeat(["train", "test"], [2 * ROWS_A_DAY, 2 * ROWS_A_DAY])
        columns = list(dict.fromkeys(["id", "at", "card", *inputs, "fraud"]))
        rows = rows.select(columns).append_column("_split", pa.array(split))
        training_set = self.table("training_set").write(
            SPLIT_ID,
            rows,
            key=["id"],
            code_version=self.product.training_version,
            inputs={raw.name: raw.digests(DAYS[:5]), features.name: features.digests(days)},
            cause="test",
            notes={"trained_as_of": f"{TEST[0]}T00:00:00.000000Z", "train_days": TRAIN, "test_days": TEST,
                   "views": self.views},
        )  # fmt: skip
        train = rows.slice(0, 2 * ROWS_A_DAY)
        labels = train.column("fraud").to_numpy().copy()
        shuffled = np.random.default_rng(0).random(len(labels)) < noise
        labels[shuffled] = np.random.default_rng(1).permutation(labels[shuffled])
        train = train.set_column(train.column_names.index("fraud"), "fraud", pa.array(labels))
        estimator = self.product.estimator.model_copy(update={"parameters": {"C": regularisation}})
        model = fit(estimator, train, list(inputs), "fraud", event_timestamp="at")
        scores = score(model, rows.select(list(inputs)))
        model_digest = document_digest(
            [training_set.digest, regularisation, hashlib.sha256(scores.tobytes()).hexdigest()]
        )
        folder = self.stores.home.mlflow / "models" / model_digest
        if not folder.exists():
            own = scores[: train.num_rows]
            save_model(model, folder, train.select(list(inputs)), own, identity=model_digest, made_at=made_at)
        return self.table("training_run").write_document(
            SPLIT_ID,
            {
                "model_digest": model_digest,
                "training_set_digest": training_set.digest,
                "estimator_version": estimator.fingerprint(),
                "estimator": estimator.model_dump(mode="json"),
                "inputs": list(inputs),
                "views": self.views,
                "gates_version": self.product.gates_version,
                "gates": [gate.model_dump(mode="json") for gate in self.product.gates],
            },
            code_version=estimator.fingerprint(),
            inputs={training_set.table: {SPLIT_ID: training_set.digest}},
            cause="test",
            notes={
                "mlflow_run_id": "",
                "artifact_digest": artifact_digest(folder),
                "artifact_path": folder.relative_to(self.stores.home.root).as_posix(),
                "code_version": "1",
                "lock_digest": "1",
            },
        )

    def register(self) -> str:
        manifest = register(
            self.stores, self.repository, self.product, suite_path=self.suite_path, cause="test"
        )
        return self.table("registered_model").document_of(manifest)["version"]

    def candidate(self, **training) -> str:
        """Train and register a version, with every evidence green."""
        self.train(**training)
        version = self.register()
        self.give_evidence()
        return version

    def give_evidence(self, *, leave_out: str = "", **changed: Verdict) -> None:
        """Record what each control would say: PASSED, unless told otherwise by kind."""
        for kind, evidence in self.evidence().items():
            if kind.split(":")[0] != leave_out:
                verdict = changed.get(kind.split(":")[0], evidence.verdict)
                self.stores.evidence.record(replace(evidence, verdict=verdict, reason=f"{verdict} by test"))

    def evidence(self) -> dict[str, Evidence]:
        """Green evidence on the exact present versions, by kind (contract by day)."""
        from platform_assets.parity.view_parity import view_parity_versions
        from platform_assets.raw.declared_contract import declared_contract

        rows, run = (
            self.table("training_set").manifest(SPLIT_ID),
            self.table("training_run").document(SPLIT_ID),
        )
        views = document_digest(self.views)
        online = self.stores.lake.table(online_table("spending")).write_document(
            "current", {"filled": self.views["spending"]}, code_version="1", inputs={}, cause="test"
        )
        view = self.repository.feature_view("spending")
        of_view = Evidence(
            "parity", online.table, Verdict.PASSED, "PASSED by test", view_parity_versions(self.stores, view)
        )
        suite = declared_contract(self.repository.source("payments"), self.suite_path).version
        named = {
            "feature_equality": (rows.table, SPLIT_ID, {"training_set": rows.digest, "views": views}),
            "leakage": (rows.table, SPLIT_ID, {"training_set": rows.digest, "views": views}),
            "evaluation": (
                product_table(self.product.name, "evaluation_report"),
                SPLIT_ID,
                {"training_set": rows.digest, "model": run["model_digest"]},
            ),
            "parity": (
                product_table(self.product.name, "parity_report"),
                "",
                {"views": views, "online:spending": online.digest, "parity:spending": of_view.id},
            ),
            "view parity": (of_view.subject, "", of_view.versions),
        }
        for day, digest in self.stores.lake.table(raw_table("payments")).digests(DAYS[:5]).items():
            named[f"contract:{day}"] = (raw_table("payments"), day, {"raw": digest, "contract": suite})
        measured = {"evaluation": {"roc_auc": 0.9, "average_precision": 0.8}}
        return {
            kind: Evidence(
                kind.split(":")[0].removeprefix("view "),
                subject,
                Verdict.PASSED,
                "green",
                versions,
                partition,
                measured.get(kind, {}),
            )
            for kind, (subject, partition, versions) in named.items()
        }

    def promote(self, **changes) -> Decision:
        return promote(
            self.stores, self.repository, self.product, suite_path=self.suite_path, actor="test", **changes
        )

    @property
    def alias(self) -> str | None:
        """Who holds the champion alias, as the registry itself says."""
        held = self.mlflow().get_registered_model(self.product.name).aliases.get("champion")
        return None if held is None else str(held)

    def mlflow(self):
        from platform_assets.training.mlflow_store import open_mlflow

        return open_mlflow(self.stores)

    def kinds(self) -> list[str]:
        """Kinds of ledger entries, oldest first."""
        return [entry.kind for entry in self.stores.ledger.entries(self.product.name)]


def raw_day(day: str) -> pa.Table:
    """Rows where a high amount is mostly fraud, and `tip` tells the same."""
    generator = np.random.default_rng(int(day.replace("-", "")))
    ids = (int(day[-2:]) * 1_000_000) + np.arange(ROWS_A_DAY)
    fraud = (generator.random(ROWS_A_DAY) < 0.3).astype(np.int64)
    amount = np.round(10 + fraud * 12 + generator.normal(0, 5, ROWS_A_DAY), 2)
    start = datetime.fromisoformat(day)
    at = pa.array(
        [start + timedelta(seconds=int(s)) for s in np.sort(generator.integers(1, 86400, ROWS_A_DAY))],
        pa.timestamp("us"),
    )
    return pa.table(
        {
            "id": ids,
            "at": at,
            "card": generator.integers(0, 40, ROWS_A_DAY),
            "amount": amount,
            "tip": amount / 10,
            "fraud": fraud,
            AVAILABLE_AT: at,
        }
    )


def new_world(root: Path) -> World:
    """A home with five days of data and no model yet."""
    world = World(root, declared_repository(root), declared_product())
    world.build_data()
    return world
