"""From when a row counts, in the reading that a split declares."""

from __future__ import annotations

from platform_assets.declaration.source import Source
from platform_assets.vocabulary import AVAILABLE_AT


def availability_column(source: Source, reading: str) -> str:
    """Column that says from when a row counts, in the reading a product's split declares.

    *As known now* reads history as it has been repaired: a corrected row stands where it happened,
    unless the source itself declares when rows became known. *As known then* goes by arrival.
    """
    by_arrival = reading == "as_known_then" or source.available_at is not None
    return AVAILABLE_AT if by_arrival else source.event_timestamp
