"""The online store: each entity's recent events in Feast, and values finished from them at request time.

One Feast row an entity holds the events that a window can still reach from any request since one day
before the newest materialized moment. A state is written whole into the slot that nobody reads, its last row
telling which state it is; then the lake's manifest names that slot, and this one atomic write is the switch.
A fill that was killed before has changed nothing that is read; the next one writes the slot again.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from platform_assets.declaration.expression_types import KIND_OF_TYPE
from platform_assets.declaration.feature_view import Feature, FeatureView
from platform_assets.declaration.repository import Repository
from platform_assets.declaration.source import Source
from platform_assets.errors import Blocked
from platform_assets.features.entity_keys import key_names
from platform_assets.lake.atomic_files import exclusive_lock
from platform_assets.lake.digest import document_digest, table_digest
from platform_assets.lake.manifest import Manifest
from platform_assets.online.feast_objects import (
    ENTITIES,
    SLOT,
    SLOTS,
    STATE_DIGEST,
    UNTIL,
    feast_objects,
    pointer_view_name,
    slot_view_name,
)
from platform_assets.online.held_rows import is_held
from platform_assets.online.online_backend import open_backend
from platform_assets.online.online_events import PARTITION, fill_lock, open_feast, read_events
from platform_assets.online.online_state import (
    measured,
    no_events,
    recent_events,
    row_keys,
    shape,
)
from platform_assets.online.request_expressions import column_kinds, evaluated, row_operand
from platform_assets.online.serving_windows import (
    OWN_KEY,
    filter_name,
    finish,
    keeps_keys,
    measures,
    retention,
    row_value,
)
from platform_assets.online.state_rows import pointer_row, state_row, state_rows
from platform_assets.stores import Stores
from platform_assets.vocabulary import feature_table, online_table, raw_table

if TYPE_CHECKING:
    import pyarrow as pa
    from feast import FeatureStore


def open_online_store(stores: Stores, repository: Repository) -> FeatureStore:
    """Feast over this home, with every declared view registered; what is registered is left alone."""
    with exclusive_lock(stores.home.locks / "feast_registry"):
        store = open_feast(stores.home)
        wanted = feast_objects(
            repository, lambda view: stores.lake.table(feature_table(view.lake_name)).stable_folder()
        )
        registered = {found.name: _definition(found) for found in store.list_feature_views()}
        views = [found for found in wanted if hasattr(found, "batch_source")]
        if any(registered.get(view.name) != _definition(view) for view in views):
            store.apply(wanted)
            store.refresh_registry()
    return store


def online_inputs(stores: Stores, repository: Repository, view: FeatureView) -> dict[str, dict[str, str]]:
    """The raw days, by digest, that a fill would hold now: up to the newest, back through the retention.

    Raises Blocked when there is no raw day, or one within the retention is missing.
    """
    source = repository.source(view.source)
    table = stores.lake.table(raw_table(source.name))
    present = table.partitions()
    if not present:
        raise Blocked(f"online {view.name}: raw table {table.name} is empty; build its days first")
    newest = date.fromisoformat(present[-1])
    first = max(newest - _whole_days(retention(view)), source.start)
    days = [(first + timedelta(days=n)).isoformat() for n in range((newest - first).days + 1)]
    missing = sorted(set(days) - set(present))
    if missing:
        raise Blocked(
            f"online {view.name}: {len(missing)} raw days in reach of its windows are missing, the first "
            f"{missing[0]}; build them in {table.name}"
        )
    return {table.name: table.digests(days)}


def fill_online(
    stores: Stores,
    repository: Repository,
    view: FeatureView,
    *,
    cause: str,
    run_id: str = "",
    untrusted: Mapping[str, str] | None = None,
) -> Manifest:
    """Make the online state of a view that of the newest raw days.

    Filling again from the same days changes nothing, unless the store does not hold what it should: then
    it is written anew. `untrusted` tells raw days that must not be served from, with the reason. Raises
    Blocked, with nothing changed, when a raw day in reach is missing or untrusted.
    """
    if not view.online:
        raise Blocked(f"feature view {view.name!r} is declared online: false, so it keeps no online state")
    source = repository.source(view.source)
    join_keys = repository.entity_of(view).join_keys
    with exclusive_lock(fill_lock(stores.home, view)):
        inputs = online_inputs(stores, repository, view)
        digests = inputs[raw_table(source.name)]
        bad = sorted(set(digests) & set(untrusted or {}))
        if bad:
            raise Blocked(
                f"online {view.name}: {len(bad)} raw days in reach are not trusted; {bad[0]}: "
                f"{(untrusted or {})[bad[0]]}. Heal them, or have an owner waive them"
            )
        until = date.fromisoformat(max(digests)) + timedelta(days=1)
        raw = stores.lake.table(raw_table(source.name))
        events = recent_events(raw, source, view, join_keys, until, digests)
        rows = state_rows(source, view, join_keys, events, until)
        payload: dict[str, Any] = {
            "view": view.name,
            "view_version": view.code_version,
            UNTIL: until.isoformat(),
            "measures": shape(source, view),
            "events": events.num_rows,
            "raw": digests,
        }
        payload[STATE_DIGEST] = document_digest({**payload, "rows": table_digest(events)})
        payload[ENTITIES] = len(rows)
        open_online_store(stores, repository)
        table = stores.lake.table(online_table(view.lake_name))
        present = table.document(PARTITION) or {}
        payload[SLOT] = present.get(SLOT)
        backend = open_backend(stores.home)
        state = state_row(source, join_keys, payload[STATE_DIGEST], len(rows), until)
        if payload != present or not is_held(backend, slot_view_name(view, payload[SLOT]), rows, state):
            payload[SLOT] = SLOTS[payload[SLOT] == SLOTS[0]]
            backend.replace(slot_view_name(view, payload[SLOT]), rows, state)
        manifest = table.write_document(
            PARTITION,
            payload,
            code_version=view.code_version,
            inputs=inputs,
            cause=cause,
            run_id=run_id,
        )
        backend.replace(pointer_view_name(view), pointer_row(source, join_keys, payload))
        return manifest


def serve(
    stores: Stores,
    repository: Repository,
    view: FeatureView,
    requests: pa.Table,
) -> dict[str, list[int | float | None]]:
    """Features of each request as they are at its event timestamp, by name, in the requests' order.

    `requests` holds the source's columns that the view needs, and the event timestamp; with the primary
    key a request that is already stored counts once. An unknown entity has its own row only. Raises
    Blocked when the online state is missing, not the promised one, of another version of the view, or
    younger than a request.
    """
    if view.sql is not None:
        raise Blocked(
            f"feature view {view.name!r} is declared in sql and not served; read its days in the lake"
        )
    source = repository.source(view.source)
    moments = _microseconds(requests.column(source.event_timestamp))
    served: dict[str, list[int | float | None]] = {}
    for feature in view.features:
        if not feature.is_window and not feature.is_derived:
            values = requests.column(feature.column).to_pylist() if feature.column else [None] * len(moments)
            served[feature.name] = [row_value(feature, t, v) for t, v in zip(moments, values, strict=True)]
    if view.windows:
        names = key_names(requests, repository.entity_of(view).join_keys)
        own = _own_rows(source, view, requests)
        keys = row_keys(source, requests) if keeps_keys(view) else [None] * len(moments)
        known = read_events(stores, repository, view, names, moments)
        nobody = no_events(source, view)
        rows = []
        for name, key in zip(names, keys, strict=True):
            events = known.get(name, nobody) if name is not None else nobody
            rows.append(events if key is None else events.without(key))
        for feature in view.windows:
            served[feature.name] = [
                finish(source, feature, events, moment, row if name is not None else None)
                for events, moment, row, name in zip(rows, moments, own, names, strict=True)
            ]
    for feature in view.features:
        derive(source, view, feature, requests, served)
    return {feature.name: served[feature.name] for feature in view.features}


def derive(
    source: Source,
    view: FeatureView,
    feature: Feature,
    requests: pa.Table,
    served: dict[str, list[int | float | None]],
) -> None:
    """Put a feature that is made of others, and those it needs, among the served ones."""
    import pyarrow as pa

    if feature.name in served or feature.formula is None:
        return
    others = {other.name: other for other in view.features_of(feature)}
    for other in others.values():
        derive(source, view, other, requests, served)

    def operand(name: str) -> pa.Array:
        if name not in others:
            return row_operand(source, requests, name)
        whole = others[name].type == "int64"
        return pa.array(served[name], pa.int64() if whole else pa.float64(), from_pandas=True)

    kinds = column_kinds(source) | {name: KIND_OF_TYPE[other.type] for name, other in others.items()}
    found = evaluated(feature.formula, requests.num_rows, kinds, operand)
    number = int if feature.type == "int64" else float
    served[feature.name] = [feature.empty if value is None else number(value) for value in found.to_pylist()]


def _definition(view: Any) -> tuple[Any, ...]:
    """What of a Feast view must be registered again when it changes."""
    return dict(view.tags), {f.name: str(f.dtype) for f in view.schema}, view.batch_source.path, view.ttl


def _own_rows(source: Source, view: FeatureView, requests: pa.Table) -> list[dict[str, Any] | None]:
    """Each request's own measures, where a window includes the own row."""
    counting = [f for f in view.windows if not f.delay and not f.leaves_out_own_row]
    if not counting:
        return [None] * requests.num_rows
    names = {f.column for f in counting} | {filter_name(f.where) for f in counting if f.where is not None}
    needed = [m for m in measures(source, view) if m.column in names]
    columns = {m.column: measured(source, requests, m).to_pylist() for m in needed}
    columns[OWN_KEY] = row_keys(source, requests)
    return [{name: values[i] for name, values in columns.items()} for i in range(requests.num_rows)]


def _microseconds(column: pa.ChunkedArray) -> list[int]:
    import pyarrow as pa

    moments: list[int] = column.cast(pa.timestamp("us", tz=column.type.tz)).cast(pa.int64()).to_pylist()
    return moments


def _whole_days(length: timedelta) -> timedelta:
    return timedelta(days=-(-length // timedelta(days=1)))
