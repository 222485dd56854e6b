"""Both kinds of online store, for tests that must hold on each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis
from redis_server import redis_server


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with redis_server(tmp_path_factory.mktemp("redis")) as url:
        yield url


@pytest.fixture(params=["sqlite", "redis"])
def online(request: pytest.FixtureRequest) -> str:
    """What a home is told about its online store; a Redis store is empty."""
    if request.param == "sqlite":
        return ""
    url: str = request.getfixturevalue("redis_url")
    with redis.Redis.from_url(url) as client:
        client.flushdb()
    return url
