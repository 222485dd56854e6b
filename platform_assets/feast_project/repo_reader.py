"""Reads a Feast repository in a process of its own: `python -m platform_assets.feast_project.repo_reader`.

The repository's Python files are its user's code and may do anything at import, from the folder they lie
in; here they can neither slow down nor change the process that draws the asset graph. Asked to, it
also applies what it read to the registry, exactly as `feast apply` does.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from platform_assets.errors import DeclarationError, PlatformError
from platform_assets.feast_project.feast_definitions import registered, snapshot_of
from platform_assets.feast_project.feast_errors import one_line
from platform_assets.feast_project.registry_file import check_registry_file
from platform_assets.feast_project.repo_files import read_configuration
from platform_assets.feast_project.snapshot import Snapshot
from platform_assets.lake.atomic_files import write_atomically

if TYPE_CHECKING:
    from feast import FeatureStore
    from feast.repo_config import RepoConfig


def read_repo(repo: Path, digest: str, *, apply: bool = False) -> Snapshot:
    """What the repository declares; of one without Python definitions, what its registry holds.

    Raises DeclarationError for a `feature_store.yaml` or a Python file that cannot be read, and for a
    registry that is damaged or of an unknown version.
    """
    config = read_configuration(repo)
    check_registry_file(config)
    contents, origin = _contents(repo, config)
    if origin == "repo":
        _infer(repo, config, contents)
    snapshot = snapshot_of(contents, config, digest=digest, made_from=origin)
    if apply and origin == "repo":
        _apply(repo, config)
    return snapshot


def _contents(repo: Path, config: RepoConfig) -> tuple[Any, str]:
    from feast import FeatureStore
    from feast.repo_operations import get_repo_files, parse_repo

    if not get_repo_files(repo):
        return _registered(FeatureStore(repo_path=str(repo), config=config)), "registry"
    try:
        contents = parse_repo(repo)
    except Exception as error:
        raise DeclarationError(_where(repo, error)) from None
    if not contents.feature_views and not contents.stream_feature_views:
        return _registered(FeatureStore(repo_path=str(repo), config=config)), "registry"
    return contents, "repo"


def _registered(store: FeatureStore) -> Any:
    try:
        return registered(store)
    except FileNotFoundError as error:
        raise DeclarationError(
            f"{store.config.repo_path}: no Python file declares a feature view, and there is no registry: "
            f"{one_line(error)}"
        ) from None
    except Exception as error:  # a registry in a database says what its driver says
        raise DeclarationError(
            f"{store.config.repo_path}: no Python file declares a feature view, and the registry cannot be "
            f"read: {one_line(error)}"
        ) from None


def _infer(repo: Path, config: RepoConfig, contents: Any) -> None:
    """Views declared without a schema get that of their source, as `feast apply` would give them."""
    views = [v for v in (*contents.feature_views, *contents.stream_feature_views) if v.batch_source]
    bare = [v for v in views if not v.features or not v.batch_source.timestamp_field]
    if not bare:
        return
    from feast import FeatureStore
    from feast.feature_view import DUMMY_ENTITY
    from feast.inference import (
        update_data_sources_with_inferred_event_timestamp_col,
        update_feature_views_with_inferred_features_and_entities,
    )

    provider = FeatureStore(repo_path=str(repo), config=config).provider
    entities = [*contents.entities, DUMMY_ENTITY]
    for view in bare:
        try:
            update_data_sources_with_inferred_event_timestamp_col([view.batch_source], config)
            update_feature_views_with_inferred_features_and_entities(provider, [view], entities, config)
        except Exception as error:
            raise DeclarationError(
                f"{repo}: feature view {view.name!r} has no schema, or its source no timestamp_field, and "
                f"they cannot be read off the source: {one_line(error)}"
            ) from None


def _apply(repo: Path, config: RepoConfig) -> None:
    from feast.repo_operations import apply_total

    try:
        apply_total(config, repo, skip_source_validation=False)
    except Exception as error:
        raise DeclarationError(f"{repo}: `feast apply` failed: {one_line(error)}") from None


def _where(repo: Path, error: Exception) -> str:
    """File and line of the user's code that could not be imported, and what Python said."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if str(repo) in f.filename]
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}: {error.msg}"
    at = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else str(repo)
    return f"{at}: this file of the Feast repository cannot be imported: {one_line(error)}"


def main() -> int:
    """`repo_reader <repo> <digest> <answer.json> [--apply]`; the answer is a snapshot or an error."""
    repo, digest, answer = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
    sys.path.insert(0, str(repo))  # as `feast apply` finds the modules of a repository
    os.chdir(repo)
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said):
            snapshot = read_repo(repo, digest, apply="--apply" in sys.argv[4:])
    except PlatformError as error:
        write_atomically(answer, json.dumps({"error": str(error)}).encode())
        return 1
    except SystemExit:  # Feast ends the process for what it cannot apply
        write_atomically(answer, json.dumps({"error": f"{repo}: {said.getvalue().strip()}"}).encode())
        return 1
    write_atomically(answer, snapshot.to_json())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
