"""Files that are either whole or not there."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from platform_assets.lake.storage_errors import storage_told

TEMPORARY = ".tmp"


@contextlib.contextmanager
def half_written(target: Path) -> Iterator[Path]:
    """A temporary path beside `target`, put in its place by one rename if the body ends well."""
    temporary = _beside(target)
    with storage_told(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            _flush(temporary)
            temporary.replace(target)
        finally:
            _forget(temporary)


def write_atomically(target: Path, content: bytes) -> None:
    """Replace `target` with `content` in one rename."""
    with half_written(target) as temporary:
        temporary.write_bytes(content)


def create_once(target: Path, content: bytes) -> bool:
    """Create `target` with `content`; False when it is already there. Never half-written."""
    temporary = _beside(target)
    with storage_told(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            temporary.write_bytes(content)
            _flush(temporary)
            os.link(temporary, target)
        except FileExistsError:
            return False
        finally:
            _forget(temporary)
    return True


def append_numbered(folder: Path, content: Callable[[int], bytes], suffix: str = ".json") -> Path:
    """Create the next of `000001.json`, `000002.json`, ...; writers at once get different numbers."""
    while True:
        number = last_number(folder, suffix) + 1
        target = folder / f"{number:06d}{suffix}"
        if create_once(target, content(number)):
            return target


def last_number(folder: Path, suffix: str = ".json") -> int:
    """The highest number in a folder of numbered files; 0 when there is none."""
    return max((int(path.stem) for path in numbered(folder, suffix)), default=0)


def numbered(folder: Path, suffix: str = ".json") -> list[Path]:
    """The numbered files of a folder, in order."""
    if not folder.is_dir():
        return []
    return sorted(p for p in folder.iterdir() if p.suffix == suffix and p.stem.isdigit())


def link_in_place(source: Path, target: Path) -> None:
    """Make `target` a hard link to `source`, replacing what was there in one rename."""
    temporary = _beside(target)
    with storage_told(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(source, temporary)
            temporary.replace(target)
        finally:
            _forget(temporary)  # rename of two links to one file leaves the temporary


@contextlib.contextmanager
def exclusive_lock(path: Path, *, wait: bool | float = True) -> Iterator[None]:
    """Hold a lock file; the operating system gives it back when the process dies.

    Raises BlockingIOError when `wait` is false and somebody else holds it, or still holds it after
    `wait` seconds.
    """
    with storage_told(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle: IO[str] = path.open("a")
    try:
        if wait is True:
            fcntl.flock(handle, fcntl.LOCK_EX)
        else:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if wait is False:
                    raise
                handle.close()
                handle = _lock_within(path, wait)
        yield
    finally:
        handle.close()  # gives the lock back


def _lock_within(path: Path, seconds: float) -> IO[str]:
    """Wait in a thread, since flock knows no limit; one that comes too late gives the lock right back."""
    handle = path.open("a")
    settled = threading.Lock()
    state = {"held": False, "given_up": False}
    held = threading.Event()

    def lock() -> None:
        fcntl.flock(handle, fcntl.LOCK_EX)
        with settled:
            if state["given_up"]:
                handle.close()
            else:
                state["held"] = True
        held.set()

    threading.Thread(target=lock, name=f"lock {path.name}", daemon=True).start()
    held.wait(seconds)
    with settled:
        if state["held"]:
            return handle
        state["given_up"] = True
    raise BlockingIOError(errno.EAGAIN, f"still held by somebody else after {seconds:g} seconds", str(path))


def _beside(target: Path) -> Path:
    return target.with_name(f".{target.name}.{os.getpid()}.{uuid.uuid4().hex[:8]}{TEMPORARY}")


def _forget(temporary: Path) -> None:
    with contextlib.suppress(OSError):  # what went wrong is told by what comes first
        temporary.unlink(missing_ok=True)


def _flush(path: Path) -> None:
    with path.open("rb") as handle:
        os.fsync(handle.fileno())
