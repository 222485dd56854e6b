"""Time columns of any type as whole microseconds since 1970 in UTC, in DuckDB's SQL."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from platform_assets.declaration.duration import microseconds

NAIVE = ("TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS", "DATE")
ZONED = ("TIMESTAMP WITH TIME ZONE", "TIMESTAMPTZ_NS")
_NANOSECONDS = ("TIMESTAMP_NS", "TIMESTAMPTZ_NS")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# nanoseconds in 64 bits end in 2262 and begin in 1677
_WIDEST = 9_200_000_000_000_000


def microseconds_of(column: str, kind: str) -> str:
    """SQL for the moment that `column`, of DuckDB's type `kind`, holds; times without a zone are UTC."""
    return f"epoch_us({column}::TIMESTAMPTZ)" if kind == "TIMESTAMPTZ_NS" else f"epoch_us({column})"


def between(column: str, kind: str, first: int | None, last: int | None) -> list[str]:
    """SQL conditions that hold `column` within [first, last] and that row groups can be skipped by.

    Both ends are microseconds since 1970; None leaves an end open.
    """
    found = []
    if first is not None and (bound := _literal(first, kind)):
        found.append(f"{column} >= {bound}")
    # what is kept in nanoseconds may lie within the last microsecond
    if last is not None and (bound := _literal(last + 1, kind)):
        found.append(f"{column} < {bound}")
    return found


def since_1970(moment: datetime) -> int:
    """Microseconds since 1970; a time without a zone is UTC.

    >>> since_1970(datetime(1970, 1, 1, 0, 0, 1))
    1000000
    """
    return microseconds((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _EPOCH)


def _literal(moment: int, kind: str) -> str | None:
    if kind in _NANOSECONDS and abs(moment) > _WIDEST:
        return None
    try:
        told = (_EPOCH + timedelta(microseconds=moment)).strftime("%Y-%m-%d %H:%M:%S.%f")
    except OverflowError:
        return None
    if kind in ZONED:
        return f"CAST('{told}+00' AS {kind})"
    return f"CAST('{told}' AS {'TIMESTAMP' if kind == 'DATE' else kind})"
