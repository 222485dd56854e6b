"""Feature days in chunks that fit in memory, from the row counts of the raw manifests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from platform_assets.declaration.feature_view import FeatureView
from platform_assets.features.prefix_sums import summands
from platform_assets.features.reach import raw_days

# Bytes of a row while a chunk is computed, as measured by benchmarks/feature_scale.py: of a raw row that is
# looked at (key, time, place, order), what a summed column adds to it, and of a row that is computed.
LOOKED_AT, LOOKED_AT_COLUMN = 72, 24
COMPUTED, COMPUTED_FEATURE = 16, 8


@dataclass
class DayChunk:
    """Feature days to compute together, and how much memory that takes by estimate."""

    days: list[str] = field(default_factory=list)
    reaching: set[str] = field(default_factory=set)
    bytes: int = 0


def day_chunks(
    days: Sequence[str],
    view: FeatureView,
    rows: Mapping[str, int],
    *,
    start: date,
    memory: int,
) -> list[DayChunk]:
    """The days in order of time, in chunks of as many as `memory` bytes allow by estimate.

    A chunk reads every raw day that reaches it, so days that lie together share what they look back at.
    `rows` is how many rows each raw day has; a day that it does not name has none. One day is a chunk
    however large it is.
    """
    columns = len(summands(view.windows))
    looked_at = LOOKED_AT + LOOKED_AT_COLUMN * columns
    computed = COMPUTED + COMPUTED_FEATURE * len(view.features)

    def grown(chunk: DayChunk, day: str) -> DayChunk:
        reach = raw_days([day], view, start=start)
        more = looked_at * sum(rows.get(name, 0) for name in reach - chunk.reaching)
        more += computed * rows.get(day, 0)
        return DayChunk([*chunk.days, day], chunk.reaching | reach, chunk.bytes + more)

    chunks: list[DayChunk] = []
    for day in sorted(days):
        if chunks and (larger := grown(chunks[-1], day)).bytes <= memory:
            chunks[-1] = larger
        else:
            chunks.append(grown(DayChunk(), day))
    return chunks
