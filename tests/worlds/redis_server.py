"""A Redis server of the tests' own, on a free loopback port, ended with them."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis


@contextlib.contextmanager
def redis_server(folder: Path) -> Iterator[str]:
    """URL of a server that keeps nothing on disk; skips where redis-server is not installed."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("redis-server is not installed: apt-get install redis-server")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    with subprocess.Popen([program, *words], stdout=subprocess.DEVNULL) as server:
        try:
            _answers(port, server)
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            server.terminate()


def _answers(port: int, server: subprocess.Popen[bytes]) -> None:
    retry = redis.retry.Retry(redis.backoff.ConstantBackoff(0.05), 200)
    client = redis.Redis(port=port, retry=retry, retry_on_error=[redis.ConnectionError])
    client.ping()
    assert server.poll() is None
    client.close()
