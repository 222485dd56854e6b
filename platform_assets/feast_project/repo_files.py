"""The files of a Feast repository, and one digest over them: whether a snapshot is still of them."""

from __future__ import annotations

import hashlib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from platform_assets.errors import DeclarationError
from platform_assets.feast_project.feast_errors import one_line
from platform_assets.feast_project.snapshot import FORMAT

if TYPE_CHECKING:
    from feast.repo_config import RepoConfig

FEATURE_STORE = "feature_store.yaml"
FEAST_IGNORE = ".feastignore"
_SKIPPED = {".git", ".venv", "__pycache__", ".ipynb_checkpoints", ".pytest_cache", "site-packages"}


def repo_files(repo: Path) -> list[Path]:
    """`feature_store.yaml`, `.feastignore` and every Python file, in order of their names.

    Raises DeclarationError when there is no `feature_store.yaml`.
    """
    settings = repo / FEATURE_STORE
    if not settings.is_file():
        raise DeclarationError(f"{settings}: no such file; `repo:` names the folder of a Feast repository")
    code = (
        path
        for path in sorted(repo.rglob("*.py"))
        if not _SKIPPED & set(path.relative_to(repo).parts) and path.is_file()
    )
    ignored = repo / FEAST_IGNORE
    return [settings, *([ignored] if ignored.is_file() else []), *code]


def repo_digest(repo: Path) -> str:
    """32 hex digits over names and bytes of these files, Feast's version and the snapshot's format."""
    digest = hashlib.sha256(f"{FORMAT}|{_feast_version()}".encode())
    for path in repo_files(repo):
        content = path.read_bytes()
        digest.update(f"|{path.relative_to(repo).as_posix()}|{len(content)}|".encode())
        digest.update(content)
    return digest.hexdigest()[:32]


def read_configuration(repo: Path) -> RepoConfig:
    """What `feature_store.yaml` says; DeclarationError when it cannot be read."""
    from feast.repo_config import load_repo_config

    path = repo / FEATURE_STORE
    if not path.is_file():
        raise DeclarationError(f"{path}: no such file; `repo:` names the folder of a Feast repository")
    try:
        config = load_repo_config(repo, path)
        _place_registry(config, repo)
        return config
    except Exception as error:  # whatever pydantic, YAML or a store's import says about the file
        raise DeclarationError(f"{path}: {one_line(error)}") from None


def _place_registry(config: RepoConfig, repo: Path) -> None:
    """A SQLite registry with a relative path lies in the repository, where `feast apply` makes it.

    Feast takes it from the folder that a process happens to be in, and makes an empty one there.
    """
    for name in ("path", "read_path"):
        found = str(getattr(config.registry, name, None) or "")
        scheme, slashes, file = found.partition(":///")
        if scheme.split("+")[0] == "sqlite" and slashes and file and not file.startswith(("/", ":", "file:")):
            setattr(config.registry, name, f"{scheme}:///{repo / file}")


def _feast_version() -> str:
    try:
        return version("feast")
    except PackageNotFoundError:
        return ""
