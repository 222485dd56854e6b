"""Lengths of time as squads write them: 30m, 12h, 7d."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_LONGEST = 36525 * 86400
_PATTERN = re.compile(r"(\d+)([smhd])")


def parse_duration(value: Any) -> timedelta:
    """`7d` -> 7 days. Raises ValueError for anything else, naming the form expected.

    >>> parse_duration("7d").days
    7
    """
    if isinstance(value, timedelta):
        return value
    if value == 0:
        return timedelta()
    match = _PATTERN.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"expected a length of time such as 30m, 12h or 7d, not {value!r}")
    seconds = int(match[1]) * _UNITS[match[2]]
    if seconds > _LONGEST:
        raise ValueError(f"expected a length of time below a hundred years, not {value!r}")
    return timedelta(seconds=seconds)


def format_duration(value: timedelta) -> str:
    """The shortest form that reads back to the same length."""
    seconds = int(value.total_seconds())
    for unit in ("d", "h", "m"):
        if seconds and seconds % _UNITS[unit] == 0:
            return f"{seconds // _UNITS[unit]}{unit}"
    return f"{seconds}s"


Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration, return_type=str),
    WithJsonSchema(
        {"anyOf": [{"type": "string", "pattern": r"^\d+[smhd]$"}, {"type": "integer", "const": 0}]}
    ),
]


def microseconds(value: timedelta) -> int:
    """A length of time in whole microseconds, the unit of every timestamp in the lake."""
    return (value.days * 86400 + value.seconds) * 1_000_000 + value.microseconds
