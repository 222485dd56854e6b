"""Cron lines of five fields, checked before anything is scheduled.

Lists, ranges and steps of numbers; names of months and days of the week. What a field may hold is told
by crontab(5).
"""

from __future__ import annotations

import re

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_FIELDS: tuple[tuple[str, int, int, dict[str, int]], ...] = (
    ("minute", 0, 59, {}),
    ("hour", 0, 23, {}),
    ("day of the month", 1, 31, {}),
    ("month", 1, 12, {name: number for number, name in enumerate(_MONTHS, 1)}),
    ("day of the week", 0, 7, {name: number for number, name in enumerate(_DAYS)}),
)
_PART = re.compile(r"(?:\*|(\w+)(?:-(\w+))?)(?:/([1-9]\d*))?")


def check_cron(line: str) -> str:
    """The line as it is; ValueError naming the field that is wrong.

    >>> check_cron("0 6 * * mon-fri")
    '0 6 * * mon-fri'
    """
    fields = line.split()
    if len(fields) != 5:
        raise ValueError(
            f"expected a cron line of five fields (minute, hour, day of the month, month, day of the week) "
            f"such as 0 6 * * *, not {line!r}"
        )
    for text, (name, low, high, names) in zip(fields, _FIELDS, strict=True):
        for part in text.split(","):
            match = _PART.fullmatch(part)
            bounds = [_number(bound, names) for bound in match.groups()[:2] if bound] if match else [-1]
            if not all(low <= bound <= high for bound in bounds) or bounds != sorted(bounds):
                raise ValueError(f"cron line {line!r}: {name} is {text!r}; expected {low} to {high}, or *")
    return line


def _number(text: str, names: dict[str, int]) -> int:
    return int(text) if text.isdecimal() else names.get(text.lower(), -1)
