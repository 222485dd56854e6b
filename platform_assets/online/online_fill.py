"""Filling a view's online store: a state of the newest raw days, and what Feast's own clients see with it.

A state is written whole into the slot that nobody reads, its last row telling which state it is; then the
lake's manifest names that slot, and this one atomic write is the switch. A fill that was killed before has
changed nothing that is served; the next one writes the slot again.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

from platform_assets.declaration.feature_view import FeatureView
from platform_assets.declaration.repository import Repository
from platform_assets.errors import Blocked
from platform_assets.lake.atomic_files import exclusive_lock
from platform_assets.lake.digest import document_digest, table_digest
from platform_assets.lake.manifest import Manifest
from platform_assets.online.backend_choice import open_backend
from platform_assets.online.feast_objects import (
    ENTITIES,
    SLOT,
    SLOTS,
    STATE_DIGEST,
    UNTIL,
    feast_name,
    pointer_view_name,
    slot_view_name,
)
from platform_assets.online.feast_registry import Fault, Tell, open_online_store, promised_interval, reconcile
from platform_assets.online.held_rows import held
from platform_assets.online.latest_rows import publish_latest, whole_days
from platform_assets.online.online_backend import OnlineBackend, Rows
from platform_assets.online.online_events import PARTITION, fill_lock
from platform_assets.online.online_state import recent_events, shape
from platform_assets.online.serving_windows import retention
from platform_assets.online.state_rows import pointer_row, state_row, state_rows
from platform_assets.stores import Stores
from platform_assets.vocabulary import online_table, raw_table


def _keep_quiet(fault: Fault) -> None:
    """Nobody asked."""


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
    first = max(newest - whole_days(retention(view)), source.start)
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
    tell: Tell = _keep_quiet,
) -> Manifest:
    """Make the online state of a view that of the newest raw days, and what Feast's own clients see with it.

    Filling again from the same days changes nothing, unless the store does not hold what it should: then
    it is written anew. `untrusted` tells raw days that must not be served from, with the reason. What was
    found wrong and is healed, or could not be published, is handed to `tell`. Raises Blocked, with nothing
    changed, when a raw day in reach is missing, untrusted or in the future; LakeError when the store or
    Feast's registry cannot be written.
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
        if until > datetime.now(UTC).date() + timedelta(days=1):
            raise Blocked(
                f"online {view.name}: raw day {max(digests)} lies in the future; a state of it would refuse "
                f"every present request. Delete that day from {raw_table(source.name)} and fill again"
            )
        raw = stores.lake.table(raw_table(source.name))
        events = recent_events(raw, source, view, join_keys, until, digests)
        if view.windows and not events.num_rows:
            tell(Fault("empty", view.name, f"no entity has an event in {len(digests)} raw days"))
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
        table = stores.lake.table(online_table(view.lake_name))
        present = table.document(PARTITION) or {}
        payload[SLOT] = present.get(SLOT)
        backend = open_backend(stores.home)
        state = state_row(source, join_keys, payload[STATE_DIGEST], len(rows), until)
        if payload != present or not _is_held(backend, view, payload[SLOT], (rows, state), tell):
            payload[SLOT] = SLOTS[payload[SLOT] == SLOTS[0]]
            backend.replace(slot_view_name(view, payload[SLOT]), rows, state)
        # what Feast's own clients see comes before the switch, so that a kill leaves nothing that the next
        # run, which looks at the manifest, would not do again
        _publish(stores, repository, view, until, cause=cause, run_id=run_id, tell=tell)
        backend.replace(pointer_view_name(view), pointer_row(source, join_keys, payload))
        _register(stores, repository, view, min(digests), until, tell)
        return table.write_document(
            PARTITION,
            payload,
            code_version=view.code_version,
            inputs=inputs,
            cause=cause,
            run_id=run_id,
        )


def _is_held(
    backend: OnlineBackend,
    view: FeatureView,
    slot: str,
    rows: tuple[Rows, Rows],
    tell: Tell,
) -> bool:
    """Whether the slot that counts still holds what was written; tells what is wrong with it."""
    try:
        found = held(backend, slot_view_name(view, slot), *rows)
    except Exception as error:  # each kind of store has its own
        tell(Fault("lost", slot_view_name(view, slot), f"could not be read ({error}), and is written again"))
        return False
    if not found.exactly:
        tell(Fault("foreign", slot_view_name(view, slot), f"was changed by somebody else: {found.told()}"))
    return found.exactly


def _publish(
    stores: Stores,
    repository: Repository,
    view: FeatureView,
    until: date,
    *,
    cause: str,
    run_id: str,
    tell: Tell,
) -> None:
    try:
        publish_latest(stores, repository, view, until, cause=cause, run_id=run_id, tell=tell)
    except Blocked as error:
        tell(Fault("unpublished", feast_name(view), str(error)))


def _register(
    stores: Stores,
    repository: Repository,
    view: FeatureView,
    first: str,
    until: date,
    tell: Tell,
) -> None:
    """Feast's registry as the lake has it."""
    names = [feast_name(view), pointer_view_name(view), *(slot_view_name(view, slot) for slot in SLOTS)]
    store = open_online_store(stores, repository)
    for fault in reconcile(stores, store, names, promised_interval(first, until)):
        tell(fault)
