"""One `platform-assets run` on a home at a time; a second one is told who is at work."""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Iterator

from platform_assets.errors import Blocked
from platform_assets.home import Home
from platform_assets.lake.atomic_files import exclusive_lock, write_atomically
from platform_assets.lake.lake import utc_now


@contextlib.contextmanager
def only_run(home: Home) -> Iterator[None]:
    """Hold the home's run lock, which ends with the process. Raises Blocked when another process holds it.

    Runs that the daemon launches are not kept out: each partition has its own lock.
    """
    holder = home.locks / "run.json"
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(exclusive_lock(home.locks / "run.lock", wait=False))
        except BlockingIOError:
            raise Blocked(
                f"{home.root}: another run is at work on this home ({_told(home)}); wait until it has ended, "
                f"or stop it, and run again. A second home is one variable away: PLATFORM_HOME=<folder>"
            ) from None
        about = {"process": os.getpid(), "host": socket.gethostname(), "since": utc_now()}
        write_atomically(holder, (json.dumps(about) + "\n").encode())
        yield


def _told(home: Home) -> str:
    """Who holds the lock; it may not have written its name yet."""
    try:
        about = json.loads((home.locks / "run.json").read_bytes())
        return f"process {about['process']} on {about['host']}, since {about['since'][:19]} UTC"
    except (OSError, ValueError, KeyError):
        return "it has just begun"
