"""A small Feast repository over Parquet files that a test writes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import feast

AS_OF = "platform_assets.offline_store.as_of.AsOfOfflineStore"


def open_store(folder: Path, *objects: Any, offline: Any = AS_OF, **settings: Any) -> feast.FeatureStore:
    """A Feast store with the given objects applied, its registry and online store in `folder`."""
    offline_store = {"type": offline, **settings}
    store = feast.FeatureStore(
        config=feast.RepoConfig(
            project="drivers",
            provider="local",
            registry=str(folder / f"registry_{offline.split('.')[-1]}.db"),
            online_store={"type": "sqlite", "path": str(folder / f"online_{offline.split('.')[-1]}.db")},
            offline_store=offline_store,
            entity_key_serialization_version=3,
            repo_path=str(folder),
        )
    )
    store.config.repo_path = folder
    if objects:
        store.apply(list(objects))
    return store


def source(path: str, **changes: Any) -> feast.FileSource:
    fields: dict[str, Any] = {"name": f"{path} source", "path": path, "timestamp_field": "ts"}
    return feast.FileSource(**{**fields, **changes})


def view(
    name: str, files: feast.FileSource, entities: list[feast.Entity], ttl: timedelta | None, **features: Any
) -> feast.FeatureView:
    return feast.FeatureView(
        name=name,
        entities=entities,
        ttl=ttl or timedelta(0),
        schema=[feast.Field(name=feature, dtype=dtype) for feature, dtype in features.items()],
        source=files,
    )


def day(text: str) -> datetime:
    """`01-02 12:30` -> that time of 2024 in UTC."""
    moment = text if " " in text else f"{text} 00:00"
    return datetime.strptime(f"2024-{moment}", "%Y-%m-%d %H:%M").replace(tzinfo=UTC)
