"""A view's online store against the lake: every entity and feature, at two moments.

At the **cut-off** (the end of the newest raw day) every entity that the lake or the store knows is asked for,
by a request without a row of its own. At its **newest event** each entity with a row in the newest raw day
is asked again, by that very row: what is served must equal the lake's feature row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from platform_assets.declaration.duration import microseconds
from platform_assets.declaration.feature_view import FeatureView
from platform_assets.declaration.repository import Repository
from platform_assets.declaration.source import Source
from platform_assets.features.compute import expected_inputs
from platform_assets.online.online_state import midnight
from platform_assets.online.online_store import online_inputs, serve
from platform_assets.online.serving_windows import HORIZON, retention
from platform_assets.online.whole_state import read_all_events
from platform_assets.parity.differences import Column, Differences, column_of, compare_all
from platform_assets.parity.entity_events import EntityEvents
from platform_assets.parity.key_alignment import aligned, lowest_hashes
from platform_assets.parity.served_requests import newest_requests, own_rows, served_values, witnesses_differ
from platform_assets.parity.stored_events import stored_entities, stored_events
from platform_assets.parity.training_values import (
    entity_array,
    nobodys_values,
    trained_at_cut_off,
)
from platform_assets.parity.window_values import OwnRows, window_values
from platform_assets.stores import Stores
from platform_assets.vocabulary import feature_table, raw_table

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    Places = npt.NDArray[np.int64]

CUT_OFF = "cut-off"
NEWEST_EVENT = "newest event"
WITNESSES = 200
"""Requests that go through `serve` itself: what all others are computed by must say the same."""


@dataclass(frozen=True)
class Comparison:
    """One moment: whom it asks (places among the entities), when, and what either side says."""

    moment: str
    who: Places
    moments: Places
    own: OwnRows | None
    served: Mapping[str, Column]
    trained: Mapping[str, Column]
    differences: Mapping[str, Differences]


@dataclass(frozen=True)
class Measurement:
    """Everything that was compared, and what is known of either side.

    `raw` are the raw days in reach by digest, as they are now; `filled` the document of the last fill.
    `foreign` are keys of the store that the lake does not know: serialized ones that stand for no entity of
    the view, and entities that only the store has. `reservations` tell what stands against a pass although
    nothing may differ.
    """

    source: Source
    view: FeatureView
    join_keys: tuple[str, ...]
    entities: pa.Array
    known: int
    stored: EntityEvents
    comparisons: tuple[Comparison, ...]
    raw: Mapping[str, str]
    filled: Mapping[str, Any]
    foreign: tuple[Any, ...]
    witnesses: int
    witnesses_differ: int
    feature_day: str
    reservations: tuple[str, ...]

    @property
    def until(self) -> date:
        """The day after the newest raw day."""
        return date.fromisoformat(max(self.raw)) + timedelta(days=1)

    @property
    def differing(self) -> npt.NDArray[np.bool_]:
        """Entities that any feature of either moment differs for."""
        import numpy as np

        found = np.zeros(len(self.entities), dtype=bool)
        for comparison in self.comparisons:
            for difference in comparison.differences.values():
                found[comparison.who[difference.places]] = True
        return found


def measure_view(stores: Stores, repository: Repository, view: FeatureView) -> Measurement:
    """Read the store once and compare it with the lake.

    Raises Blocked, or what the reader of a damaged file raises, when nothing is served or the lake has
    nothing to compare with: then there is no verdict.
    """
    import numpy as np
    import pyarrow as pa

    source = repository.source(view.source)
    join_keys = repository.entity_of(view).join_keys
    raw = stores.lake.table(raw_table(source.name))
    inputs = online_inputs(stores, repository, view)
    digests = inputs[raw.name]
    newest_day = max(digests)
    state = read_all_events(stores, repository, view)
    held_events = stored_events(view, state)  # refuses a state that must not be served from
    moment = midnight(date.fromisoformat(newest_day) + timedelta(days=1)) - 1
    after = moment + 1 - microseconds(HORIZON) - microseconds(retention(view))
    trained = trained_at_cut_off(
        source, view, join_keys, raw.paths(sorted(digests)), moment=moment, after=after
    )
    held = stored_entities(state, trained.entities.type)
    entities, known = _entities(view, trained.entities, held)
    spot = aligned(pa.table({"k": held}), pa.table({"k": entities})).served[: len(entities)]
    stored = held_events.take(spot)
    place = aligned(pa.table({"k": trained.entities}), pa.table({"k": entities})).served[: len(entities)]
    newest = column_of(trained.newest).take(place)
    outdated = newest.valid & (stored.newest() < newest.values)
    cut_off = _at_cut_off(source, view, stored, place, trained.columns, moment, outdated)
    rows, reservations = _feature_day(stores, source, view, newest_day)
    if not state.manifest.is_made_from(view.code_version, inputs):
        reservations.append(
            f"online {view.name} is stale: it was filled from other raw days than there are now; "
            f"materialize online_{view.name}"
        )
    asked, who = _asked(
        source, join_keys, entities, newest_requests(source, view, join_keys, raw.paths([newest_day]))
    )
    sample = asked.take(pa.array(lowest_hashes(asked.select(list(join_keys)), WITNESSES)))
    witness = sample, serve(stores, repository, view, sample)
    newest_event, differ = _at_newest_event(source, view, stored, asked, who, outdated, witness, rows)
    strangers = entities.take(pa.array(np.flatnonzero((place < 0) & (stored.counts > 0))))
    return Measurement(
        source=source,
        view=view,
        join_keys=join_keys,
        entities=entities,
        known=known,
        stored=stored,
        comparisons=(cut_off, *newest_event),
        raw=digests,
        filled=state.promised,
        foreign=(*state.foreign, *strangers.to_pylist()),
        witnesses=sample.num_rows,
        witnesses_differ=differ,
        feature_day=newest_day,
        reservations=tuple(reservations),
    )


def _entities(view: FeatureView, trained: pa.Array, stored: pa.Array) -> tuple[pa.Array, int]:
    """All entities that either side knows, or the lowest hashes of them; and how many there are."""
    import pyarrow as pa

    both = aligned(pa.table({"k": stored}), pa.table({"k": trained})).keys
    chosen = both.take(pa.array(lowest_hashes(both, view.parity.entities)))
    chunks = chosen.column("k").chunks
    return pa.concat_arrays(chunks) if chunks else pa.array([], trained.type), both.num_rows


def _at_cut_off(
    source: Source,
    view: FeatureView,
    stored: EntityEvents,
    place: Places,
    columns: Mapping[str, Column],
    moment: int,
    outdated: npt.NDArray[np.bool_],
) -> Comparison:
    import numpy as np

    features = view.windows
    who = np.arange(len(place))
    moments = np.full(len(place), moment)
    served = window_values(source, view, stored, moments)
    nobody = nobodys_values(features, len(place))
    trained = {f.name: _either(columns[f.name].take(place), nobody[f.name], place >= 0) for f in features}
    served = {name: served[name] for name in trained}
    found = compare_all(served, trained, tolerance=view.parity.tolerance, outdated=outdated)
    return Comparison(CUT_OFF, who, moments, None, served, trained, found)


def _asked(
    source: Source, join_keys: tuple[str, ...], entities: pa.Array, requests: pa.Table
) -> tuple[pa.Table, Places]:
    """The requests of the entities that are compared, and the place of each one's entity."""
    import numpy as np
    import pyarrow as pa

    keys = pa.table({"k": entity_array(source, join_keys, requests)})
    spot = aligned(pa.table({"k": entities}), keys).served[: requests.num_rows]
    return requests.take(pa.array(np.flatnonzero(spot >= 0))), spot[spot >= 0]


