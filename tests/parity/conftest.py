"""Worlds that parity is measured in, over SQLite and Redis."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from redis_server import redis_server
from sales_world import World


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with redis_server(tmp_path_factory.mktemp("redis")) as url:
        yield url


@pytest.fixture
def empty_redis(redis_url: str, tmp_path: Path) -> str:
    with redis.Redis.from_url(redis_url) as client:
        client.flushall()
    return redis_url


@pytest.fixture(scope="session")
def filled_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with raw days, feature days of the newest day, and filled stores; copied, never changed."""
    root = tmp_path_factory.mktemp("filled") / "home"
    made = World.at(root)
    made.build()
    made.fill()
    return root


@pytest.fixture
def world(filled_home: Path, tmp_path: Path) -> World:
    """A copy of the filled home, to do to it what a test wants."""
    root = tmp_path / "home"
    shutil.copytree(filled_home, root)
    return World.of(root)
