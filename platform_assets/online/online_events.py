"""An entity's recent events, read back from Feast's online store, if they are what the lake promises."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from platform_assets.declaration.duration import microseconds
from platform_assets.declaration.feature_view import FeatureView
from platform_assets.declaration.repository import Repository
from platform_assets.declaration.source import Source
from platform_assets.errors import Blocked
from platform_assets.home import Home
from platform_assets.lake.atomic_files import exclusive_lock
from platform_assets.online.feast_objects import PROJECT, STATE_DIGEST
from platform_assets.online.online_state import (
    decoded,
    midnight,
    shape,
    state_columns,
)
from platform_assets.online.serving_windows import HORIZON, Events
from platform_assets.online.state_rows import read_rows, state_name
from platform_assets.stores import Stores
from platform_assets.vocabulary import online_table

if TYPE_CHECKING:
    from feast import FeatureStore

PARTITION = "current"
_BATCH = 10_000  # entities in one read; SQLite allows 32,766 parameters in a statement
_PATIENCE = 30.0  # seconds


class _OtherState(Exception):
    """The store holds another state than the lake promises."""


def open_feast(home: Home) -> FeatureStore:
    """Feast over a home, as it is: nothing is registered."""
    import feast

    home.feast.mkdir(parents=True, exist_ok=True)
    return feast.FeatureStore(
        config=feast.RepoConfig(
            project=PROJECT,
            provider="local",
            registry={
                "registry_type": "sql",
                "path": f"sqlite:///{home.feast / 'registry.db'}",
                "serve_features_while_materializing": True,
            },
            online_store={"type": "sqlite", "path": str(online_file(home))},
            offline_store={"type": "file"},
            entity_key_serialization_version=3,
        )
    )


def online_file(home: Home) -> Path:
    """Feast's SQLite file of online values."""
    return home.feast / "online.db"


def read_events(
    stores: Stores,
    repository: Repository,
    view: FeatureView,
    names: Iterable[Any],
    moments: Sequence[int],
    *,
    store: FeatureStore | None = None,
) -> dict[Any, Events]:
    """Recent events of entities, those without any left out; `moments` are checked to be answerable.

    Raises Blocked when the online state is missing, half-filled, of another version of the view, or
    younger than one of the moments.
    """
    wanted = [name for name in dict.fromkeys(names) if name is not None]
    try:
        return _read_state(stores, repository, view, wanted, moments, store)
    except _OtherState:
        pass
    # A fill puts its manifest in place right after its rows. While none runs, the two must agree.
    with _no_fill(stores.home, view):
        try:
            return _read_state(stores, repository, view, wanted, moments, store)
        except _OtherState as error:
            raise Blocked(str(error)) from None


def fill_lock(home: Home, view: FeatureView) -> Path:
    """The lock file that a fill of the view holds."""
    return home.locks / f"online_{view.name}"


@contextlib.contextmanager
def _no_fill(home: Home, view: FeatureView) -> Iterator[None]:
    """Keep fills of a view out, after the present one; Blocked when it takes too long."""
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(exclusive_lock(fill_lock(home, view), wait=_PATIENCE))
        except BlockingIOError:
            raise Blocked(
                f"online {view.name}: has been filling for {_PATIENCE:g} seconds; try again later"
            ) from None
        yield


def _read_state(
    stores: Stores,
    repository: Repository,
    view: FeatureView,
    wanted: list[Any],
    moments: Sequence[int],
    store: FeatureStore | None,
) -> dict[Any, Events]:
    """Read once; _OtherState when the store and the lake disagree, Blocked for whatever else is wrong."""
    source = repository.source(view.source)
    promised = _promised_state(stores, source, view)
    _refuse_too_old(view, moments, promised)
    join_keys = repository.entity_of(view).join_keys
    this_state = state_name(source, join_keys)
    columns = state_columns(source, view)
    found: dict[Any, Events] = {}
    try:
        if not online_file(stores.home).exists():
            raise FileNotFoundError(f"{online_file(stores.home).name} is gone")  # Feast would create it
        reading = store or open_feast(stores.home)
        for start in range(0, max(len(wanted), 1), _BATCH):
            batch = wanted[start : start + _BATCH]
            state, *rows = read_rows(reading, source, view, join_keys, [this_state, *batch], columns)
            _check_state(view, state, promised)
            found.update(
                (name, decoded(source, view, row)) for name, row in zip(batch, rows, strict=True) if row
            )
    except _OtherState:
        raise
    except Exception as error:
        # sqlite3, SQLAlchemy and Feast each have their own way to say that the store is not there
        raise Blocked(
            f"online {view.name}: Feast's online store in {stores.home.feast} cannot be read "
            f"({type(error).__name__}: {error}); materialize online_{view.name} again"
        ) from error
    return found


def _refuse_too_old(view: FeatureView, moments: Sequence[int], promised: Mapping[str, Any]) -> None:
    oldest = midnight(date.fromisoformat(promised["materialized_until"])) - microseconds(HORIZON)
    too_old = [moment for moment in moments if moment < oldest]
    if too_old:
        raise Blocked(
            f"online {view.name}: {len(too_old)} of {len(moments)} requests are from before "
            f"{_iso(oldest)}, from when on events are kept; ask the lake for older values"
        )


def _promised_state(stores: Stores, source: Source, view: FeatureView) -> dict[str, Any]:
    """What the lake's manifest says was filled last; Blocked unless it is of this version of the view."""
    payload = stores.lake.table(online_table(view.lake_name)).document(PARTITION)
    fix = f"materialize online_{view.name}"
    if payload is None:
        raise Blocked(f"online {view.name}: nothing was materialized yet; {fix}")
    if payload["view_version"] != view.code_version or payload["measures"] != shape(source, view):
        raise Blocked(
            f"online {view.name}: was filled for version {payload['view_version']} of the view or for other "
            f"column types, and {view.code_version} is declared; {fix}"
        )
    return payload


def _check_state(view: FeatureView, row: Mapping[str, Any], promised: Mapping[str, Any]) -> None:
    found = row[STATE_DIGEST].string_val if STATE_DIGEST in row else "none"
    if found != promised["state_digest"]:
        raise _OtherState(
            f"online {view.name}: the store holds state {found}, and the lake promises "
            f"{promised['state_digest']}; a fill was interrupted, or the store is another one. Materialize "
            f"online_{view.name} again"
        )


def _iso(moment: int) -> str:
    return (datetime(1970, 1, 1) + timedelta(microseconds=moment)).isoformat()  # noqa: DTZ001 - all is UTC
