"""A driver repository with its home, for tests that change it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from driver_world import DriverWorld

from platform_assets.components.feast_project import read_project
from platform_assets.declaration.feast_project import Project
from platform_assets.feast_project.latest_rows import build_latest, cut_off
from platform_assets.feast_project.online_state import fill_online
from platform_assets.feast_project.open_project import OpenProject, open_project
from platform_assets.feast_project.snapshot import Snapshot, View
from platform_assets.feast_project.snapshot_cache import fresh_snapshot
from platform_assets.feast_project.source_state import keep_source_state
from platform_assets.home import Home
from platform_assets.stores import Stores

HOURLY = "driver_hourly_stats"
FRESH = "driver_fresh_stats"


@dataclass
class Rides:
    """A world with its home, opened as often as a test changes it."""

    world: DriverWorld

    @property
    def home(self) -> Home:
        return Home.at(self.world.folder / "home")

    @property
    def stores(self) -> Stores:
        return Stores.at(self.home)

    @property
    def project(self) -> Project:
        return read_project(self.world.declaration)

    @property
    def snapshot(self) -> Snapshot:
        return fresh_snapshot(self.home, "rides", self.world.repo)

    def opened(self, **changes: Any) -> OpenProject:
        project = self.project.model_copy(update=changes)
        return open_project(self.stores, project, self.world.repo, self.snapshot)

    def view(self, name: str = HOURLY) -> View:
        return self.snapshot.view(name)

    def materialize(self, name: str = HOURLY) -> OpenProject:
        """Source, newest rows and online values of a view."""
        opened = self.opened()
        keep_source_state(opened, opened.snapshot.source("driver_hourly"), cause="test")
        build_latest(opened, self.view(name), cut_off(opened, datetime.now(UTC)), cause="test")
        fill_online(opened, self.view(name), cause="test")
        return opened

    def rewrite(self, change: Callable[[pa.Table], pa.Table]) -> None:
        """Change the rows of the source."""
        pq.write_table(change(pq.read_table(self.world.hourly)), self.world.hourly)


def keys(*drivers: int) -> pa.Table:
    """Entities as the stores are asked for them."""
    return pa.table({"driver_id": pa.array(drivers, pa.int64())})


def row(driver: int, **values: object) -> pa.Table:
    """One row of the hourly view."""
    usual = {"conv_rate": 0.5, "acc_rate": 0.5, "avg_daily_trips": 7, "city": "Oslo", **values}
    return pa.table({"driver_id": pa.array([driver], pa.int64()), **{n: [v] for n, v in usual.items()}})
