"""A Feast user's repository with the layout of Feast's public driver example, written from scratch.

Hourly statistics of drivers in Parquet, a view with a TTL of a day, the same fed by a push source, an
on-demand view with a request value, feature services, and an entity frame of orders with a label.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

END = datetime(2026, 3, 8, tzinfo=UTC)
"""The hour after the newest statistics."""
DRIVERS = 12
DAYS = 4

SETTINGS = """\
project: rides
provider: local
registry: data/registry.db
online_store: {type: sqlite, path: data/online.db}
offline_store: {type: dask}
entity_key_serialization_version: 3
"""

DEFINITIONS = """\
from datetime import timedelta

import pandas as pd
from feast import Entity, FeatureService, FeatureView, Field, FileSource, PushSource, RequestSource
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Float32, Float64, Int64, String

driver = Entity(name="driver", join_keys=["driver_id"])

hourly = FileSource(
    name="driver_hourly",
    path="data/driver_hourly.parquet",
    timestamp_field="event_timestamp",
    created_timestamp_column="created",
)

driver_hourly_stats = FeatureView(
    name="driver_hourly_stats",
    entities=[driver],
    ttl=timedelta(days=1),
    schema=[
        Field(name="conv_rate", dtype=Float32, description="Offers that became rides"),
        Field(name="acc_rate", dtype=Float64),
        Field(name="avg_daily_trips", dtype=Int64),
        Field(name="city", dtype=String),
    ],
    source=hourly,
    online=True,
    owner="drivers@rides.example",
)

pushed = PushSource(name="driver_push", batch_source=hourly)

driver_fresh_stats = FeatureView(
    name="driver_fresh_stats",
    entities=[driver],
    ttl=timedelta(days=1),
    schema=[Field(name="conv_rate", dtype=Float32), Field(name="avg_daily_trips", dtype=Int64)],
    source=pushed,
    online=True,
)

order = RequestSource(name="order", schema=[Field(name="bonus", dtype=Int64)])


@on_demand_feature_view(
    sources=[driver_hourly_stats, order],
    schema=[Field(name="trips_with_bonus", dtype=Int64)],
)
def order_features(inputs: pd.DataFrame) -> pd.DataFrame:
    made = pd.DataFrame()
    made["trips_with_bonus"] = (inputs["avg_daily_trips"].fillna(0) + inputs["bonus"]).astype("int64")
    return made


ranking_v1 = FeatureService(
    name="ranking_v1",
    features=[driver_hourly_stats[["conv_rate", "avg_daily_trips"]], order_features],
)
"""

DECLARATION = """\
type: platform_assets.components.FeastProject

attributes:
  name: rides
  repo: feast_repo
  owners: ["team:rides"]
  as_of: newest
  freshness: 2h
  training_sets:
    - {name: ranking, entities: data/orders.parquet, feature_service: ranking_v1}
"""


@dataclass(frozen=True)
class DriverWorld:
    """The repository below `folder/feast_repo`, with its declaration beside it."""

    folder: Path

    @property
    def repo(self) -> Path:
        return self.folder / "feast_repo"

    @property
    def declaration(self) -> Path:
        return self.folder / "defs.yaml"

    @property
    def hourly(self) -> Path:
        return self.repo / "data" / "driver_hourly.parquet"

    @property
    def orders(self) -> Path:
        return self.repo / "data" / "orders.parquet"

    def write(self, rows: pa.Table | None = None) -> DriverWorld:
        """Write every file; `rows` instead of the usual hourly statistics."""
        (self.repo / "data").mkdir(parents=True, exist_ok=True)
        (self.repo / "feature_store.yaml").write_text(SETTINGS)
        (self.repo / "example_repo.py").write_text(DEFINITIONS)
        self.declaration.write_text(DECLARATION)
        pq.write_table(hourly_rows() if rows is None else rows, self.hourly)
        pq.write_table(order_rows(), self.orders)
        return self

    def change(self, old: str, new: str, file: str = "example_repo.py") -> None:
        """Replace text in a file of the repository, which must hold it."""
        path = self.repo / file
        assert old in path.read_text(), old
        path.write_text(path.read_text().replace(old, new))


def hourly_rows(drivers: int = DRIVERS, days: int = DAYS, seed: int = 7) -> pa.Table:
    """Statistics of each driver at each full hour; the last driver stopped two days before the end.

    Some hours were corrected: a second row, created later. Some values are null.
    """
    random = np.random.default_rng(seed)
    start = END - timedelta(days=days)
    keys, times, created = [], [], []
    for driver in range(1001, 1001 + drivers):
        hours = (days - 2) * 24 if driver == 1000 + drivers else days * 24
        for hour in range(hours):
            moment = start + timedelta(hours=hour)
            keys.append(driver)
            times.append(moment)
            created.append(moment + timedelta(minutes=5))
            if (driver + hour) % 17 == 0:
                keys.append(driver)
                times.append(moment)
                created.append(moment + timedelta(hours=3))
    count = len(keys)
    trips = random.integers(0, 500, count)
    return pa.table(
        {
            "driver_id": pa.array(keys, pa.int64()),
            "event_timestamp": pa.array(times, pa.timestamp("us", tz="UTC")),
            "created": pa.array(created, pa.timestamp("us", tz="UTC")),
            "conv_rate": pa.array(random.random(count), pa.float64()),
            "acc_rate": pa.array(
                np.where(random.random(count) < 0.05, None, random.random(count)), pa.float64()
            ),
            "avg_daily_trips": pa.array(trips, pa.int64()),
            "city": pa.array(random.choice(["Bern", "Köln", "Oslo"], count)),
        }
    )


def order_rows(orders: int = 40, seed: int = 11) -> pa.Table:
    """Orders to rank drivers for: some of drivers nobody knows, some before any statistics."""
    random = np.random.default_rng(seed)
    minutes = random.integers(-600, DAYS * 1440, orders)
    start = END - timedelta(days=DAYS)
    return pa.table(
        {
            "order_id": pa.array(range(orders), pa.int64()),
            "driver_id": pa.array(random.integers(1000, 1001 + DRIVERS, orders), pa.int64()),
            "event_timestamp": pa.array(
                [start + timedelta(minutes=int(minute)) for minute in minutes], pa.timestamp("us", tz="UTC")
            ),
            "bonus": pa.array(random.integers(0, 5, orders), pa.int64()),
            "accepted": pa.array(random.integers(0, 2, orders), pa.int64()),
        }
    )
