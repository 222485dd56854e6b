"""How Feast's online store holds a view's state: written as one batch, read back as Feast's protos."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from platform_assets.declaration.feature_view import FeatureView
from platform_assets.declaration.source import Source
from platform_assets.online.feast_objects import (
    ENTITIES,
    PROJECT,
    STATE_DIGEST,
    key_is_whole,
    state_view_name,
)
from platform_assets.online.online_state import entity_of_text, state_columns

if TYPE_CHECKING:
    import pyarrow as pa
    from feast import FeatureStore
    from feast.protos.feast.types.EntityKey_pb2 import EntityKey

STATE_ROW: Mapping[bool, int | str] = {True: -(2**63), False: "__state__"}
"""Join key of the row that tells which state this is, by whether keys are whole numbers; nobody has it."""


def write_state(
    store: FeatureStore,
    source: Source,
    view: FeatureView,
    join_keys: tuple[str, ...],
    events: pa.Table,
    until: date,
    *,
    state_digest: str,
    promised: Mapping[str, Any] | None,
) -> int:
    """Write every entity and the row that tells the state; how many entities have events."""
    import numpy as np
    from feast.protos.feast.types.Value_pb2 import Value

    whole = key_is_whole(source, join_keys)
    state_view = store.get_feature_view(state_view_name(view))
    store.provider.update_infra(PROJECT, [], [state_view], [], [], partial=True)  # the file may be gone
    known = _stored_entities(store, source, view, join_keys, promised)
    if known is None:
        # nobody can be served from this state, so it may as well go: nothing of it is left behind
        store.provider.update_infra(PROJECT, [state_view], [], [], [], partial=True)
        store.provider.update_infra(PROJECT, [], [state_view], [], [], partial=True)
    names = events.column("entity").to_numpy(zero_copy_only=False)
    first = np.ones(len(names), dtype=bool)
    first[1:] = names[1:] != names[:-1]
    starts = np.flatnonzero(first)
    ends = [*starts[1:].tolist(), len(names)] if len(starts) else []
    entities = events.column("entity").take(starts).to_pylist()
    columns = {name: events.column(name).to_pylist() for name in state_columns(source, view)}
    wrap = {name: _wrapper(columns_type) for name, columns_type in state_columns(source, view).items()}
    moment = datetime.combine(until, datetime.min.time(), UTC) - timedelta(microseconds=1)

    def row(entity: Any, values: dict[str, Any]) -> tuple[Any, dict[str, Any], datetime, None]:
        name = entity if whole else entity_of_text(entity, join_keys)
        return entity_key(source, join_keys, name), values, moment, None

    rows = [
        row(entity, {name: wrap[name](values[start:end]) for name, values in columns.items()})
        for entity, start, end in zip(entities, starts.tolist(), ends, strict=True)
    ]
    empty = {name: wrap[name]([]) for name in columns}
    rows += [row(gone, empty) for gone in sorted((known or set()) - set(entities))]
    state = {
        STATE_DIGEST: Value(string_val=state_digest),
        ENTITIES: _wrapper("int64" if whole else "string")(entities),
    }
    key = entity_key(source, join_keys, state_name(source, join_keys))
    rows.append((key, state, moment, None))
    store.provider.online_write_batch(store.config, state_view, rows, None)
    return len(entities)


def entity_key(source: Source, join_keys: tuple[str, ...], name: Any) -> EntityKey:
    """Feast's key of an entity; of several together `name` is the tuple of their keys."""
    from feast.protos.feast.types.EntityKey_pb2 import EntityKey
    from feast.protos.feast.types.Value_pb2 import Value

    parts = name if len(join_keys) > 1 else (name,)
    return EntityKey(
        join_keys=join_keys,
        entity_values=[
            Value(int64_val=part) if key_is_whole(source, (key,)) else Value(string_val=str(part))
            for key, part in zip(join_keys, parts, strict=True)
        ],
    )


def state_name(source: Source, join_keys: tuple[str, ...]) -> Any:
    """The entity, which nobody is, whose row tells which state this is."""
    names = tuple(STATE_ROW[key_is_whole(source, (key,))] for key in join_keys)
    return names if len(names) > 1 else names[0]


def read_rows(
    store: FeatureStore,
    source: Source,
    view: FeatureView,
    join_keys: tuple[str, ...],
    names: list[Any],
    columns: Iterable[str],
) -> Iterator[dict[str, Any]]:
    """The stored values of each entity, as Feast's protos; empty for one that is unknown."""
    state_view = store.get_feature_view(state_view_name(view))
    keys = [entity_key(source, join_keys, name) for name in names]
    wanted = [*columns, STATE_DIGEST]
    for _, row in store.provider.online_read(store.config, state_view, keys, wanted):
        yield row or {}


def _stored_entities(
    store: FeatureStore,
    source: Source,
    view: FeatureView,
    join_keys: tuple[str, ...],
    promised: Mapping[str, Any] | None,
) -> set[Any] | None:
    """Entities of the state that is there; None when it is not the one that was promised."""
    whole = key_is_whole(source, join_keys)
    columns = {STATE_DIGEST: "text", ENTITIES: "int64" if whole else "string"}
    state = next(read_rows(store, source, view, join_keys, [state_name(source, join_keys)], columns))
    if (
        promised is None
        or promised["view_version"] != view.code_version
        or STATE_DIGEST not in state
        or state[STATE_DIGEST].string_val != promised["state_digest"]
    ):
        return None
    return set(state[ENTITIES].int64_list_val.val if whole else state[ENTITIES].string_list_val.val)


def _wrapper(kind: str) -> Any:
    from feast.protos.feast.types import Value_pb2 as protos

    if kind == "string":
        return lambda values: protos.Value(string_list_val=protos.StringList(val=values))
    if kind == "int64":
        return lambda values: protos.Value(int64_list_val=protos.Int64List(val=values))
    return lambda values: protos.Value(double_list_val=protos.DoubleList(val=values))
