"""Feast's objects as a snapshot: the one place where they are looked into."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from platform_assets.feast_project.snapshot import Field, OnDemandView, Service, Snapshot, Source, View
from platform_assets.lake.digest import document_digest

if TYPE_CHECKING:
    from feast import FeatureStore
    from feast.repo_config import RepoConfig


def snapshot_of(contents: Any, config: RepoConfig, *, digest: str, made_from: str) -> Snapshot:
    """What `contents` (a repository's or a registry's objects, by kind) declare."""
    import feast

    views = [v for v in (*contents.feature_views, *contents.stream_feature_views) if v.batch_source]
    entities = {entity.name: entity for entity in contents.entities}
    return Snapshot(
        project=config.project,
        digest=digest,
        made_from=made_from,
        feast_version=feast.__version__,
        online_store=_type_name(config.online_store),
        offline_store=_type_name(config.offline_store),
        sources=_sources(contents, views),
        views=tuple(sorted((_view(v, entities) for v in views), key=lambda v: v.name)),
        on_demand_views=tuple(
            sorted((_on_demand(v) for v in contents.on_demand_feature_views), key=lambda v: v.name)
        ),
        services=tuple(sorted((_service(s) for s in contents.feature_services), key=lambda s: s.name)),
    )


def registered(store: FeatureStore) -> SimpleNamespace:
    """The objects in a registry by kind, as a repository's contents are."""
    return SimpleNamespace(
        feature_views=store.list_feature_views(),
        stream_feature_views=store.list_stream_feature_views(),
        on_demand_feature_views=store.list_on_demand_feature_views(),
        feature_services=store.list_feature_services(),
        entities=store.list_entities(),
        data_sources=store.list_data_sources(),
    )


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
    keys = [entities[name].join_key if name in entities else name for name in names]
    stream = getattr(view, "stream_source", None)
    features = [f for f in view.features if f.name not in (*keys, DUMMY_ENTITY_ID)]
    return View(
        name=view.name,
        entities=tuple(names),
        join_keys=tuple(keys),
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
        code=document_digest(getattr(view.feature_transformation, "udf_string", ""))[:16],
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
