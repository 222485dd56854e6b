"""Rows of a source between two moments: all of them, or the newest of each entity."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from platform_assets.features.as_of_sql import last_of, quoted
from platform_assets.features.engine import duckdb_engine
from platform_assets.features.moments import between, microseconds_of, since_1970
from platform_assets.offline_store.historical_features import DUMMY_KEY, reading_told
from platform_assets.offline_store.source_files import SourceFiles

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class PulledRows:
    """What Feast asks of a source when it materializes, or reads a saved dataset or logs.

    `columns` pair a column of the files with its name in the result; `keys`, `event_timestamp` and
    `created_timestamp` are columns of the files. Both ends of the period are included; None leaves one open.
    """

    files: SourceFiles
    columns: tuple[tuple[str, str], ...]
    keys: tuple[str, ...]
    event_timestamp: str
    created_timestamp: str | None
    start: datetime | None
    end: datetime | None
    newest_only: bool
    memory_limit: str

    @contextlib.contextmanager
    def open(self) -> Iterator[pa.RecordBatchReader]:
        """The rows as a stream: all in the order of the files (without keys: of time), the newest in none."""
        with duckdb_engine(self.memory_limit) as engine, reading_told():
            if not self.newest_only:
                engine.execute("SET preserve_insertion_order = true")
            yield engine.sql(self.query()).to_arrow_reader()

    def query(self) -> str:
        """The rows in SQL; times come out in UTC."""
        if self.newest_only:
            return self._newest()
        # without keys Feast writes row after row to one place online, so that the last one stays
        times = [self.event_timestamp, *([self.created_timestamp] if self.created_timestamp else [])]
        by_time = "".join(f"{quoted(name)} NULLS FIRST, " for name in times)
        order = "" if self.keys else f" ORDER BY {by_time}file_index, file_row_number"
        return f"SELECT {self._columns()} {self._rows()}{order}"

    def _newest(self) -> str:
        keys = [f"_key_{number}" for number in range(len(self.keys))]
        named = "".join(f"{quoted(column)} AS {key}, " for column, key in zip(self.keys, keys, strict=True))
        at = self._moment(self.event_timestamp)
        known = at if self.created_timestamp is None else self._moment(self.created_timestamp)
        together = ", ".join([*keys, "_event"])
        grouped = f"GROUP BY {', '.join(keys)}" if keys else ""
        # keys and times are read first; the rest only of what may be the newest
        return f"""
            WITH candidates AS NOT MATERIALIZED (
                SELECT {self._columns()}, {named}{at} AS _event, {known} AS _known,
                       file_index AS _file, file_row_number AS _line {self._rows()}),
            newest AS (SELECT {"".join(f"{key}, " for key in keys)}max(_event) AS _event
                       FROM candidates {grouped})
            SELECT {", ".join(quoted(name) for name in self._names())}
            FROM candidates SEMI JOIN newest USING ({together})
            QUALIFY {last_of(together)}"""

    def _names(self) -> list[str]:
        return [name for _, name in self.columns] + ([] if self.keys else [DUMMY_KEY])

    def _columns(self) -> str:
        values = [f"{self._value(column)} AS {quoted(name)}" for column, name in self.columns]
        return ", ".join(values + ([] if self.keys else [f"'' AS {quoted(DUMMY_KEY)}"]))

    def _rows(self) -> str:
        event = quoted(self.event_timestamp)
        first, last = (None if end is None else since_1970(end) for end in (self.start, self.end))
        wanted = [f"{event} IS NOT NULL"]
        wanted += between(event, self.files.types[self.event_timestamp], first, last)
        if self.newest_only:  # nobody can look up an entity without a key
            wanted += [f"{quoted(key)} IS NOT NULL" for key in self.keys]
        return f"FROM {self.files.relation} WHERE {' AND '.join(wanted)}"

    def _moment(self, column: str) -> str:
        return microseconds_of(quoted(column), self.files.types[column])

    def _value(self, column: str) -> str:
        if column not in (self.event_timestamp, self.created_timestamp):
            return quoted(column)
        return f"make_timestamptz({self._moment(column)})"


def pulled_columns(
    files: SourceFiles, names: Sequence[str], mapping: dict[str, str]
) -> tuple[tuple[str, str], ...]:
    """Each name with its column of the files, which is of that name or the one mapped to it."""
    return tuple(
        (files.column(name, mapping.get(name, name), role="column"), name) for name in dict.fromkeys(names)
    )
