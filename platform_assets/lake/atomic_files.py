"""Files that are either whole or not there."""

from __future__ import annotations

import contextlib
import fcntl
import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path


@contextlib.contextmanager
def half_written(target: Path) -> Iterator[Path]:
    """A temporary path beside `target`, put in its place by one rename if the body ends well."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        yield temporary
        _flush(temporary)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def write_atomically(target: Path, content: bytes) -> None:
    """Replace `target` with `content` in one rename."""
    with half_written(target) as temporary:
        temporary.write_bytes(content)


def create_once(target: Path, content: bytes) -> bool:
    """Create `target` with `content`; False when it is already there. Never half-written."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        temporary.write_bytes(content)
        _flush(temporary)
        os.link(temporary, target)
    except FileExistsError:
        return False
    finally:
        temporary.unlink(missing_ok=True)
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
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        os.link(source, temporary)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)  # rename of two links to one file leaves the temporary


@contextlib.contextmanager
def exclusive_lock(path: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold a lock file; the operating system gives it back when the process dies.

    Raises BlockingIOError when `wait` is false and somebody else holds it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        try:
            yield
        finally:
            fcntl.flock(handle, fcntl.LOCK_UN)


def _flush(path: Path) -> None:
    with path.open("rb") as handle:
        os.fsync(handle.fileno())
