"""Dagster's web server on a workspace, on a free loopback port, ended with all it started."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def web_server(workspace: Path, variables: Mapping[str, str], folder: Path) -> Iterator[str]:
    """Its address, once it answers; its log, should it die before, stands in the assertion."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = folder / "web.log"
    with log.open("wb") as handle:
        server = subprocess.Popen(
            [str(Path(sys.executable).parent / "dagster-webserver"), "-w", str(workspace), "-p", str(port)],
            env=dict(variables), cwd=folder, stdout=handle, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    try:
        for _ in range(120):
            assert server.poll() is None, log.read_text()
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/server_info", timeout=5).close()
                break
            except urllib.error.URLError:
                with pytest.raises(subprocess.TimeoutExpired):
                    server.wait(timeout=1)
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(server.pid, 9)
        server.wait()
