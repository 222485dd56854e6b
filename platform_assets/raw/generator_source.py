"""The generator as a source like the others."""

from __future__ import annotations

import functools
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from platform_assets.declaration.source import Source
from platform_assets.errors import SourceError, UnknownName
from platform_assets.lake.digest import document_digest
from platform_assets.raw.generator import COLUMNS, GENERATOR_VERSION, generate
from platform_assets.raw.typed_table import typed_table

if TYPE_CHECKING:
    import pyarrow as pa

DEFAULTS: dict[str, int | float] = {"customers": 5000, "terminals": 10_000, "radius": 5, "seed": 0}


class GeneratorSource:
    """Generates the whole history once a process and hands it out by the day."""

    def __init__(self, source: Source) -> None:
        if source.end is None:
            raise SourceError(
                f"source {source.name!r}: the generator needs `end`, the first day without data"
            )
        missing = sorted(set(source.column_names) - set(COLUMNS))
        if missing:
            raise SourceError(
                f"source {source.name!r}: the generator makes no column {missing[0]!r}, "
                f"only {', '.join(COLUMNS)}"
            )
        unknown = sorted(set(source.generator) - set(DEFAULTS))
        if unknown:
            raise SourceError(
                f"source {source.name!r}: {UnknownName.among('generator setting', unknown[0], DEFAULTS)}"
            )
        self.source = source
        self.settings = {**DEFAULTS, **source.generator}
        self._count = (source.end - source.start).days

    def days(self) -> dict[str, str]:
        """Every day from start to end; nothing is generated for this."""
        days = (self.source.start + timedelta(days=number) for number in range(self._count))
        return {day.isoformat(): self._token(day.isoformat()) for day in days}

    def token(self, day: str) -> str:
        """The token of one day; SourceError outside the declared days."""
        self._number(day)
        return self._token(day)

    def read(self, day: str) -> pa.Table:
        """The day's rows in declared columns; SourceError outside the declared days."""
        number = self._number(day)
        rows, first = _history(self.source.start, self._count, tuple(sorted(self.settings.items())))
        found = rows.slice(first[number], first[number + 1] - first[number])
        return typed_table(found, self.source, f"generator, day {day}")

    def _token(self, day: str) -> str:
        # the number of days is left out: a longer history begins with the same rows
        return document_digest(
            {"generator": GENERATOR_VERSION, "start": str(self.source.start), "day": day, **self.settings}
        )

    def _number(self, day: str) -> int:
        number = (date.fromisoformat(day) - self.source.start).days
        if not 0 <= number < self._count:
            raise SourceError(
                f"source {self.source.name!r} has no day {day}; it is declared from {self.source.start} "
                f"to before {self.source.end}"
            )
        return number


@functools.lru_cache(maxsize=1)
def _history(start: date, days: int, settings: tuple[tuple[str, Any], ...]) -> tuple[pa.Table, list[int]]:
    """All rows, and the number of the first row of each day and of the end."""
    import numpy as np

    chosen = dict(settings)
    rows = generate(
        int(chosen["customers"]),
        int(chosen["terminals"]),
        days,
        start,
        float(chosen["radius"]),
        int(chosen["seed"]),
    )
    first = np.searchsorted(rows.column("TX_TIME_DAYS").to_numpy(), np.arange(days + 1))
    return rows, first.tolist()
