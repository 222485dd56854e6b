"""An entity's recent events, read back from Feast's online store, if they are what the lake promises.

The lake's manifest names the slot that counts and the state in it. A fill writes the other slot, and the
manifest then names that one, so a reader never waits: it reads one snapshot of the slot it was told, and if
that is not the promised state any more, the manifest has moved on and is asked again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from platform_assets.declaration.duration import microseconds
from platform_assets.declaration.feature_view import FeatureView
from platform_assets.declaration.repository import Repository
from platform_assets.declaration.source import Source
from platform_assets.errors import Blocked
from platform_assets.home import Home
from platform_assets.lake.manifest import Manifest
from platform_assets.online.backend_choice import open_backend
from platform_assets.online.feast_bytes import text_of
from platform_assets.online.feast_objects import SLOT, STATE_DIGEST, UNTIL, slot_view_name
from platform_assets.online.online_backend import PROJECT, OnlineBackend, online_file
from platform_assets.online.online_state import midnight, shape, state_columns
from platform_assets.online.redis_backend import checked_url, feast_connection
from platform_assets.online.serving_windows import HORIZON, Events
from platform_assets.online.state_rows import state_key, stored_events, stored_keys
from platform_assets.stores import Stores
from platform_assets.vocabulary import online_table

if TYPE_CHECKING:
    from feast import FeatureStore, RepoConfig

PARTITION = "current"
_BATCH = 10_000  # entities in one read
_TRIES = 100  # manifests that may follow each other during one read


class _OtherState(Exception):
    """The store holds another state than the lake promises."""


def open_feast(home: Home) -> FeatureStore:
    """Feast over a home, as it is: nothing is registered."""
    import feast

    home.feast.mkdir(parents=True, exist_ok=True)
    return feast.FeatureStore(config=feast_config(home))


def feast_config(home: Home) -> RepoConfig:
    """How Feast finds a home's stores and registry."""
    import feast

    return feast.RepoConfig(
        project=PROJECT,
        provider="local",
        registry={
            "registry_type": "sql",
            "path": f"sqlite:///{home.feast / 'registry.db'}",
            "serve_features_while_materializing": True,
        },
        online_store=_online_store(home),
        offline_store={"type": "platform_assets.offline_store.as_of.AsOfOfflineStore"},
        entity_key_serialization_version=3,
    )


def _online_store(home: Home) -> dict[str, Any]:
    if not home.online:
        return {"type": "sqlite", "path": str(online_file(home))}
    return {
        "type": "redis",
        "connection_string": feast_connection(checked_url(home.online)),
        "skip_dedup": True,  # or a correction with the same event timestamp would be left out
    }


def read_events(
    stores: Stores,
    repository: Repository,
    view: FeatureView,
    names: Iterable[Any],
    moments: Sequence[int],
) -> dict[Any, Events]:
    """Recent events of entities, those without any left out; `moments` are checked to be answerable.

    Raises Blocked when the online state is missing, not the promised one, of another version of the
    view, or younger than one of the moments.
    """
    wanted = [name for name in dict.fromkeys(names) if name is not None]
    told: str | None = None
    for _ in range(_TRIES):
        manifest, promised = promised_state(stores, repository.source(view.source), view)
        _refuse_too_old(view, moments, promised)
        if told == manifest.to_json().decode():
            break
        told = manifest.to_json().decode()
        try:
            return _read_state(stores, repository, view, wanted, promised)
        except _OtherState as error:
            problem = str(error)
    raise Blocked(problem)


def promised_state(stores: Stores, source: Source, view: FeatureView) -> tuple[Manifest, dict[str, Any]]:
    """What the lake's manifest says was filled last; Blocked unless it is of this version of the view."""
    table = stores.lake.table(online_table(view.lake_name))
    manifest = table.manifest(PARTITION)
    fix = f"materialize online_{view.name}"
    if manifest is None:
        raise Blocked(f"online {view.name}: nothing was materialized yet; {fix}")
    payload = table.document_of(manifest)
    if payload["view_version"] != view.code_version or payload["measures"] != shape(source, view):
        raise Blocked(
            f"online {view.name}: was filled for version {payload['view_version']} of the view or for other "
            f"column types, and {view.code_version} is declared; {fix}"
        )
    if SLOT not in payload:
        raise Blocked(f"online {view.name}: was filled in a layout without slots; {fix}")
    return manifest, payload


def lost_state(stores: Stores, repository: Repository, view: FeatureView) -> str:
    """Why the store cannot serve what the lake promises, looking at one row; empty when it can."""
    try:
        _, promised = promised_state(stores, repository.source(view.source), view)
        _read_state(stores, repository, view, [], promised)
    except (Blocked, _OtherState) as error:
        return str(error)
    return ""


def fill_lock(home: Home, view: FeatureView) -> Path:
    """The lock file that a fill of the view holds."""
    return home.locks / f"online_{view.name}"


def _read_state(
    stores: Stores,
    repository: Repository,
    view: FeatureView,
    wanted: list[Any],
    promised: Mapping[str, Any],
) -> dict[Any, Events]:
    """Read once; _OtherState when the store and the lake disagree, Blocked for whatever else is wrong."""
    source = repository.source(view.source)
    join_keys = repository.entity_of(view).join_keys
    backend = open_backend(stores.home)
    found: dict[Any, Events] = {}
    try:
        for start in range(0, max(len(wanted), 1), _BATCH):
            batch = wanted[start : start + _BATCH]
            keys = [state_key(source, join_keys), *stored_keys(source, join_keys, batch)]
            columns = [*state_columns(source, view), STATE_DIGEST]
            values = backend.read(slot_view_name(view, promised[SLOT]), keys, columns)
            _check_state(view, text_of(values[STATE_DIGEST][0]), promised)
            rows = stored_events(source, view, {name: column[1:] for name, column in values.items()})
            found.update((name, row) for name, row in zip(batch, rows, strict=True) if row is not None)
    except _OtherState:
        raise
    except Exception as error:
        raise unreadable(view, backend, error) from error
    return found


def unreadable(view: FeatureView, backend: OnlineBackend, error: Exception) -> Blocked:
    """A store that is not there or is damaged; each kind of store has its own errors for that."""
    start = "start it, and where it came back empty " if backend.kind == "redis" else ""
    return Blocked(
        f"online {view.name}: Feast's online store {backend.where()} cannot be read "
        f"({type(error).__name__}: {error}); {start}materialize online_{view.name} again"
    )


def _refuse_too_old(view: FeatureView, moments: Sequence[int], promised: Mapping[str, Any]) -> None:
    oldest = midnight(date.fromisoformat(promised[UNTIL])) - microseconds(HORIZON)
    too_old = [moment for moment in moments if moment < oldest]
    if too_old:
        raise Blocked(
            f"online {view.name}: {len(too_old)} of {len(moments)} requests are from before "
            f"{_iso(oldest)}, from when on events are kept; ask the lake for older values"
        )


def _check_state(view: FeatureView, found: str, promised: Mapping[str, Any]) -> None:
    if found != promised[STATE_DIGEST]:
        raise _OtherState(
            f"online {view.name}: the store holds state {found or 'none'}, and the lake promises "
            f"{promised[STATE_DIGEST]}; it was emptied or written by somebody else, or is another store. "
            f"Materialize online_{view.name} again"
        )


def _iso(moment: int) -> str:
    return (datetime(1970, 1, 1) + timedelta(microseconds=moment)).isoformat()  # noqa: DTZ001 - all is UTC
