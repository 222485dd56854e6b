"""What a disk or a database that failed means for the user, whichever library said so."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from platform_assets.errors import LakeError

_FULL = (
    "the disk is full: free some space (`platform-assets collect-garbage` tells what old versions take) "
    "and run again; what was finished stays"
)
_READ_ONLY = (
    "it cannot be written: make it writable for this user, or set PLATFORM_HOME to another folder, "
    "and run again"
)
_BROKEN = "the disk reports errors: restore the home from a copy on another disk"

_BY_NUMBER = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EFBIG: _FULL,
    errno.EROFS: _READ_ONLY,
    errno.EACCES: _READ_ONLY,
    errno.EPERM: _READ_ONLY,
    errno.EIO: _BROKEN,
}
# SQLite's own words; other libraries repeat those of the operating system
_BY_WORDS = {
    "database or disk is full": _FULL,
    "disk I/O error": (
        "the disk is full or failing: free some space (`platform-assets collect-garbage` tells what old "
        "versions take), or restore the home on another disk, and run again"
    ),
    "attempt to write a readonly database": _READ_ONLY,
    "unable to open database file": _READ_ONLY,
    **{os.strerror(number): fix for number, fix in _BY_NUMBER.items() if number != errno.EPERM},
}


def fix_of(error: BaseException) -> str | None:
    """What to do about a failed disk behind an error or its causes; None when there is none."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.errno in _BY_NUMBER:
            return _BY_NUMBER[seen.errno]
        if found := fix_in(str(seen)):
            return found
        seen = seen.__cause__ or seen.__context__
    return None


def fix_in(text: str) -> str | None:
    """The same, read from an error's words."""
    return next((fix for words, fix in _BY_WORDS.items() if words in text), None)


@contextlib.contextmanager
def storage_told(path: Path) -> Iterator[None]:
    """Turn a failed disk into a LakeError that names the file and the fix."""
    try:
        yield
    except OSError as error:
        fix = _BY_NUMBER.get(error.errno or 0)
        if fix is None:
            raise
        raise LakeError(f"{path}: {os.strerror(error.errno or 0)}; {fix}") from error
