"""The whole online state of a view, read once: every entity, which slot counts, and what nobody put there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from platform_assets.declaration.feature_view import FeatureView
from platform_assets.declaration.repository import Repository
from platform_assets.declaration.source import Source
from platform_assets.lake.manifest import Manifest
from platform_assets.online.backend_choice import open_backend
from platform_assets.online.feast_bytes import Blob, entity_of, text_of
from platform_assets.online.feast_objects import (
    KEYS,
    SLOT,
    SLOTS,
    STATE_DIGEST,
    TIMES,
    VALUE,
    slot_view_name,
)
from platform_assets.online.online_backend import OnlineBackend
from platform_assets.online.online_events import promised_state, unreadable
from platform_assets.online.online_state import state_columns
from platform_assets.online.serving_windows import Events, measures
from platform_assets.online.state_rows import key_types, state_key, stored_columns
from platform_assets.stores import Stores

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class WholeState:
    """Events of all entities of the slot that counts, one array a column.

    Entity i (a value, or a tuple of several join keys) has `columns[name][offsets[i]:offsets[i + 1]]`,
    in order of time. `columns` are `event_us` (microseconds since 1970), `event_key` where a window needs
    it, and `value_<column>`. `digests` tells the state that each slot holds, by slot, empty for none.
    `foreign` are serialized keys that stand for no entity of this view.
    """

    manifest: Manifest
    promised: Mapping[str, Any]
    digests: Mapping[str, str]
    entities: list[Any]
    offsets: np.ndarray
    columns: Mapping[str, np.ndarray]
    foreign: list[bytes]
    measured: tuple[str, ...]

    @property
    def is_promised(self) -> bool:
        """Whether the slot that counts holds the state that the lake promises."""
        return bool(self.digests[self.promised[SLOT]] == self.promised[STATE_DIGEST])

    def events(self, place: int) -> Events:
        """The events of entity `place`, as serving has them."""
        s, e = self.offsets[place], self.offsets[place + 1]
        keys = self.columns.get(KEYS)
        return Events(
            self.columns[TIMES][s:e],
            None if keys is None else keys[s:e],
            {name: self.columns[VALUE + name][s:e] for name in self.measured},
        )


def read_all_events(stores: Stores, repository: Repository, view: FeatureView) -> WholeState:
    """Read every row of a view's online state once.

    A state that is not the promised one is told, not refused: see `WholeState.is_promised`. Raises
    Blocked when nothing was materialized, for another version of the view, or the store cannot be read.
    """
    source = repository.source(view.source)
    backend = open_backend(stores.home)
    while True:
        manifest, promised = promised_state(stores, source, view)
        try:
            found = _read(backend, source, repository, view, manifest, promised)
        except Exception as error:
            raise unreadable(view, backend, error) from error
        if promised_state(stores, source, view)[0] == manifest:
            return found


def _read(
    backend: OnlineBackend,
    source: Source,
    repository: Repository,
    view: FeatureView,
    manifest: Manifest,
    promised: Mapping[str, Any],
) -> WholeState:
    join_keys = repository.entity_of(view).join_keys
    this_state = state_key(source, join_keys)
    kinds = key_types(source, join_keys)
    names = list(state_columns(source, view))
    entities: list[Any] = []
    foreign: list[bytes] = []
    kept: dict[str, list[Blob]] = {name: [] for name in state_columns(source, view)}
    for keys, values in backend.scan(slot_view_name(view, promised[SLOT]), names):
        rows = [values[name] for name in kept]
        for place, key in enumerate(keys):
            if key == this_state:
                continue
            entity = entity_of(key, join_keys)
            if entity is None or tuple(map(type, entity)) != kinds:
                foreign.append(key)
                continue
            entities.append(entity[0] if len(entity) == 1 else entity)
            for column, held in zip(rows, kept.values(), strict=True):
                held.append(column[place])
    offsets, columns = stored_columns(source, view, kept)
    return WholeState(
        manifest,
        promised,
        _digests(backend, view, this_state),  # after the rows: a slot that is written again loses it first
        entities,
        offsets,
        columns,
        foreign,
        tuple(m.column for m in measures(source, view)),
    )


def _digests(backend: OnlineBackend, view: FeatureView, this_state: bytes) -> dict[str, str]:
    """The state that each slot holds by its own word; a slot that was never written holds none."""
    found = {}
    for slot in SLOTS:
        try:
            values = backend.read(slot_view_name(view, slot), [this_state], [STATE_DIGEST])
            found[slot] = text_of(values[STATE_DIGEST][0])
        except Exception:
            found[slot] = ""
    return found
