"""The gate feature_equality: passes on right features, fails on wrong ones, knows when it does not know."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from platform_assets.declaration.estimator import Estimator
from platform_assets.declaration.feature_view import Entity, Feature, FeatureView
from platform_assets.declaration.gate import FeatureEquality
from platform_assets.declaration.product import Label, Product, Split
from platform_assets.declaration.repository import Repository
from platform_assets.declaration.source import Column, Source
from platform_assets.evidence.evidence import Verdict
from platform_assets.features.as_of_join import AsOfView, as_of_join
from platform_assets.features.compute import build_feature_days
from platform_assets.features.equality import feature_equality, sampled_keys
from platform_assets.features.reach import raw_days
from platform_assets.home import Home
from platform_assets.lake.digest import document_digest
from platform_assets.lake.manifest import Manifest
from platform_assets.stores import Stores
from platform_assets.vocabulary import AVAILABLE_AT, feature_table, product_table, raw_table

START = date(2020, 1, 1)
SOURCE = Source(
    name="orders",
    owners=("team:x",),
    location="x",
    start=START,
    columns=(
        Column(name="order", type="string"),
        Column(name="placed", type="timestamp"),
        Column(name="buyer", type="string"),
        Column(name="price", type="float64", scale=2, nullable=True),
        Column(name="returned", type="bool"),
    ),
    primary_key=("order",),
    event_timestamp="placed",
    contract="x.json",
)
BUYER, ORDER = Entity(name="buyer", join_key="buyer"), Entity(name="order", join_key="order")


def view_of(name: str, entity: str, *features: dict[str, Any]) -> FeatureView:
    return FeatureView(
        name=name,
        owners=("team:x",),
        source="orders",
        entity=entity,
        features=[Feature(**f) for f in features],
    )


SPENDING = view_of(
    "spending",
    "buyer",
    {"name": "orders_2d", "function": "count", "window": "2d"},
    {"name": "mean_2d", "function": "mean", "column": "price", "window": "2d"},
    {"name": "returns", "function": "mean", "column": "returned", "window": "3d", "delay": "1d", "empty": 0},
    {"name": "dearest", "function": "max", "column": "price", "window": "12h", "include_current_row": False},
    {"name": "sent_back", "function": "count", "window": "2d", "where": "returned and price > 10"},
    {"name": "spread", "function": "stddev", "column": "price", "window": "2d"},
    {"name": "unusual", "function": "expression", "expression": "(price - mean_2d) / spread"},
)
CALENDAR = view_of(
    "calendar",
    "order",
    {"name": "weekend", "function": "weekend"},
    {"name": "price_now", "function": "value", "column": "price"},
)
REPOSITORY = Repository(
    {"orders": SOURCE}, {"buyer": BUYER, "order": ORDER}, {v.name: v for v in (SPENDING, CALENDAR)}
)
SPENDING, CALENDAR = (REPOSITORY.feature_view(name) for name in ("spending", "calendar"))
PRODUCT = Product.model_construct(
    name="returns",
    owners=("team:x",),
    source="orders",
    entities=("buyer", "order"),
    feature_views=("spending", "calendar"),
    inputs=("price", "spending", "calendar:weekend", "calendar:price_now"),
    label=Label(column="returned", delay="1d"),
    split=Split(train_days=2, delay_days=1, test_days=2),
    estimator=Estimator(path="a.b"),
    gates=(FeatureEquality(kind="feature_equality", entities=4),),
)
NUMBERS = (
    "orders_2d", "mean_2d", "returns", "dearest", "sent_back", "spread", "unusual", "weekend", "price_now",
)  # fmt: skip
SPLIT_DAYS = ("2020-01-07", "2020-01-08", "2020-01-10", "2020-01-11")


@dataclass(frozen=True)
class House:
    """A small lake with a training set built the way the training room does."""

    stores: Stores
    training_set: Manifest

    def judged(self, product: Product = PRODUCT, repository: Repository = REPOSITORY) -> Any:
        return feature_equality(self.stores, repository, product, self.training_set)

    def rewritten(self, change: Callable[[pa.Table], pa.Table]) -> House:
        table = self.stores.lake.table(product_table("returns", "training_set"))
        m = self.training_set
        manifest = table.write(
            m.partition, change(pq.read_table(table.path(m))), key=m.key, code_version=m.code_version,
            inputs=m.inputs, cause="test", notes=m.notes,
        )  # fmt: skip
        return replace(self, training_set=manifest)


def house(
    folder: Path, late: int = 0, repository: Repository = REPOSITORY, product: Product = PRODUCT
) -> House:
    """Eleven days of orders; of every `late` orders one becomes known some hours later."""
    stores = Stores.at(Home.at(folder))
    rng = np.random.default_rng(0)
    raw = stores.lake.table(raw_table("orders"))
    for number in range(11):
        n = 60
        began = datetime(2020, 1, 1, tzinfo=UTC).replace(tzinfo=None) + timedelta(days=number)
        moments = [began + timedelta(minutes=int(m)) for m in rng.integers(0, 144, n) * 10]
        known = [m + timedelta(hours=9 if late and i % late == 0 else 0) for i, m in enumerate(moments)]
        raw.write(
            (START + timedelta(days=number)).isoformat(),
            pa.table(
                {
                    "order": [f"o{number:02d}-{i:03d}" for i in range(n)],
                    "placed": pa.array(moments, pa.timestamp("us")),
                    "buyer": [f"b{b}" for b in rng.integers(0, 12, n)],
                    "price": pa.array(rng.integers(0, 9999, n) / 100, mask=rng.random(n) < 0.1),
                    "returned": pa.array(rng.random(n) < 0.3),
                    AVAILABLE_AT: pa.array(known, pa.timestamp("us")),
                }
            ),
            key=["order"], code_version="1", inputs={}, cause="test",
        )  # fmt: skip
    everything = raw.partitions()
    inputs: dict[str, dict[str, str]] = {raw_table("orders"): {}}
    views = []
    days = raw_days(SPLIT_DAYS, SPENDING, start=START) | {
        (date.fromisoformat(day) - timedelta(days=1)).isoformat() for day in SPLIT_DAYS
    }
    for view in repository.views_of(product):
        entity = repository.entity_of(view)
        build_feature_days(stores, SOURCE, entity, view, everything, untrusted={}, cause="test")
        table = stores.lake.table(feature_table(view.name))
        views.append(
            AsOfView(view.name, tuple(table.paths(sorted(days))), entity.join_keys, "placed", AVAILABLE_AT,
                     view.feature_names, view.ttl)
        )  # fmt: skip
        inputs[raw_table("orders")] |= raw.digests(raw_days(days, view, start=START))
    rows = raw.read(SPLIT_DAYS).select(["order", "placed", "buyer", "price", "returned"])
    joined = as_of_join(rows, views, event_timestamp="placed")
    manifest = stores.lake.table(product_table("returns", "training_set")).write(
        "split", joined, key=["order"], code_version="1", inputs=inputs, cause="test",
        notes={
            "views": {view.name: view.code_version for view in repository.views_of(product)},
            "reading": "as_known_then",
        },
    )  # fmt: skip
    return House(stores, manifest)


@pytest.fixture(scope="module")
def right(tmp_path_factory: Any) -> House:
    return house(tmp_path_factory.mktemp("right"))


@pytest.mark.parametrize("late", [0, 5], ids=["all known at once", "some known nine hours later"])
def test_right_features_pass(tmp_path: Path, late: int) -> None:
    built = house(tmp_path, late)
    evidence = built.judged()
    assert (evidence.verdict, evidence.reason) == (Verdict.PASSED, evidence.reason)
    assert evidence.measured["columns"] == len(NUMBERS)
    assert evidence.measured["rows"] > 40
    assert evidence.measured["mismatches"] == {}
    assert evidence.measured["max_abs_error"] <= 1e-9
    assert evidence.limits == {"tolerance": 1e-9, "entities": 4}
    assert evidence.versions == {
        "training_set": built.training_set.digest,
        "views": document_digest({view.name: view.code_version for view in (SPENDING, CALENDAR)}),
    }
    subject = product_table("returns", "training_set")
    assert built.stores.evidence.latest("feature_equality", subject, "split") == evidence


def everywhere(
    name: str, change: Callable[[pa.ChunkedArray], pa.ChunkedArray]
) -> Callable[[pa.Table], pa.Table]:
    def changed(table: pa.Table) -> pa.Table:
        return table.set_column(table.column_names.index(name), name, change(table.column(name)))

    return changed


WRONG = {
    "one too many": ("orders_2d", lambda c: pc.add(c, 1)),
    "a little off": ("mean_2d", lambda c: pc.add(c, 1e-6)),
    "null where a value is": ("returns", lambda c: pc.if_else(pc.greater(c, 0.0), None, c)),
    "a value where null is": ("dearest", lambda c: pc.fill_null(c, 0.0)),
    "NaN everywhere": ("mean_2d", lambda c: pa.chunked_array([pa.array([float("nan")] * len(c))])),
    "infinite": ("mean_2d", lambda c: pa.chunked_array([pa.array([float("inf")] * len(c))])),
    "weekend turned round": ("weekend", lambda c: pc.subtract(1, c)),
    "the own row's value of another": ("price_now", lambda c: pa.chunked_array([c.combine_chunks()[::-1]])),
}


@pytest.mark.parametrize(("name", "change"), WRONG.values(), ids=WRONG.keys())
def test_wrong_features_fail(right: House, name: str, change: Any) -> None:
    evidence = right.rewritten(everywhere(name, change)).judged()
    assert evidence.verdict is Verdict.FAILED
    assert list(evidence.measured["mismatches"]) == [name]
    assert name in evidence.reason


def test_features_from_the_future_fail(tmp_path: Path) -> None:
    """Late rows joined as if they had been known at once."""
    built = house(tmp_path, late=5)
    raw, features = (
        built.stores.lake.table(name) for name in (raw_table("orders"), feature_table("spending"))
    )
    days = raw.partitions()
    rows = features.read(days).select(["order", "orders_2d"])

    def naive(table: pa.Table) -> pa.Table:
        own = dict(zip(rows.column("order").to_pylist(), rows.column("orders_2d").to_pylist(), strict=True))
        values = pa.array([own[name] for name in table.column("order").to_pylist()])
        return table.set_column(table.column_names.index("orders_2d"), "orders_2d", values)

    evidence = built.rewritten(naive).judged()
    assert evidence.verdict is Verdict.FAILED
    assert evidence.measured["mismatches"]["orders_2d"] > 0


def without(table: str, *days: str) -> Callable[[House], House]:
    def changed(built: House) -> House:
        inputs = {name: dict(parts) for name, parts in built.training_set.inputs.items()}
        inputs[table] = {day: digest for day, digest in inputs[table].items() if day not in days}
        return replace(built, training_set=replace(built.training_set, inputs=inputs))

    return changed


def empty(built: House) -> House:
    return built.rewritten(lambda table: table.slice(0, 0))


def no_column(built: House) -> House:
    return built.rewritten(lambda table: table.drop_columns(["mean_2d"]))


def other_view(built: House) -> House:
    views = {**built.training_set.notes["views"], "spending": "v0-other"}
    return replace(built, training_set=replace(built.training_set, notes={"views": views}))


def lost_file(built: House) -> House:
    return replace(built, training_set=replace(built.training_set, file="data/nowhere.parquet"))


def unknown_digest(built: House) -> House:
    inputs = {raw_table("orders"): dict.fromkeys(built.training_set.inputs[raw_table("orders")], "0" * 32)}
    return replace(built, training_set=replace(built.training_set, inputs=inputs))


UNKNOWN = {
    "a raw day in reach is not an input": (without(raw_table("orders"), "2020-01-06"), "2020-01-06"),
    "no raw day is an input": (
        without(raw_table("orders"), *(f"2020-01-{d:02d}" for d in range(1, 12))),
        "no raw day",
    ),
    "raw version is gone": (unknown_digest, "has no version"),
    "no rows": (empty, "no buyer to sample"),
    "a column is missing": (no_column, "no column mean_2d"),
    "built with another view": (other_view, "v0-other"),
    "training set file is gone": (lost_file, "nowhere.parquet"),
}


@pytest.mark.parametrize(("change", "says"), UNKNOWN.values(), ids=UNKNOWN.keys())
def test_could_not_measure_is_unknown(right: House, change: Callable[[House], House], says: str) -> None:
    evidence = change(right).judged()
    assert evidence.verdict is Verdict.UNKNOWN
    assert says in evidence.reason


def test_judges_the_raw_versions_the_training_set_was_made_from(tmp_path: Path) -> None:
    built = house(tmp_path)
    raw = built.stores.lake.table(raw_table("orders"))
    raw.write(
        "2020-01-07",
        raw.read(["2020-01-07"]).slice(0, 5),
        key=["order"],
        code_version="1",
        inputs={},
        cause="later",
    )
    assert built.judged().verdict is Verdict.PASSED


def test_features_that_are_not_inputs_are_not_judged(right: House) -> None:
    product = PRODUCT.model_copy(update={"inputs": ("price", "spending:orders_2d")})
    assert right.judged(product).measured["columns"] == 1


def test_a_product_without_features_passes(right: House) -> None:
    product = PRODUCT.model_copy(update={"inputs": ("price",)})
    evidence = right.judged(product)
    assert (evidence.verdict, evidence.reason) == (Verdict.PASSED, "the product uses no features")


def test_the_sample_is_the_same_in_every_process() -> None:
    assert sampled_keys([5, 3, None, 8, 1, 9], 3) == sampled_keys([9, 8, 5, 3, 1], 3)
    assert sampled_keys(range(20), 4) == sampled_keys(reversed(range(20)), 4)
    assert len(set(sampled_keys(range(1000), 30))) == 30


# a view in SQL, which looks at other entities too

IN_SQL = FeatureView.model_validate(
    {
        "name": "rank",
        "owners": ["team:x"],
        "source": "orders",
        "entity": "buyer",
        "online": False,
        "reach": "1d",
        "sql": 'SELECT "order", placed, buyer, price - max(price) OVER (ORDER BY placed RANGE BETWEEN INTERVAL 1 '
        "DAY PRECEDING AND CURRENT ROW) AS below FROM {source}",
        "features": [{"name": "below", "function": "sql"}],
    }
)
RANKED = PRODUCT.model_copy(update={"feature_views": ("rank",), "inputs": ("rank",)})


def ranked(**changes: Any) -> Repository:
    view = FeatureView.model_validate({**IN_SQL.model_dump(mode="json"), **changes})
    return Repository({"orders": SOURCE}, {"buyer": BUYER, "order": ORDER}, {"rank": view})


def test_a_view_in_sql_is_not_measured_unless_it_says_how(tmp_path: Path) -> None:
    found = house(tmp_path, 0, ranked(), RANKED).judged(RANKED, ranked())
    assert found.verdict is Verdict.UNKNOWN
    assert "recomputed_on: spark" in found.reason


@pytest.mark.slow
@pytest.mark.spark
def test_a_view_in_sql_is_recomputed_on_spark(tmp_path: Path) -> None:
    repository = ranked(recomputed_on="spark")
    made = house(tmp_path, 7, repository, RANKED)
    found = made.judged(RANKED, repository)
    assert found.verdict is Verdict.PASSED, found.reason
    assert found.measured["rows"] > 20
    shifted = made.rewritten(lambda rows: rows.set_column(
        rows.column_names.index("below"), "below", pc.add(rows.column("below"), 0.01)))  # fmt: skip
    assert shifted.judged(RANKED, repository).verdict is Verdict.FAILED
