"""A driver repository that was read and applied once, and a copy of it for each test."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from driver_world import DriverWorld
from rides_project import Rides

from platform_assets.feast_project.snapshot_cache import make_snapshot
from platform_assets.home import Home


@pytest.fixture(scope="session")
def applied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository, read and applied in a process of its own, once for all tests of a worker."""
    folder = tmp_path_factory.mktemp("rides")
    world = DriverWorld(folder).write()
    make_snapshot(Home.at(folder / "home"), "rides", world.repo, apply=True)
    return folder


@pytest.fixture
def rides(applied: Path, tmp_path: Path) -> Rides:
    copied = tmp_path / "rides"
    shutil.copytree(applied, copied)
    return Rides(DriverWorld(copied))
