"""The online store: each entity's recent events in Feast, and values finished from them at request time.

One Feast row an entity holds the events that a window can still reach from any request since one day
before the newest materialized moment. How the rows get there is told in `online_fill`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from platform_assets.declaration.expression_types import KIND_OF_TYPE
from platform_assets.declaration.feature_view import Feature, FeatureView
from platform_assets.declaration.repository import Repository
from platform_assets.declaration.source import Source
from platform_assets.errors import Blocked
from platform_assets.features.entity_keys import key_names
from platform_assets.online.feast_registry import open_online_store as open_online_store
from platform_assets.online.online_events import read_events
from platform_assets.online.online_fill import fill_online as fill_online
from platform_assets.online.online_fill import online_inputs as online_inputs
from platform_assets.online.online_state import (
    measured,
    no_events,
    row_keys,
)
from platform_assets.online.request_expressions import column_kinds, evaluated, row_operand
from platform_assets.online.serving_windows import (
    OWN_KEY,
    filter_name,
    finish,
    keeps_keys,
    measures,
    row_value,
)
from platform_assets.stores import Stores

if TYPE_CHECKING:
    import pyarrow as pa


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
