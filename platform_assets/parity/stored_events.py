"""The whole online state of a view, read once: every entity's events, and when its row was written."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from platform_assets.declaration.feature_view import FeatureView
from platform_assets.declaration.repository import Repository
from platform_assets.declaration.source import Source
from platform_assets.online.feast_objects import (
    ENTITIES,
    KEYS,
    PROJECT,
    STATE_DIGEST,
    TIMES,
    VALUE,
    key_is_whole,
    state_view_name,
)
from platform_assets.online.online_events import online_file, open_feast
from platform_assets.online.online_state import entity_of_text, state_columns
from platform_assets.online.serving_windows import measures
from platform_assets.online.state_rows import entity_key, state_name
from platform_assets.parity.entity_events import EntityEvents
from platform_assets.stores import Stores

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa
    from feast import FeatureStore

BATCH = 10_000
"""Entities in one read; SQLite allows 32,766 parameters in a statement."""


@dataclass(frozen=True)
class StoredEvents:
    """What the store holds of the entities asked for, in their order.

    `there` tells which have a row at all; `written_as_of` is the event timestamp of that row, in seconds
    since 1970: a fill stamps every row with its own cut-off.
    """

    events: EntityEvents
    there: npt.NDArray[np.bool_]
    written_as_of: npt.NDArray[np.int64]
    state_digest: str


def stored_events(
    repository: Repository, view: FeatureView, entities: pa.Array, *, store: FeatureStore
) -> StoredEvents:
    """Read the state of these entities, decoded into flat arrays."""
    import numpy as np

    source = repository.source(view.source)
    join_keys = repository.entity_of(view).join_keys
    columns = state_columns(source, view)
    parts: dict[str, list[Any]] = {name: [] for name in columns}
    counts = np.zeros(len(entities), dtype=np.int64)
    there = np.zeros(len(entities), dtype=bool)
    stamps = np.zeros(len(entities), dtype=np.int64)
    digest = ""
    for start in range(0, max(len(entities), 1), BATCH):
        names = [_name(n, source, join_keys) for n in entities.slice(start, BATCH).to_pylist()]
        wanted = [state_name(source, join_keys), *names]
        state, *rows = _rows(store, source, view, join_keys, wanted, [*columns, STATE_DIGEST])
        digest = state[1][STATE_DIGEST].string_val if STATE_DIGEST in state[1] else "none"
        for place, (stamp, row) in enumerate(rows, start):
            if not row:
                continue
            there[place], stamps[place] = True, stamp
            held = {name: _held(row, name, kind) for name, kind in columns.items()}
            counts[place] = min(len(values) for values in held.values())  # a foreign row may be uneven
            for name, values in held.items():
                parts[name].append(values[: counts[place]])
    flat = {name: _flat(parts[name], kind) for name, kind in columns.items()}
    return StoredEvents(
        EntityEvents(
            np.concatenate([[0], np.cumsum(counts)]),
            flat[TIMES],
            flat.get(KEYS),
            {m.column: flat[VALUE + m.column] for m in measures(source, view)},
        ),
        there,
        stamps,
        digest,
    )


def listed_entities(repository: Repository, view: FeatureView, store: FeatureStore) -> list[Any]:
    """The entities that the last fill wrote, as its own row tells them."""
    source = repository.source(view.source)
    join_keys = repository.entity_of(view).join_keys
    whole = key_is_whole(source, join_keys)
    ((_, row),) = _rows(store, source, view, join_keys, [state_name(source, join_keys)], [ENTITIES])
    if ENTITIES not in row:
        return []
    return list(row[ENTITIES].int64_list_val.val if whole else row[ENTITIES].string_list_val.val)


def foreign_keys(
    stores: Stores, repository: Repository, view: FeatureView, known: Iterable[Any], rows: int
) -> list[tuple[str, Any]]:
    """Keys that have a row and are not among `known`, as (kind, value); kinds are Feast's: `int64_val` ...

    `rows` is how many of the known ones have a row: only when there are more are keys decoded. Looked for
    in a SQLite store only: Feast has no listing of keys.
    """
    from feast.infra.key_encoding_utils import deserialize_entity_key

    if not online_file(stores.home).exists():
        return []
    source, join_keys = repository.source(view.source), repository.entity_of(view).join_keys
    table = f"{PROJECT}_{state_view_name(view)}".replace('"', '""')
    with contextlib.closing(sqlite3.connect(f"file:{online_file(stores.home)}?mode=ro", uri=True)) as found:
        raw = [key for (key,) in found.execute(f'SELECT DISTINCT entity_key FROM "{table}"')]
    if len(raw) <= rows + 1:  # and the one that tells the state
        return []
    kinds = ["int64_val" if key_is_whole(source, (name,)) else "string_val" for name in join_keys]
    expected = {_name(name, source, join_keys) for name in known} | {state_name(source, join_keys)}
    decoded: list[tuple[str, Any]] = []
    for key in raw:
        try:
            values = deserialize_entity_key(key, entity_key_serialization_version=3).entity_values
            found_kinds = [str(value.WhichOneof("val")) for value in values]
            parts = tuple(getattr(value, kind) for value, kind in zip(values, found_kinds, strict=True))
        except Exception:  # not Feast's present encoding: a key that nobody can ask for
            decoded.append(("bytes", key))
            continue
        name = parts if len(parts) != 1 else parts[0]
        if found_kinds != kinds or name not in expected:
            decoded.append((", ".join(found_kinds), name))
    return decoded


def open_store(stores: Stores) -> FeatureStore:
    """Feast as it is; FileNotFoundError when the store is gone (Feast would create an empty one)."""
    if not online_file(stores.home).exists():
        raise FileNotFoundError(f"{online_file(stores.home).name} is gone")
    return open_feast(stores.home)


def _rows(
    store: FeatureStore,
    source: Source,
    view: FeatureView,
    join_keys: tuple[str, ...],
    names: list[Any],
    columns: list[str],
) -> Iterator[tuple[int, dict[str, Any]]]:
    keys = [entity_key(source, join_keys, name) for name in names]
    state_view = store.get_feature_view(state_view_name(view))
    for stamp, row in store.provider.online_read(store.config, state_view, keys, columns):
        yield (int(stamp.timestamp()) if stamp is not None else 0), row or {}


def _name(entity: Any, source: Source, join_keys: tuple[str, ...]) -> Any:
    return entity if key_is_whole(source, join_keys) else entity_of_text(entity, join_keys)


def _held(row: dict[str, Any], name: str, kind: str) -> Any:
    import numpy as np

    if name not in row:
        return np.empty(0, object if kind == "string" else np.int64 if kind == "int64" else np.float64)
    if kind == "string":
        return np.array(list(row[name].string_list_val.val), dtype=object)
    held = row[name].int64_list_val.val if kind == "int64" else row[name].double_list_val.val
    return np.fromiter(held, np.int64 if kind == "int64" else np.float64, len(held))


def _flat(parts: list[Any], kind: str) -> np.ndarray:
    import numpy as np

    empty = np.empty(0, object if kind == "string" else np.int64 if kind == "int64" else np.float64)
    return np.concatenate([empty, *parts])
