"""Feast's registry follows the lake: views as declared, and what was materialized as the lake knows it.

Feast keeps a state and the materialized intervals of each view. A killed `feast materialize` leaves a view in
state MATERIALIZING, in which Feast refuses to serve it; an interval that ends in the future stops every later
incremental one; a changed view that is applied anew loses both. Reconciling puts the registry back to one
interval, that which the lake promises, and tells what it found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from platform_assets.declaration.repository import Repository
from platform_assets.errors import LakeError
from platform_assets.lake.atomic_files import exclusive_lock
from platform_assets.online.feast_objects import feast_objects
from platform_assets.online.online_events import open_feast
from platform_assets.stores import Stores
from platform_assets.vocabulary import feature_table

if TYPE_CHECKING:
    from feast import FeatureStore

Interval = tuple[datetime, datetime]


@dataclass(frozen=True)
class Fault:
    """Something that was not as the lake has it, and is now: which kind, of which Feast view, in words."""

    kind: str
    view: str
    told: str

    def __str__(self) -> str:
        return f"{self.view}: {self.told}"


Tell = Callable[[Fault], None]
"""Whoever is told of a fault."""


def open_online_store(stores: Stores, repository: Repository) -> FeatureStore:
    """Feast over this home, with every declared view registered; what is registered is left alone.

    Raises LakeError when the registry is damaged.
    """
    from sqlalchemy.exc import DatabaseError

    file = stores.home.feast / "registry.db"
    try:
        with exclusive_lock(_lock(stores)):
            return _registered(stores, repository)
    except DatabaseError as error:
        raise LakeError(
            f"Feast's registry {file} cannot be read ({error.orig}); delete it, and the next materialization "
            f"registers every view again"
        ) from error


def reconcile(stores: Stores, store: FeatureStore, names: Iterable[str], promised: Interval) -> list[Fault]:
    """Make the registry say of each Feast view that exactly the promised interval is materialized."""
    with exclusive_lock(_lock(stores)):
        store.refresh_registry()
        return [fault for name in names for fault in reconciled(store, name, promised)]


def reconciled(store: FeatureStore, name: str, promised: Interval) -> list[Fault]:
    """As `reconcile`, for one view of any Feast store, with a file or an SQL registry, and without a lock."""
    from feast.feature_view import FeatureViewState

    view = store.registry.get_feature_view(name, store.project, allow_cache=False)
    intervals = [(_utc(start), _utc(end)) for start, end in view.materialization_intervals]
    available = view.state in (FeatureViewState.STATE_UNSPECIFIED, FeatureViewState.AVAILABLE_ONLINE)
    if available and intervals == [promised]:
        return []
    faults = list(_faults(name, view.state.name, intervals, promised))
    _put(store, view, promised)
    return faults


def _faults(name: str, state: str, intervals: list[Interval], promised: Interval) -> Iterator[Fault]:
    now = datetime.now(UTC)
    if state == "MATERIALIZING":
        yield Fault("stuck", name, "Feast held it to be materializing: that run was killed, or is not over")
    for start, end in intervals:
        told = f"Feast was told to materialize {start.isoformat()} to {end.isoformat()}"
        if end < start:
            yield Fault("inverted", name, f"{told}, which ends before it starts")
        elif end > now:
            yield Fault("future", name, f"{told}; it would have skipped the rows until then")
        elif end > promised[1]:
            yield Fault("foreign", name, f"{told}, beyond what the lake promises")


def _put(store: FeatureStore, view: Any, promised: Interval) -> None:
    """One interval and a state that can be served, in one write that readers see."""
    from feast.feature_view import FeatureViewState
    from feast.infra.registry.registry import Registry

    registry = store.registry
    if isinstance(registry, Registry):  # one file: it takes a new interval only with a new view
        view.materialization_intervals = [promised]
        view.state = FeatureViewState.AVAILABLE_ONLINE
        registry.delete_feature_view(view.name, store.project, commit=False)
        registry.apply_feature_view(view, store.project, commit=True)
        return
    registry.apply_materialization(view, store.project, *promised)  # makes it available
    view = registry.get_feature_view(view.name, store.project, allow_cache=False)
    view.materialization_intervals = [promised]
    registry.apply_feature_view(view, store.project)


def _registered(stores: Stores, repository: Repository) -> FeatureStore:
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


def _definition(view: Any) -> tuple[Any, ...]:
    """What of a Feast view must be registered again when it changes."""
    return dict(view.tags), {f.name: str(f.dtype) for f in view.schema}, view.batch_source.path, view.ttl


def _lock(stores: Stores) -> Path:
    return stores.home.locks / "feast_registry"


def _utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def promised_interval(first: str, until: date) -> Interval:
    """From the day `first` to the last microsecond before the day `until`: Feast's bounds are inclusive."""
    start = datetime.combine(date.fromisoformat(first), datetime.min.time(), UTC)
    return start, datetime.combine(until, datetime.min.time(), UTC) - timedelta(microseconds=1)
