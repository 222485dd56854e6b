"""What two common shortcuts would serve, to tell people what they would cost. Nothing is decided by it.

*Last stored row*: the features computed for the entity's previous row, as if time had stood still since.
*Midnight snapshot*: the windows as they were when the day began, without the request's own row.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from platform_assets.declaration.feature_view import FeatureView
from platform_assets.declaration.repository import Repository
from platform_assets.features.entity_keys import key_names
from platform_assets.online.online_events import read_events
from platform_assets.online.online_state import midnight, no_events
from platform_assets.online.serving_windows import finish
from platform_assets.stores import Stores
from platform_assets.vocabulary import feature_table

if TYPE_CHECKING:
    import pyarrow as pa

LOOK_BACK = 7
"""Days in which an entity's previous row is looked for; none found is served as null."""

Served = dict[str, list[Any]]


def shortcuts_of(
    stores: Stores,
    repository: Repository,
    view: FeatureView,
    requests: pa.Table,
    day: str,
) -> dict[str, Served]:
    """Window features of requests of one day by shortcut and name; empty for a view not kept online."""
    if not view.online or not view.windows:
        return {}
    return {
        "last_stored_row": _last_stored_row(stores, repository, view, requests, day),
        "midnight_snapshot": _midnight_snapshot(stores, repository, view, requests, day),
    }


def _midnight_snapshot(
    stores: Stores,
    repository: Repository,
    view: FeatureView,
    requests: pa.Table,
    day: str,
) -> Served:
    source = repository.source(view.source)
    moment = midnight(date.fromisoformat(day))
    names = key_names(requests, repository.entity_of(view).join_keys)
    known = read_events(stores, repository, view, names, [moment])
    nobody = no_events(source, view)
    return {
        feature.name: [finish(source, feature, known.get(name, nobody), moment, None) for name in names]
        for feature in view.windows
    }


def _last_stored_row(
    stores: Stores, repository: Repository, view: FeatureView, requests: pa.Table, day: str
) -> Served:
    import pyarrow.compute as pc

    source = repository.source(view.source)
    join_keys = repository.entity_of(view).join_keys
    table = stores.lake.table(feature_table(view.lake_name))
    newest = date.fromisoformat(day)
    days = [(newest - timedelta(days=n)).isoformat() for n in range(LOOK_BACK, -1, -1)]
    windows = [feature.name for feature in view.windows]
    stored = table.read(table.current(days), [*join_keys, source.event_timestamp, *windows])
    for name in join_keys:
        stored = stored.filter(pc.is_in(stored.column(name), requests.column(name).combine_chunks()))
    rows: dict[Any, list[tuple[Any, ...]]] = {}
    columns = (stored.column(name).to_pylist() for name in (source.event_timestamp, *windows))
    for name, moment, *values in zip(key_names(stored, join_keys), *columns, strict=True):
        rows.setdefault(name, []).append((moment, *values))
    found = []
    for name, moment in zip(
        key_names(requests, join_keys),
        requests.column(source.event_timestamp).to_pylist(),
        strict=True,
    ):
        before = [row for row in rows.get(name, ()) if row[0] < moment]
        last = max(before, key=lambda row: row[0], default=None)
        found.append(last[1:] if last is not None else (None,) * len(windows))
    return {name: [row[place] for row in found] for place, name in enumerate(windows)}
