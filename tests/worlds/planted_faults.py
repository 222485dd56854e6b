"""Faults planted into a real online store behind the manifest's back, through Feast itself."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import redis
from sales_world import REPOSITORY, World

from platform_assets.declaration.feature_view import FeatureView
from platform_assets.online.feast_objects import SLOT, UNTIL, slot_view_name
from platform_assets.online.online_backend import online_file
from platform_assets.online.online_events import open_feast
from platform_assets.online.online_state import state_columns
from platform_assets.vocabulary import online_table

Columns = dict[str, list[Any]]


def promised(world: World, view: FeatureView) -> dict[str, Any]:
    payload = world.stores.lake.table(online_table(view.lake_name)).document("current")
    assert payload is not None
    return payload


def as_of(world: World, view: FeatureView) -> datetime:
    """What a fill stamps its rows with."""
    return datetime.fromisoformat(promised(world, view)[UNTIL]).replace(tzinfo=UTC) - timedelta(
        microseconds=1
    )


def held(world: World, view: FeatureView, names: Sequence[Any]) -> list[Columns]:
    """What the store holds of entities, as plain lists."""
    store, feast_view = _store(world, view)
    columns = list(state_columns(REPOSITORY.source(view.source), view))
    found = store.provider.online_read(store.config, feast_view, [_key(view, n) for n in names], columns)
    return [
        {name: list(getattr(v, v.WhichOneof("val")).val) for name, v in (row or {}).items()}
        for _, row in found
    ]


def write(
    world: World, view: FeatureView, rows: dict[Any, Columns], stamp: datetime | None = None, key: Any = None
) -> None:
    """Write rows of entities, stamped as the fill would unless told otherwise."""
    from feast.protos.feast.types import Value_pb2 as protos

    lists: dict[str, Any] = {
        "int64": lambda v: protos.Value(int64_list_val=protos.Int64List(val=v)),
        "float64": lambda v: protos.Value(double_list_val=protos.DoubleList(val=v)),
        "string": lambda v: protos.Value(string_list_val=protos.StringList(val=v)),
    }
    store, feast_view = _store(world, view)
    kinds = state_columns(REPOSITORY.source(view.source), view)
    data = [
        (key or _key(view, name), {n: lists[kinds[n]](v) for n, v in columns.items()}, stamp or as_of(world, view), None)
        for name, columns in rows.items()
    ]  # fmt: skip
    store.provider.online_write_batch(store.config, feast_view, data, None)


def alter(
    world: World, view: FeatureView, names: Sequence[Any], change: Callable[[Columns], Columns], **how: Any
) -> None:
    """Rewrite what the store holds of entities."""
    rows = dict(zip(names, held(world, view, names), strict=True))
    write(world, view, {name: change(columns) for name, columns in rows.items()}, **how)


def keep(columns: Columns, kept: Callable[[int], bool]) -> Columns:
    """Only the events at places that are kept."""
    places = [n for n in range(len(columns["event_us"])) if kept(n)]
    return {name: [values[n] for n in places] for name, values in columns.items()}


def remove(world: World, view: FeatureView, name: Any) -> None:
    """Remove an entity's row from the store."""
    from feast.infra.key_encoding_utils import serialize_entity_key

    raw = serialize_entity_key(_key(view, name), entity_key_serialization_version=3)
    if world.stores.home.online:
        with redis.Redis.from_url(world.stores.home.online) as client:
            assert client.delete(raw + b"platform_assets")
        return
    table = f'"platform_assets_{slot_view_name(view, promised(world, view)[SLOT])}"'
    with sqlite3.connect(online_file(world.stores.home)) as database:
        assert database.execute(f"DELETE FROM {table} WHERE entity_key = ?", (raw,)).rowcount


def _store(world: World, view: FeatureView) -> tuple[Any, Any]:
    store = open_feast(world.stores.home)
    return store, store.get_feature_view(slot_view_name(view, promised(world, view)[SLOT]))


def _key(view: FeatureView, name: Any) -> Any:
    from feast.protos.feast.types.EntityKey_pb2 import EntityKey
    from feast.protos.feast.types.Value_pb2 import Value

    (join_key,) = REPOSITORY.entity_of(view).join_keys
    value = Value(int64_val=name) if isinstance(name, int) else Value(string_val=name)
    return EntityKey(join_keys=[join_key], entity_values=[value])
