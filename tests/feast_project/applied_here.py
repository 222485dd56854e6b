"""A repository read and applied in the test's own process, where Feast is imported already."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

from platform_assets.feast_project.repo_files import repo_digest
from platform_assets.feast_project.repo_reader import read_repo
from platform_assets.feast_project.snapshot import Snapshot
from platform_assets.feast_project.snapshot_cache import cached_path
from platform_assets.home import Home
from platform_assets.lake.atomic_files import write_atomically


def apply_here(home: Home, name: str, repo: Path) -> Snapshot:
    """What `make_snapshot(..., apply=True)` does; the repository's modules need names of their own."""
    sys.path.insert(0, str(repo))
    try:
        with contextlib.chdir(repo):
            snapshot = read_repo(repo, repo_digest(repo), apply=True)
    finally:
        sys.path.remove(str(repo))
    write_atomically(cached_path(home, name), snapshot.to_json())
    return snapshot
