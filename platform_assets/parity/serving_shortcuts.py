"""What two common shortcuts would serve, to tell people what they would cost. Nothing is decided by it.

*Last stored row*: the features computed for the entity's previous row, as if time had stood still since.
*Midnight snapshot*: the windows as they were when the day began, without the request's own row.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from platform_assets.declaration.feature_view import FeatureView
from platform_assets.declaration.repository import Repository
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
    names = requests.column(repository.entity(view.entity).join_key).to_pylist()
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
    entity_key = repository.entity(view.entity).join_key
    table = stores.lake.table(feature_table(view.lake_name))
    newest = date.fromisoformat(day)
    days = [(newest - timedelta(days=n)).isoformat() for n in range(LOOK_BACK, -1, -1)]
    windows = [feature.name for feature in view.windows]
    stored = table.read(table.current(days), [entity_key, source.event_timestamp, *windows])
    stored = stored.filter(pc.is_in(stored.column(entity_key), requests.column(entity_key).combine_chunks()))
    rows: dict[Any, list[tuple[Any, ...]]] = {}
    for name, moment, *values in zip(*(column.to_pylist() for column in stored.columns), strict=True):
        rows.setdefault(name, []).append((moment, *values))
    found = []
    for name, moment in zip(
        requests.column(entity_key).to_pylist(),
        requests.column(source.event_timestamp).to_pylist(),
        strict=True,
    ):
        before = [row for row in rows.get(name, ()) if row[0] < moment]
        last = max(before, key=lambda row: row[0], default=None)
        found.append(last[1:] if last is not None else (None,) * len(windows))
    return {name: [row[place] for row in found] for place, name in enumerate(windows)}
