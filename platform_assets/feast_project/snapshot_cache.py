"""Where snapshots are kept, when one is fresh, and how one is made: in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from platform_assets.errors import DeclarationError
from platform_assets.feast_project.repo_files import repo_digest
from platform_assets.feast_project.snapshot import Snapshot
from platform_assets.home import Home
from platform_assets.lake.atomic_files import exclusive_lock, write_atomically

BESIDE = "feast_snapshot.json"
"""A snapshot beside the `defs.yaml`, shipped with an image that must start without Feast."""
LONGEST = 600
"""Seconds that a repository may take to be imported."""


def cached_path(home: Home, name: str) -> Path:
    """Where this home keeps the snapshot of a project."""
    return home.feast / "projects" / name / "snapshot.json"


def fresh_snapshot(home: Home, name: str, repo: Path, beside: Path | None = None) -> Snapshot:
    """The snapshot of the repository as its files are now, made anew only when they changed.

    Looks beside the `defs.yaml` (the folder `beside`), then in the home; else reads the repository.
    Raises DeclarationError when that fails.
    """
    digest = repo_digest(repo)
    places = [*([beside / BESIDE] if beside else []), cached_path(home, name)]
    found = next((snapshot for path in places if (snapshot := _kept(path, digest))), None)
    if found is not None:
        return found
    with exclusive_lock(home.locks / f"feast_snapshot_{name}"):
        made_by_another = _kept(cached_path(home, name), digest)
        return made_by_another or make_snapshot(home, name, repo)


def make_snapshot(home: Home, name: str, repo: Path, *, apply: bool = False) -> Snapshot:
    """Read the repository in a process of its own and keep what it declares.

    With `apply`, its registry is brought up to date in the same process. Raises DeclarationError
    with what is wrong; the snapshot that was kept stays.
    """
    repo = repo.resolve()
    digest = repo_digest(repo)
    with tempfile.TemporaryDirectory(prefix="feast-snapshot-") as folder:
        answer = Path(folder) / "answer.json"
        command = [sys.executable, "-m", "platform_assets.feast_project.repo_reader"]
        arguments = [str(repo), digest, str(answer), *(["--apply"] if apply else [])]
        try:
            done = subprocess.run(
                [*command, *arguments], env=_environment(), capture_output=True, text=True, timeout=LONGEST
            )
        except subprocess.TimeoutExpired:
            raise DeclarationError(
                f"{repo}: importing the Feast repository took longer than {LONGEST} seconds"
            ) from None
        content = answer.read_bytes() if answer.exists() else b""
    if done.returncode != 0 or not content:
        raise DeclarationError(_told(repo, content, done))
    snapshot = Snapshot.from_json(content)
    write_atomically(cached_path(home, name), content)
    return snapshot


def _kept(path: Path, digest: str) -> Snapshot | None:
    """A kept snapshot, if it can be read and is of these files."""
    try:
        snapshot = Snapshot.from_json(path.read_bytes())
    except (OSError, DeclarationError):
        return None
    return snapshot if snapshot.digest == digest else None


def _environment() -> dict[str, str]:
    """The present environment, in which the reader finds this package wherever it lies."""
    package = str(Path(__file__).resolve().parents[2])
    paths = [package, *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "FEAST_USAGE": "False", "TZ": "UTC"}


def _told(repo: Path, content: bytes, done: subprocess.CompletedProcess[str]) -> str:
    """The reader's error, or the last line of a process that ended without one."""
    if content:
        told: str = json.loads(content)["error"]
        return told
    last = [line for line in done.stderr.strip().splitlines() if line.strip()]
    return (
        f"{repo}: the Feast repository cannot be imported; the process ended with {done.returncode}: "
        f"{last[-1] if last else 'nothing was said'}"
    )
