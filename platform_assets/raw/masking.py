"""Values as people may see them: what a declaration calls masked is never shown."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from platform_assets.declaration.source import Column

MASK = "***"
"""Not a hash: an identifier from a small set is read back from its hash in a second."""

_LONGEST = 60


def shown(value: Any, column: Column | None) -> str | int | float | bool | None:
    """A value fit for messages, JSON and samples: masked, else plain and short."""
    if value is None:
        return None
    if column is not None and column.masked:
        return MASK
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, bool | int | float):
        return value if value == value else None  # NaN is no JSON
    text = str(value)
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "..."
