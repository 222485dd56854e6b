"""A small parcel service whose raw days are delivered again and again, and a judge that knows no SQL.

Times are hours since the start; a version of a parcel is known from its arrival until it is replaced.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa

from platform_assets.declaration.feature_view import Entity, FeatureView
from platform_assets.declaration.product import Product
from platform_assets.declaration.repository import Repository
from platform_assets.declaration.source import Source
from platform_assets.evidence.evidence import Evidence, Verdict
from platform_assets.features.compute import build_feature_days
from platform_assets.home import Home
from platform_assets.lake.manifest import Manifest
from platform_assets.raw.declared_contract import declared_contract
from platform_assets.raw.judgement import KIND, contract_versions
from platform_assets.stores import Stores
from platform_assets.training.training_set import build_training_set, days_read, newest_split
from platform_assets.vocabulary import AVAILABLE_AT, raw_table

START = date(2024, 3, 4)
BEGINS = datetime(2024, 3, 4)
DAYS = tuple((START + timedelta(days=n)).isoformat() for n in range(7))
TRAIN_DAYS, TEST_DAYS = range(1, 4), range(5, 7)
TRAINED_AT, EVALUATED_AT, NEVER = 5 * 24, 8 * 24, 10**9

SOURCE: dict[str, Any] = {
    "name": "parcels",
    "owners": ["team:post"],
    "location": "parcels",
    "start": START,
    "columns": [
        {"name": "parcel", "type": "int64"},
        {"name": "at", "type": "timestamp"},
        {"name": "shop", "type": "int64"},
        {"name": "grams", "type": "int64"},
        {"name": "lost", "type": "int64"},
    ],
    "primary_key": ["parcel"],
    "event_timestamp": "at",
    "contract": "contract.json",
}
SHOP_PARCELS: dict[str, Any] = {
    "name": "shop_parcels",
    "owners": ["team:post"],
    "source": "parcels",
    "entity": "shop",
    "ttl": "6h",
    "features": [
        {"name": "count_1d", "function": "count", "window": "1d"},
        {"name": "grams_2d", "function": "sum", "column": "grams", "window": "2d"},
        {"name": "largest_2d", "function": "max", "column": "grams", "window": "2d"},
        {"name": "lost_2d", "function": "sum", "column": "lost", "window": "2d", "delay": "1d", "empty": 0},
        {"name": "heavy_2d", "function": "count", "window": "2d", "where": "grams > 5"},
        {"name": "weights_1d", "function": "distinct_count", "column": "grams", "window": "1d"},
        {"name": "since_last", "function": "time_since_last", "window": "2d"},
        {"name": "lost_a_gram", "function": "ratio", "numerator": "lost_2d", "denominator": "grams_2d"},
    ],
}
FEATURES = tuple(feature["name"] for feature in SHOP_PARCELS["features"])
PRODUCT: dict[str, Any] = {
    "name": "lost_parcels",
    "owners": ["team:post"],
    "source": "parcels",
    "entities": ["shop"],
    "feature_views": ["shop_parcels"],
    "inputs": ["grams", "shop_parcels"],
    "label": {"column": "lost", "delay": "1d"},
    "split": {"train_days": 3, "delay_days": 1, "test_days": 2},
    "estimator": {
        "path": "sklearn.linear_model.LogisticRegression",
        "preprocessing": ["standardise", "impute_median"],
    },
    "metrics": ["roc_auc", "average_precision"],
    "gates": [
        {"kind": "floor", "metric": "roc_auc", "at_least": 0.5},
        {"kind": "not_worse_than_champion", "metric": "roc_auc", "entity": "shop", "resamples": 50},
        {"kind": "contract"},
        {"kind": "feature_equality"},
        {"kind": "leakage"},
        {"kind": "parity"},
    ],
}


@dataclass(frozen=True)
class Parcel:
    """One version of a parcel: what was said of it from `known` on."""

    parcel: int
    at: int
    shop: int
    grams: int
    lost: int
    known: int

    @property
    def day(self) -> int:
        return self.at // 24


def moment(hours: int) -> datetime:
    return BEGINS + timedelta(hours=hours)


class Service:
    """A home to which days are delivered, in the order of arrival, with what each delivery changed."""

    def __init__(self, root: Path, **declared: Any) -> None:
        self.stores = Stores.at(Home.at(root))
        folder = root / "declared"
        folder.mkdir(parents=True)
        (folder / "contract.json").write_text('{"name": "parcels", "expectations": []}')
        self.repository = Repository(
            sources={"parcels": Source.model_validate({**SOURCE, **declared.pop("source", {})})},
            entities={"shop": Entity(name="shop", join_key="shop")},
            feature_views={
                "shop_parcels": FeatureView.model_validate({**SHOP_PARCELS, **declared.pop("view", {})})
            },
            folders={"parcels": folder},
        )
        self.product = Product.model_validate({**PRODUCT, **declared})
        self.present: dict[int, Parcel] = {}

    @property
    def source(self) -> Source:
        return self.repository.source("parcels")

    def deliver(self, parcels: Iterable[Parcel], *, gone: Iterable[int] = ()) -> None:
        """Bring in versions of parcels; the days they fall on are written again."""
        parcels, gone = list(parcels), list(gone)
        days = {p.day for p in parcels} | {self.present[name].day for name in gone}
        days |= {self.present[p.parcel].day for p in parcels if p.parcel in self.present}
        for parcel in parcels:
            self.present[parcel.parcel] = parcel
        for name in gone:
            del self.present[name]
        for day in sorted(days):
            self.write(day)

    def write(self, day: int) -> Manifest:
        rows = sorted((p for p in self.present.values() if p.day == day), key=lambda p: p.parcel)
        plain = {name: [getattr(p, name) for p in rows] for name in ("parcel", "shop", "grams", "lost")}
        table = pa.table(
            {
                **{name: pa.array(values, pa.int64()) for name, values in plain.items()},
                "at": pa.array([moment(p.at) for p in rows], pa.timestamp("us")),
                AVAILABLE_AT: pa.array([moment(p.known) for p in rows], pa.timestamp("us")),
            }
        ).select([*self.source.column_names, AVAILABLE_AT])
        manifest = self.stores.lake.table(raw_table("parcels")).write(
            DAYS[day],
            table,
            key=["parcel"],
            code_version="1",
            inputs={"source": {DAYS[day]: "token"}},
            cause="test",
        )
        self.trust(manifest)
        return manifest

    def trust(self, raw: Manifest) -> None:
        """Record contract evidence for a raw day as if the contract had been evaluated."""
        version = declared_contract(self.source, self.repository.contract_path(self.source)).version
        self.stores.evidence.record(
            Evidence(
                kind=KIND,
                subject=raw.table,
                partition=raw.partition,
                verdict=Verdict.PASSED,
                reason="test",
                versions=contract_versions(raw.digest, version),
            )
        )

    def training_set(self) -> Manifest:
        split = newest_split(self.stores, self.repository, self.product)
        for name, days in days_read(self.repository, self.product, split).features.items():
            view = self.repository.feature_view(name)
            entity = self.repository.entity_of(view)
            build_feature_days(self.stores, self.source, entity, view, list(days), untrusted={}, cause="test")
        suite = self.repository.contract_path(self.source)
        return build_training_set(self.stores, self.repository, self.product, suite_path=suite, cause="test")


def on_time(parcels: Iterable[Parcel]) -> list[Parcel]:
    """The same parcels, each known when it happened."""
    return [replace(p, known=p.at) for p in parcels]


class Judge:
    """Training sets by brute force from all versions ever delivered: then, and now."""

    def __init__(self, delivered: Iterable[Parcel]) -> None:
        self.versions: dict[int, list[Parcel]] = {}
        for parcel in sorted(delivered, key=lambda p: p.known):
            self.versions.setdefault(parcel.parcel, []).append(parcel)

    def known(self, parcel: int, at: int) -> Parcel | None:
        """What was said of a parcel at a time, the last word of those that had arrived."""
        arrived = [v for v in self.versions[parcel] if v.known <= at]
        return arrived[-1] if arrived else None

    def now(self) -> dict[int, dict[str, Any]]:
        last = [versions[-1] for versions in self.versions.values()]
        return {
            p.parcel: self._row(p, p.lost, [q for q in last if q.at <= p.at])
            for p in last
            if p.day in {*TRAIN_DAYS, *TEST_DAYS}
        }

    def then(self) -> dict[int, dict[str, Any]]:
        found = {}
        for parcel, versions in self.versions.items():
            in_time = [v for v in versions if self.known(parcel, v.at) is v]
            seen = in_time[0] if in_time else versions[0]
            if seen.day not in {*TRAIN_DAYS, *TEST_DAYS}:
                continue
            held = self.known(parcel, TRAINED_AT if seen.day in TRAIN_DAYS else EVALUATED_AT)
            if held is None:
                continue
            told = [self.known(other, seen.at) for other in self.versions]
            found[parcel] = self._row(seen, held.lost, [v for v in told if v and v.at <= seen.at])
        return found

    @staticmethod
    def _row(parcel: Parcel, lost: int, told: list[Parcel]) -> dict[str, Any]:
        mine = [v for v in told if v.shop == parcel.shop]
        fresh = [v for v in mine if v.at >= parcel.at - 6]
        row: dict[str, Any] = {"at": moment(parcel.at), "grams": parcel.grams, "lost": lost}
        row |= {"_split": "train" if parcel.day in TRAIN_DAYS else "test", "shop": parcel.shop}
        if not fresh:
            return row | dict.fromkeys(FEATURES)
        end = max(v.at for v in fresh)

        def window(hours: int, delay: int = 0) -> list[Parcel]:
            return [v for v in mine if end - delay - hours < v.at <= end - delay]

        two_days = window(48)
        grams, lost_before = sum(v.grams for v in two_days), sum(v.lost for v in window(48, 24))
        times = sorted(v.at for v in two_days)
        return row | {
            "count_1d": len(window(24)),
            "grams_2d": grams,
            "largest_2d": max(v.grams for v in two_days),
            "lost_2d": lost_before,
            "heavy_2d": sum(1 for v in two_days if v.grams > 5),
            "weights_1d": len({v.grams for v in window(24)}),
            "since_last": 3600 * (times[-1] - times[-2]) if len(times) > 1 else None,
            "lost_a_gram": lost_before / grams,
        }


def by_parcel(rows: pa.Table) -> Mapping[int, dict[str, Any]]:
    return {row.pop("parcel"): row for row in rows.to_pylist()}
