"""A feature view's online values made those of its newest rows: whole, repeatable, and recorded.

Entities whose newest row is older than the view's TTL, and entities that the source no longer knows, are
served nothing, as training would give them nothing. Feast's registry is told afterwards: it follows the lake.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from platform_assets.errors import Blocked
from platform_assets.feast_project.latest_rows import (
    EXPIRED,
    PARTITION,
    as_of_of,
    event_times,
    latest_inputs,
    latest_manifest,
)
from platform_assets.feast_project.online_rows import (
    blank_online,
    make_table,
    read_online,
    stored_keys,
    write_online,
)
from platform_assets.feast_project.open_project import OpenProject, moment_of
from platform_assets.feast_project.snapshot import View
from platform_assets.feast_project.source_state import EPOCH, source_state
from platform_assets.home import Home
from platform_assets.lake.atomic_files import exclusive_lock, write_atomically
from platform_assets.lake.manifest import Manifest
from platform_assets.vocabulary import feast_table, plain_name

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class OnlineState:
    """What the lake promises of a view's online store: which newest rows, and as of when."""

    manifest: Manifest
    latest: Manifest
    as_of: datetime


def fill_online(opened: OpenProject, view: View, *, cause: str, run_id: str = "") -> Manifest:
    """Write the newest rows online and record it; filling again from the same rows writes the same.

    Values pushed since the newest row of their entity stay, in a view with a push source. Raises
    Blocked when the newest rows were not built, a fill of the same view is at work, or the store is
    down; what was written until then is healed by the next fill, and no parity passes before.
    """
    if not view.online:
        raise Blocked(f"feature view {view.name!r} is declared online=False; it has no online values")
    opened.check_registered(view)
    latest = latest_manifest(opened, view)
    table = opened.stores.lake.table(feast_table(opened.name, "views", view.name))
    with _alone(opened, view):
        rows = table.read([PARTITION])
        keys = rows.select(_key_names(view, rows))
        make_table(opened, view)
        present = stored_keys(opened, view, keys.schema)
        known = present if present is not None else _written_before(opened, view, keys.schema)
        kept = _pushed_since(opened, view, rows, as_of_of(latest))
        with filling(opened, view):
            blank = _blank(rows, keys, keys.schema.empty_table() if view.pushed_by else known, kept)
            write = rows.filter(_mask(rows, kept))
            write_online(opened, view, write, event_times(write))
            if blank.num_rows:
                blank_online(opened, view, blank, as_of_of(latest))
            payload = {
                "as_of": as_of_of(latest).isoformat(),
                "entities": write.num_rows + len(kept),
                "written": write.num_rows,
                "kept_as_pushed": len(kept),
                "blanked": blank.num_rows,
                "store": opened.snapshot.online_store,
            }
            manifest = opened.stores.lake.table(feast_table(opened.name, "online", view.name)).write_document(
                PARTITION,
                payload,
                code_version=view.version,
                inputs={latest.table: {PARTITION: latest.digest}, "as_of": latest.inputs["as_of"]},
                cause=cause,
                run_id=run_id,
            )
        tell_registry(opened, view, as_of_of(latest))
    return manifest


def online_state(opened: OpenProject, view: View) -> OnlineState:
    """What the store was last filled with; Blocked when never, half, or from other rows than the present."""
    again = opened.asset("online", view.name)
    if marker(opened.stores.home, opened.name, view.name).exists():
        raise Blocked(f"online {view.name}: a fill is at work, or was killed; materialize {again}")
    manifest = opened.stores.lake.table(feast_table(opened.name, "online", view.name)).manifest(PARTITION)
    if manifest is None:
        raise Blocked(f"online {view.name}: nothing was materialized; materialize {again}")
    latest = latest_manifest(opened, view)
    if not manifest.is_made_from(
        view.version, {latest.table: {PARTITION: latest.digest}, "as_of": latest.inputs["as_of"]}
    ):
        raise Blocked(
            f"online {view.name}: filled from other rows than the newest ones there are; materialize {again}"
        )
    return OnlineState(manifest, latest, as_of_of(latest))


def check_unchanged(opened: OpenProject, view: View, state: OnlineState) -> None:
    """Blocked when rows came after the newest ones were read: they would be told as differences."""
    present = source_state(opened, opened.snapshot.source(view.source))
    if not state.latest.is_made_from(view.version, latest_inputs(opened, view, present, state.as_of)):
        raise Blocked(
            f"source {view.source!r} changed since {view.name} was read (late data); materialize "
            f"{opened.asset('offline', view.name)} and {opened.asset('online', view.name)}"
        )


def check_still(opened: OpenProject, view: View, state: OnlineState) -> None:
    """Blocked when the store was filled again meanwhile: two of its states were read as one."""
    if online_state(opened, view) != state:
        raise Blocked(f"online {view.name}: was filled again while it was measured; measure once more")


