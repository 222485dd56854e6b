"""A view's recent events as rows of Feast's online store, and back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

from platform_assets.declaration.feature_view import FeatureView
from platform_assets.declaration.source import Source
from platform_assets.online.feast_bytes import (
    Blob,
    entity_keys,
    list_values,
    read_lists,
    string_value,
    whole_values,
)
from platform_assets.online.feast_objects import (
    ENTITIES,
    KEYS,
    SLOT,
    STATE_DIGEST,
    TIMES,
    UNTIL,
    VALUE,
    key_is_whole,
)
from platform_assets.online.online_backend import Rows
from platform_assets.online.online_state import entity_of_text, midnight, state_columns
from platform_assets.online.serving_windows import Events, measures

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

STATE_ROW: Mapping[bool, int | str] = {True: -(2**63), False: "__state__"}
"""Join key of the row that tells which state this is, by whether keys are whole numbers; nobody has it."""


def state_key(source: Source, join_keys: Sequence[str]) -> bytes:
    """Serialized key of the row that tells which state this is."""
    parts = [[STATE_ROW[key_is_whole(source, (name,))]] for name in join_keys]
    return entity_keys(join_keys, parts)[0]


def key_types(source: Source, join_keys: Sequence[str]) -> tuple[type, ...]:
    """Python types of an entity's key, in the order of the join keys."""
    return tuple(int if key_is_whole(source, (name,)) else str for name in join_keys)


def stored_keys(source: Source, join_keys: Sequence[str], names: Sequence[Any]) -> list[bytes]:
    """Serialized keys of entities: values of the one join key, or tuples of several."""
    if not names:
        return []
    columns = [list(names)] if len(join_keys) == 1 else [list(part) for part in zip(*names, strict=True)]
    typed = [
        column if key_is_whole(source, (name,)) else [str(value) for value in column]
        for name, column in zip(join_keys, columns, strict=True)
    ]
    return entity_keys(join_keys, typed)


def state_rows(
    source: Source, view: FeatureView, join_keys: tuple[str, ...], events: pa.Table, until: date
) -> Rows:
    """One row an entity; `events` are sorted by entity."""
    import numpy as np

    names = events.column("entity").to_numpy(zero_copy_only=False)
    first = np.ones(len(names), dtype=bool)
    first[1:] = names[1:] != names[:-1]
    starts = np.flatnonzero(first)
    offsets = np.append(starts, len(names)).astype(np.int64)
    values = {
        name: list_values(events.column(name).to_numpy(zero_copy_only=False), offsets, kind)
        for name, kind in state_columns(source, view).items()
    }
    entities = events.column("entity").take(starts).to_pylist()
    if len(join_keys) > 1:
        entities = [entity_of_text(text, join_keys) for text in entities]
    return Rows(stored_keys(source, join_keys, entities), values, _newest_moment(until))


def state_row(
    source: Source, join_keys: Sequence[str], state_digest: str, entities: int, until: date
) -> Rows:
    """The row that tells which state this is."""
    import numpy as np

    values = {
        STATE_DIGEST: [string_value(state_digest)],
        ENTITIES: whole_values(np.array([entities])),
    }
    texts = {STATE_DIGEST: [state_digest], ENTITIES: [str(entities)]}
    return Rows([state_key(source, join_keys)], values, _newest_moment(until), texts=texts)


def pointer_row(source: Source, join_keys: Sequence[str], payload: Mapping[str, Any]) -> Rows:
    """The row that tells plain readers which slot counts."""
    until = date.fromisoformat(payload[UNTIL])
    row = state_row(source, join_keys, payload[STATE_DIGEST], payload[ENTITIES], until)
    told = {SLOT: payload[SLOT], UNTIL: payload[UNTIL]}
    values = {name: [string_value(text)] for name, text in told.items()}
    texts = {name: [text] for name, text in told.items()}
    return Rows(row.keys, {**row.values, **values}, row.moments, texts={**row.texts, **texts})


def stored_columns(
    source: Source, view: FeatureView, values: Mapping[str, Sequence[Blob]]
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """All events of rows, one array a column, and the offsets of each row's.

    Raises ValueError when columns are not of one length, or hold what Feast's types do not say.
    """
    import numpy as np

    offsets: np.ndarray | None = None
    columns: dict[str, np.ndarray] = {}
    for name, kind in state_columns(source, view).items():
        columns[name], places = read_lists(values[name], kind)
        if offsets is not None and not np.array_equal(places, offsets):
            raise ValueError(f"{name} holds other numbers of events than {TIMES}")
        offsets = places
    assert offsets is not None
    return offsets, columns


def stored_events(
    source: Source, view: FeatureView, values: Mapping[str, Sequence[Blob]]
) -> Iterator[Events | None]:
    """The events of each row; None for an entity that is not stored."""
    offsets, columns = stored_columns(source, view, values)
    held = {m.column: columns[VALUE + m.column] for m in measures(source, view)}
    keys = columns.get(KEYS)
    bounds = offsets.tolist()
    for blob, s, e in zip(values[TIMES], bounds[:-1], bounds[1:], strict=True):
        yield (
            None
            if blob is None
            else Events(
                columns[TIMES][s:e],
                None if keys is None else keys[s:e],
                {name: column[s:e] for name, column in held.items()},
            )
        )


def _newest_moment(until: date) -> int:
    return midnight(until) - 1