def _at_newest_event(
    source: Source,
    view: FeatureView,
    stored: EntityEvents,
    asked: pa.Table,
    who: Places,
    outdated: npt.NDArray[np.bool_],
    witness: tuple[pa.Table, Mapping[str, list[Any]]],
    rows: pa.Table | None,
) -> tuple[tuple[Comparison, ...], int]:
    """The comparison by the lake's feature rows, and how many witnesses say otherwise."""
    import pyarrow as pa

    moments = column_of(asked.column(source.event_timestamp)).values
    own = own_rows(source, view, asked)
    served = served_values(source, view, stored.take(who), moments, own, asked)
    sample, witnessed = witness
    differ = witnesses_differ(source, asked, served, sample, witnessed)
    if rows is None:
        return (), differ
    key = list(source.primary_key)
    spot = aligned(rows.select(key), asked.select(key)).served[: asked.num_rows]
    there = [f.name for f in view.features if f.name in served]
    trained = {
        name: column_of(rows.column(name) if name in rows.column_names else pa.nulls(rows.num_rows)).take(
            spot
        )
        for name in there
    }
    found = compare_all(served, trained, tolerance=view.parity.tolerance, outdated=outdated[who])
    return (Comparison(NEWEST_EVENT, who, moments, own, served, trained, found),), differ


def _feature_day(
    stores: Stores, source: Source, view: FeatureView, day: str
) -> tuple[pa.Table | None, list[str]]:
    """The lake's feature rows of a day, and what stands against them."""
    table = stores.lake.table(feature_table(view.lake_name))
    manifest = table.manifest(day)
    if manifest is None:
        return None, [f"feature view {view.name}: day {day} was not built"]
    expected = expected_inputs(stores, source, view, day)
    if expected is None or not manifest.is_made_from(view.code_version, expected):
        return table.read([day]), [f"feature view {view.name}: day {day} is stale; build it again"]
    return table.read([day]), []


def _either(column: Column, other: Column, first: npt.NDArray[np.bool_]) -> Column:
    import numpy as np

    return Column(np.where(first, column.values, other.values), np.where(first, column.valid, other.valid))