def tell_registry(opened: OpenProject, view: View, as_of: datetime) -> None:
    """Record in Feast's registry that the view is online as of then, if it does not say so already.

    That also frees a view that a killed `feast materialize` left unreadable.
    """
    from feast.feature_view import FeatureViewState

    with opened.registry_lock():
        found = opened.feast_view(view.name)
        ends = [end for _, end in found.materialization_intervals]
        if as_of in ends and found.state == FeatureViewState.AVAILABLE_ONLINE:
            return
        begin = max((end for end in ends if end < as_of), default=datetime.fromtimestamp(0, as_of.tzinfo))
        opened.feast.registry.apply_materialization(found, opened.feast.project, begin, as_of)
        opened.feast.refresh_registry()


def reconcile_registry(opened: OpenProject, views: list[View]) -> list[str]:
    """Bring the registry back to what the lake knows is online; the names of views it had forgotten."""
    from feast.feature_view import FeatureViewState

    told = []
    for view in views:
        manifest = opened.stores.lake.table(feast_table(opened.name, "online", view.name)).manifest(PARTITION)
        if manifest is None or manifest.code_version != view.version:
            continue
        if opened.feast_view(view.name).state != FeatureViewState.AVAILABLE_ONLINE:
            payload = opened.stores.lake.table(manifest.table).document_of(manifest)
            tell_registry(opened, view, moment_of(payload["as_of"]))
            told.append(view.name)
    return told


def marker(home: Home, project: str, view: str) -> Path:
    """A file that is there while a fill is at work, and stays when it is killed."""
    return home.feast / "projects" / project / "filling" / plain_name(view)


@contextmanager
def filling(opened: OpenProject, view: View) -> Iterator[None]:
    """Leave the marker behind unless all of the body has happened."""
    path = marker(opened.stores.home, opened.name, view.name)
    write_atomically(path, b"")
    yield
    path.unlink(missing_ok=True)


@contextmanager
def _alone(opened: OpenProject, view: View) -> Iterator[None]:
    try:
        with exclusive_lock(
            opened.stores.home.locks / f"feast_{opened.name}_{plain_name(view.name)}", wait=30.0
        ):
            yield
    except BlockingIOError:
        raise Blocked(f"online {view.name}: another run is filling it; run again when it has ended") from None


def _key_names(view: View, rows: pa.Table) -> list[str]:
    return list(view.join_keys) or [rows.column_names[0]]


def _pushed_since(opened: OpenProject, view: View, rows: pa.Table, as_of: datetime) -> set[int]:
    """Rows of a pushed view whose entity has a newer value online than the source has, within the TTL."""
    if not view.pushed_by:
        return set()
    stored = read_online(opened, view, rows.select(_key_names(view, rows)))
    oldest = as_of - timedelta(seconds=view.ttl) if view.ttl else EPOCH
    return {
        i
        for i, (time, offline) in enumerate(zip(stored.times, event_times(rows), strict=True))
        if is_newer(time, offline)
        and is_newer(time, oldest)
        and any(values[i] is not None for values in stored.values.values())
    }


def is_newer(stored: datetime | None, offline: datetime) -> bool:
    """Whether a stored time is later; SQLite keeps whole seconds, so less than one is no difference."""
    return stored is not None and (stored - offline).total_seconds() >= 1


def _mask(rows: pa.Table, kept: set[int]) -> Any:
    import pyarrow as pa

    expired = rows.column(EXPIRED).to_pylist()
    return pa.array([not old and i not in kept for i, old in enumerate(expired)])


def _blank(rows: pa.Table, keys: pa.Table, known: pa.Table, kept: set[int]) -> pa.Table:
    """Entities that must be served nothing: expired ones, and those stored that the source does not know."""
    import pyarrow as pa

    expired = pa.array([bool(o) and i not in kept for i, o in enumerate(rows.column(EXPIRED).to_pylist())])
    names = keys.column_names
    here = set(zip(*(keys.column(name).to_pylist() for name in names), strict=True))
    stored = list(zip(*(known.column(name).to_pylist() for name in names), strict=True))
    gone = pa.array([key not in here for key in stored], pa.bool_())
    return pa.concat_tables([keys.filter(expired), known.select(names).filter(gone)])


def _written_before(opened: OpenProject, view: View, like: pa.Schema) -> pa.Table:
    """Entities that the last fill wrote, for stores that cannot list what they hold."""
    import pyarrow.parquet as pq

    filled = opened.stores.lake.table(feast_table(opened.name, "online", view.name)).manifest(PARTITION)
    table = opened.stores.lake.table(feast_table(opened.name, "views", view.name))
    digest = (filled.inputs.get(table.name) or {}).get(PARTITION, "") if filled else ""
    for manifest in table.history(PARTITION):
        path = table.folder / manifest.file
        if manifest.digest == digest and path.exists():
            written: pa.Table = pq.read_table(path, columns=like.names, partitioning=None)
            return written.cast(like)
    return like.empty_table()
