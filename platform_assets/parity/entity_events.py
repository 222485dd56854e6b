"""Events of many entities side by side in a few arrays, from the lake or from the store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from platform_assets.declaration.feature_view import FeatureView
from platform_assets.declaration.source import Source
from platform_assets.online.feast_objects import KEYS, TIMES, VALUE
from platform_assets.online.serving_windows import Events, measures

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    Places = npt.NDArray[np.int64]
    Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class EntityEvents:
    """Entity i has the events starts[i] ... starts[i + 1] - 1, in order of time (microseconds since 1970).

    `keys` and `values` are as in `Events`: None where no window needs to know the own row, and missing
    values as NaN or MISSING.
    """

    starts: Places
    times: Places
    keys: np.ndarray | None
    values: Mapping[str, np.ndarray]

    @property
    def entities(self) -> int:
        return len(self.starts) - 1

    @property
    def counts(self) -> Places:
        """Events of each entity."""
        import numpy as np

        return np.diff(self.starts)

    @property
    def owner(self) -> Places:
        """The entity of each event."""
        import numpy as np

        return np.repeat(np.arange(self.entities), self.counts)

    def newest(self) -> Places:
        """Time of each entity's newest event; the smallest int64 for one without events."""
        import numpy as np

        found = np.full(self.entities, np.iinfo(np.int64).min)
        some = self.counts > 0
        found[some] = self.times[self.starts[1:][some] - 1]
        return found

    def of(self, entity: int) -> Events:
        """One entity's events, as serving sees them."""
        low, high = int(self.starts[entity]), int(self.starts[entity + 1])
        keys = None if self.keys is None else self.keys[low:high]
        return Events(self.times[low:high], keys, {n: v[low:high] for n, v in self.values.items()})

    def take(self, entities: Places) -> EntityEvents:
        """These entities in this order; -1 stands for one that is not there: no events."""
        import numpy as np

        there = entities >= 0
        safe = np.where(there, entities, 0)
        counts = np.where(there, self.counts[safe] if self.entities else 0, 0)
        starts = np.concatenate([[0], np.cumsum(counts)])
        firsts = self.starts[safe] if self.entities else np.zeros(len(safe), np.int64)
        index = np.repeat(firsts - starts[:-1], counts) + np.arange(starts[-1])
        return replace(self._rows(index), starts=starts)

    def where(self, kept: Mask) -> EntityEvents:
        """Without the events that are not kept."""
        import numpy as np

        counts = np.concatenate([[0], np.cumsum(kept)])
        return replace(self._rows(np.flatnonzero(kept)), starts=counts[self.starts])

    def moved(self, offset: int) -> EntityEvents:
        """Every event that many microseconds later."""
        return replace(self, times=self.times + offset)

    def _rows(self, index: Places) -> EntityEvents:
        return EntityEvents(
            self.starts,
            self.times[index],
            None if self.keys is None else self.keys[index],
            {name: values[index] for name, values in self.values.items()},
        )


def entity_events(source: Source, view: FeatureView, events: pa.Table) -> tuple[pa.Array, EntityEvents]:
    """Entities and their events, of rows as `recent_events` gives them: sorted by entity and time."""
    import numpy as np
    import pyarrow as pa

    codes = events.column("entity").combine_chunks().dictionary_encode()
    if isinstance(codes, pa.ChunkedArray):
        codes = codes.combine_chunks()
    owner = np.asarray(codes.indices, dtype=np.int64)
    starts = np.concatenate([[0], np.cumsum(np.bincount(owner, minlength=len(codes.dictionary)))])
    return codes.dictionary, EntityEvents(
        starts.astype(np.int64),
        events.column(TIMES).to_numpy(),
        events.column(KEYS).to_numpy(zero_copy_only=False) if KEYS in events.column_names else None,
        {
            m.column: events.column(VALUE + m.column).to_numpy(zero_copy_only=False)
            for m in measures(source, view)
        },
    )
