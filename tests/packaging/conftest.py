"""The wheel as `pip wheel` makes it from what is tracked, and a folder it is installed into."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
from commands import CHECKOUT, succeed

# a stale build/ or egg-info of a developer must not get in
UNTRACKED = shutil.ignore_patterns("__pycache__", "build", "*.egg-info", ".*")


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy of the checkout with its links kept."""
    root = tmp_path_factory.mktemp("wheel")
    copy = root / "checkout"
    copy.mkdir()
    for name in ("platform_assets", "jobs", "sensors", "feature_repo"):
        shutil.copytree(CHECKOUT / name, copy / name, symlinks=True, ignore=UNTRACKED)
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(CHECKOUT / name, copy / name)
    pip = (sys.executable, "-m", "pip", "-q", "--disable-pip-version-check")
    succeed(
        *pip, "wheel", "--no-deps", "--no-build-isolation", "--no-index", "-w", "dist", str(copy), cwd=root
    )
    shutil.rmtree(copy)
    (built,) = (root / "dist").glob("*.whl")
    return built


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with nothing but the installed wheel."""
    target = tmp_path_factory.mktemp("site")
    pip = (sys.executable, "-m", "pip", "-q", "--disable-pip-version-check")
    succeed(
        *pip, "install", "--no-deps", "--no-index", "--target", str(target), str(wheel), cwd=target.parent
    )
    return target
