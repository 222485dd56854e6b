"""Both sides of a feature view at one moment, entity by entity: what is stored, and what training takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from platform_assets.feast_project.latest_rows import EXPIRED, PARTITION, event_times
from platform_assets.feast_project.online_rows import OnlineRows, read_online, stored_keys
from platform_assets.feast_project.online_state import is_newer
from platform_assets.feast_project.open_project import OpenProject
from platform_assets.feast_project.snapshot import View
from platform_assets.feast_project.training_set import ROW, joined
from platform_assets.feast_project.training_set import TIME as ENTITY_TIME
from platform_assets.parity.differences import Column, column_of
from platform_assets.parity.key_alignment import aligned, lowest_hashes
from platform_assets.vocabulary import feast_table

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class ComparedView:
    """A place an entity; `offline_times` and `expired` are those of its newest row in the source."""

    keys: pa.Table
    served: dict[str, Column]
    trained: dict[str, Column]
    stored: OnlineRows
    offline_times: list[datetime | None]
    expired: list[bool]

    @property
    def pushed(self) -> Mask:
        """Entities with a stored value newer than the source's row, as a push source writes them."""
        newer = self._times(lambda stored, offline: offline is None or is_newer(stored, offline))
        for place in newer.nonzero()[0].tolist():
            newer[place] = any(column.valid[place] for column in self.served.values())
        return newer

    @property
    def outdated(self) -> Mask:
        """Entities whose stored row is older than the source's newest."""
        return self._times(
            lambda stored, offline: offline is not None and (offline - stored).total_seconds() >= 1
        )

    def _times(self, holds: Callable[[datetime, datetime | None], bool]) -> Mask:
        import numpy as np

        pairs = zip(self.stored.times, self.offline_times, strict=True)
        return np.array([s is not None and holds(s, o) for s, o in pairs], dtype=bool)


def compared_view(opened: OpenProject, view: View, as_of: datetime) -> ComparedView:
    """Read both sides of every entity of the source and of the store, or of a key-hash sample.

    Raises Blocked when a store cannot be read, RepeatedKeys when it holds an entity twice.
    """
    import pyarrow as pa

    rows = opened.stores.lake.table(feast_table(opened.name, "views", view.name)).read([PARTITION])
    names = list(view.join_keys) or [rows.column_names[0]]
    offline = rows.select(names)
    stored = stored_keys(opened, view, offline.schema)
    both = aligned(stored if stored is not None else offline.slice(0, 0), offline, what=view.name)
    sample = pa.array(lowest_hashes(both.keys, opened.project.parity.entities), pa.int64())
    keys = both.keys.take(sample).combine_chunks()
    place = both.trained[sample.to_numpy()]
    times, expired = event_times(rows), rows.column(EXPIRED).to_pylist()
    trained = _trained(opened, view, keys, as_of)
    online = read_online(opened, view, keys)
    return ComparedView(
        keys=keys,
        served={name: typed(values, trained.column(name)) for name, values in online.values.items()},
        trained={f.name: column_of(trained.column(f.name)) for f in view.features},
        stored=online,
        offline_times=[times[p] if p >= 0 else None for p in place],
        expired=[bool(expired[p]) if p >= 0 else False for p in place],
    )


def _trained(opened: OpenProject, view: View, keys: pa.Table, as_of: datetime) -> pa.Table:
    """What training takes for each entity at the moment, by Feast's point-in-time join."""
    import pyarrow as pa

    moment = pa.array([as_of] * keys.num_rows, pa.timestamp("us", tz="UTC"))
    numbered = keys.append_column(ENTITY_TIME, moment).append_column(
        ROW, pa.array(range(keys.num_rows), pa.int64())
    )
    return joined(opened, numbered, [f"{view.name}:{feature.name}" for feature in view.features])


def typed(values: list[Any], like: pa.ChunkedArray) -> Column:
    """Served values as a column; without any value they have the type of the trained ones."""
    if all(value is None for value in values):
        return column_of(like.slice(0, 0)).take(_nowhere(len(values)))
    return column_of(values)


def _nowhere(count: int) -> Any:
    import numpy as np

    return np.full(count, -1, dtype=np.int64)
