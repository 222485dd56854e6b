"""Files and folders that a command was told to write: refused in one line where nothing can be."""

from __future__ import annotations

from pathlib import Path

from platform_assets.errors import Blocked


def output_file(text: str, option: str) -> Path:
    """The path of a file to write. Raises Blocked for a folder, or a path through a file."""
    path = Path(text).resolve()
    if not text or path.is_dir():
        raise Blocked(f"{option}: {text!r} is a folder; name a file in it")
    _refuse_file_on_the_way(path.parent, option)
    return path


def output_folder(text: str, option: str) -> Path:
    """The path of a folder to write into, made if need be. Raises Blocked where none can be."""
    path = Path(text).resolve()
    _refuse_file_on_the_way(path, option)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Blocked(f"{option}: {path} cannot be made ({error.strerror}); name another path") from None
    return path


def _refuse_file_on_the_way(folder: Path, option: str) -> None:
    for part in (folder, *folder.parents):
        if part.exists() and not part.is_dir():
            raise Blocked(f"{option}: {part} is a file, not a folder; name another path")
