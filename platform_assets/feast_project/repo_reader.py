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
from platform_assets.feast_project.registry_file import check_registry_file
from platform_assets.feast_project.repo_files import FEATURE_STORE
from platform_assets.feast_project.snapshot import Field, OnDemandView, Service, Snapshot, Source, View
from platform_assets.lake.atomic_files import write_atomically

if TYPE_CHECKING:
    from feast import FeatureStore
    from feast.repo_config import RepoConfig


def read_repo(repo: Path, digest: str, *, apply: bool = False) -> Snapshot:
    """What the repository declares; of one without Python definitions, what its registry holds.

    Raises DeclarationError for a `feature_store.yaml` or a Python file that cannot be read, and for a
    registry that is damaged or of an unknown version.
    """
    config = _configuration(repo)
    check_registry_file(config)
    contents, origin = _contents(repo, config)
    if apply and origin == "repo":
        _apply(repo, config)
    import feast

    views = [*contents.feature_views, *contents.stream_feature_views]
    entities = {entity.name: entity for entity in contents.entities}
    return Snapshot(
        project=config.project,
        digest=digest,
        made_from=origin,
        feast_version=feast.__version__,
        online_store=_type_name(config.online_store),
        offline_store=_type_name(config.offline_store),
        sources=_sources(contents, views),
        views=tuple(sorted((_view(v, entities) for v in views if v.batch_source), key=lambda v: v.name)),
        on_demand_views=tuple(
            sorted((_on_demand(v) for v in contents.on_demand_feature_views), key=lambda v: v.name)
        ),
        services=tuple(sorted((_service(s) for s in contents.feature_services), key=lambda s: s.name)),
    )


def _configuration(repo: Path) -> RepoConfig:
    from feast.repo_config import load_repo_config

    path = repo / FEATURE_STORE
    if not path.is_file():
        raise DeclarationError(f"{path}: no such file; `repo:` names the folder of a Feast repository")
    try:
        return load_repo_config(repo, path)
    except Exception as error:  # whatever pydantic, YAML or a store's import says about the file
        raise DeclarationError(f"{path}: {_one_line(error)}") from None


def _contents(repo: Path, config: RepoConfig) -> tuple[Any, str]:
    from feast import FeatureStore
    from feast.repo_operations import get_repo_files, parse_repo

    if not get_repo_files(repo):
        return _registered(FeatureStore(config=config)), "registry"
    try:
        contents = parse_repo(repo)
    except Exception as error:
        raise DeclarationError(_where(repo, error)) from None
    if not contents.feature_views and not contents.stream_feature_views:
        return _registered(FeatureStore(config=config)), "registry"
    return contents, "repo"


def _registered(store: FeatureStore) -> Any:
    from types import SimpleNamespace

    try:
        return SimpleNamespace(
            feature_views=[v for v in store.list_feature_views() if v.name[:2] != "__"],
            stream_feature_views=store.list_stream_feature_views(),
            on_demand_feature_views=store.list_on_demand_feature_views(),
            feature_services=store.list_feature_services(),
            entities=store.list_entities(),
            data_sources=store.list_data_sources(),
        )
    except FileNotFoundError as error:
        raise DeclarationError(
            f"{store.repo_path}: no Python file declares a feature view, and there is no registry: "
            f"{_one_line(error)}"
        ) from None


def _apply(repo: Path, config: RepoConfig) -> None:
    from feast.repo_operations import apply_total

    try:
        apply_total(config, repo, skip_source_validation=False)
    except Exception as error:
        raise DeclarationError(f"{repo}: `feast apply` failed: {_one_line(error)}") from None


def _sources(contents: Any, views: list[Any]) -> tuple[Source, ...]:
    """Every source by name; a push source carries the name of the one with its history."""
    found: dict[str, Source] = {}
    of_views = [s for v in views for s in (v.batch_source, getattr(v, "stream_source", None))]
    for source in (*contents.data_sources, *of_views):
        if source is None or type(source).__name__ == "RequestSource" or source.name in found:
            continue
        batch = getattr(source, "batch_source", None)
        found[source.name] = Source(
            name=source.name,
            type=type(source).__name__,
            timestamp_field=source.timestamp_field or "",
            created_timestamp_column=source.created_timestamp_column or "",
            path=str(getattr(source, "path", "") or ""),
            field_mapping=dict(source.field_mapping or {}),
            batch_source=batch.name if batch is not None else "",
        )
    return tuple(sorted(found.values(), key=lambda source: source.name))


def _view(view: Any, entities: dict[str, Any]) -> View:
    from feast.feature_view import DUMMY_ENTITY_ID, DUMMY_ENTITY_NAME

    names = [name for name in view.entities if name != DUMMY_ENTITY_NAME]
    types = {column.name: str(column.dtype) for column in view.entity_columns}
    keys = [entities[name].join_key if name in entities else name for name in names]
    stream = getattr(view, "stream_source", None)
    features = [f for f in view.features if f.name not in (*keys, DUMMY_ENTITY_ID)]
    return View(
        name=view.name,
        entities=tuple(names),
        join_keys=tuple(Field(key, types.get(key, "")) for key in keys),
        features=tuple(Field(f.name, str(f.dtype), f.description or "") for f in features),
        source=view.batch_source.name,
        ttl=view.ttl.total_seconds() if view.ttl else 0.0,
        online=bool(view.online),
        description=view.description or "",
        owner=view.owner or "",
        pushed_by=stream.name if stream is not None else "",
    )


def _on_demand(view: Any) -> OnDemandView:
    request = [f for source in view.source_request_sources.values() for f in source.schema]
    return OnDemandView(
        name=view.name,
        features=tuple(Field(f.name, str(f.dtype), f.description or "") for f in view.features),
        views=tuple(sorted(p.name for p in view.source_feature_view_projections.values())),
        request=tuple(Field(f.name, str(f.dtype)) for f in request),
        mode=str(view.mode),
        description=view.description or "",
    )


def _service(service: Any) -> Service:
    return Service(
        name=service.name,
        features=tuple(
            (projection.name, tuple(f.name for f in projection.features))
            for projection in service.feature_view_projections
        ),
        description=service.description or "",
    )


def _type_name(store: Any) -> str:
    return str(getattr(store, "type", "") or type(store).__name__)


def _where(repo: Path, error: Exception) -> str:
    """File and line of the user's code that could not be imported, and what Python said."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if str(repo) in f.filename]
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}: {error.msg}"
    at = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else str(repo)
    return f"{at}: this file of the Feast repository cannot be imported: {_one_line(error)}"


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:500]}" if text else type(error).__name__


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
