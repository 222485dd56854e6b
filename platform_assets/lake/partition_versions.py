"""The versions of one partition, and the one atomic write that makes the next of them count.

<partition>/prepared.json    the next version, written whole, not yet in force
<partition>/current          the number of the version that counts: replacing it is the switch
<partition>/000001.json ...  every version that ever counted, oldest first

A version takes its number as a name only after the switch. So whoever is killed before the switch
leaves no version that never counted, and whoever is killed after it leaves one that is read from
`prepared.json` until the next write names it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

from platform_assets.errors import LakeError
from platform_assets.lake.atomic_files import exclusive_lock, last_number, numbered, write_atomically
from platform_assets.lake.manifest import Manifest

POINTER = "current"
PREPARED = "prepared.json"


def current_version(folder: Path) -> Manifest | None:
    """The version that counts; None when there is none. LakeError names a damaged file and the fix."""
    number = _pointed_to(folder)
    if number is None:
        return None
    named = folder / f"{number}.json"
    for path in (named, folder / PREPARED, named):  # it may take its name while we look
        with contextlib.suppress(FileNotFoundError):
            manifest = Manifest.read(path)
            if manifest.sequence == int(number):
                return manifest
    return None  # a damaged one was deleted, as told


def every_version(folder: Path) -> list[Manifest]:
    """Every version that ever counted, oldest first."""
    unnamed = current_version(folder) if (folder / PREPARED).exists() else None
    found = [Manifest.read(path) for path in numbered(folder)]
    if unnamed is not None and all(manifest.sequence != unnamed.sequence for manifest in found):
        found.append(unnamed)
    return found


@contextlib.contextmanager
def one_writer(folder: Path) -> Iterator[None]:
    """Hold the partition for writing, with whatever a killed writer left put in order."""
    with exclusive_lock(folder / ".lock"):
        _settle(folder)
        yield


def add_version(
    folder: Path, manifest_of: Callable[[int], Manifest], *, before_switch: Callable[[], None]
) -> Manifest:
    """Make the next version count; the caller is the `one_writer`.

    `manifest_of` is given its number; `before_switch` does what must be done when readers see it.
    """
    # above the pointer too: the version it names may be gone, and a new one of its number would count at once
    manifest = manifest_of(max(last_number(folder), int(_pointed_to(folder) or 0)) + 1)
    number = f"{manifest.sequence:06d}"
    prepared = folder / PREPARED
    try:
        write_atomically(prepared, manifest.to_json())
        before_switch()
        write_atomically(folder / POINTER, number.encode())
    except BaseException:
        _settle(folder)  # an interrupt may come right after the switch
        raise
    prepared.rename(folder / f"{number}.json")
    return manifest


def _settle(folder: Path) -> None:
    """What a stopped writer left: name the version that counts already, forget one that never did."""
    prepared = folder / PREPARED
    if not prepared.exists():
        return
    number = _pointed_to(folder)
    named = folder / f"{number}.json"
    if number is not None and not named.exists() and Manifest.read(prepared).sequence == int(number):
        prepared.rename(named)
    else:
        prepared.unlink()


def _pointed_to(folder: Path) -> str | None:
    pointer = folder / POINTER
    try:
        number = pointer.read_bytes().strip()
    except (FileNotFoundError, NotADirectoryError):
        return None
    if not number.isdigit():
        raise LakeError(
            f"{pointer}: damaged, it holds no version number; delete this file to rebuild its partition"
        )
    return number.decode()
