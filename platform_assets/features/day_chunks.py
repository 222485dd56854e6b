"""Feature days in chunks that fit in memory, from the row counts of the raw manifests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

from platform_assets.declaration.feature_view import FeatureView
from platform_assets.features.reach import raw_days

CHUNK_BYTES = 4 * 2**30
"""How much memory a chunk may take by estimate; one day is a chunk however large it is."""

# Bytes of a row while a chunk is computed, as measured by benchmarks/feature_scale.py: a raw row that is
# only looked back at (key, time, place, order), what a summed column adds to it, and a row that is
# computed and written (primary key, times, ends of windows, and the copy that is sorted).
LOOKED_AT, LOOKED_AT_COLUMN = 64, 24
COMPUTED, COMPUTED_FEATURE = 120, 16


def day_chunks(
    days: Sequence[str],
    view: FeatureView,
    rows: Mapping[str, int],
    *,
    start: date,
    limit: int = CHUNK_BYTES,
) -> list[list[str]]:
    """The days in order of time, as few chunks as the limit allows.

    A chunk reads every raw day that reaches it, so days that lie together share what they look back at.
    `rows` is how many rows each raw day has; a day that it does not name has none.
    """
    columns = len({feature.column for feature in view.windows if feature.column is not None})
    looked_at = LOOKED_AT + LOOKED_AT_COLUMN * columns
    computed = COMPUTED + COMPUTED_FEATURE * len(view.features)
    chunks: list[list[str]] = []
    reaching: set[str] = set()
    taken = 0
    for day in sorted(days):
        reach = raw_days([day], view, start=start)
        own = computed * rows.get(day, 0)
        more = own + looked_at * sum(rows.get(name, 0) for name in reach - reaching)
        if not chunks or taken + more > limit:
            chunks.append([])
            reaching, taken = set(), 0
            more = own + looked_at * sum(rows.get(name, 0) for name in reach)
        chunks[-1].append(day)
        reaching |= reach
        taken += more
    return chunks
