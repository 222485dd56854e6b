"""Which folders hold feature repositories, and what is declared in them."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

from platform_assets.declaration.repository import Repository, read_repository
from platform_assets.environments import environment

PACKAGED = Path(__file__).resolve().parent.parent / "feature_repo"


@functools.lru_cache(maxsize=8)
def _read(folders: tuple[Path, ...], _stamps: tuple[tuple[str, int], ...]) -> Repository:
    return read_repository(folders)


def repository(*more: Path) -> Repository:
    """Everything declared in the packaged repository, `PLATFORM_FEATURE_REPO` and `more` folders."""
    folders = shared_folders()
    folders += tuple(folder for folder in more if folder not in folders and folder.is_dir())
    stamps = tuple(
        (str(path), path.stat().st_mtime_ns)
        for folder in folders
        for pattern in ("*.yaml", "*.json", "contracts/*.json")
        for path in sorted(folder.glob(pattern))
    )
    return _read(folders, stamps)


def shared_folders() -> tuple[Path, ...]:
    """Folders whose sources and views are open to every product."""
    return (PACKAGED, *environment().feature_repos)


def product_folders(product_file: Path) -> Sequence[Path]:
    """A product's own feature repository lies beside its defs.yaml."""
    return [product_file.parent / "feature_repo"]
