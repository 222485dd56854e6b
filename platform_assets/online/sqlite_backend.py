"""Feast's SQLite layout: one table a view, one row an entity and feature.

Written as one transaction under write-ahead logging, so that readers, Feast's own among them, go on with the
older rows until the newer ones are all there. Times are whole seconds since 1970, as Feast stores them
where the time zone is UTC.
"""

from __future__ import annotations

import contextlib
import itertools
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from platform_assets.errors import LakeError
from platform_assets.lake.atomic_files import exclusive_lock
from platform_assets.online.feast_bytes import Blob
from platform_assets.online.online_backend import PROJECT, Rows

_COLUMNS = (
    "entity_key BLOB, feature_name TEXT, value BLOB, value_text TEXT, vector_value BLOB, "
    "event_ts timestamp, created_ts timestamp, PRIMARY KEY(entity_key, feature_name)"
)
_INSERT = (
    "INSERT INTO {} (entity_key, feature_name, value, value_text, event_ts, created_ts) VALUES (?,?,?,?,?,?)"
)
_PARAMETERS = 30_000  # SQLite allows 32,766 in a statement
_CHUNK = 200_000  # rows
_PATIENCE = 60.0  # seconds that another writer may take


@dataclass(frozen=True)
class SqliteBackend:
    """One file of Feast's; `lock` lets our own writers wait for each other."""

    file: Path
    lock: Path
    kind: str = "sqlite"

    def where(self) -> str:
        return str(self.file)

    def read(self, view: str, keys: Sequence[bytes], features: Sequence[str]) -> Mapping[str, Sequence[Blob]]:
        places: dict[bytes, list[int]] = {}
        for place, key in enumerate(keys):
            places.setdefault(key, []).append(place)
        found: dict[str, list[Blob]] = {name: [None] * len(keys) for name in features}
        with self._reading() as database:
            unique = list(places)
            for start in range(0, len(unique), _PARAMETERS):
                batch = unique[start : start + _PARAMETERS]
                marks = ",".join("?" * len(batch))
                rows = database.execute(
                    f"SELECT entity_key, feature_name, value FROM {_table(view)} "
                    f"WHERE entity_key IN ({marks})",
                    batch,
                )
                for key, feature, value in rows:
                    if feature in found:
                        for place in places[key]:
                            found[feature][place] = value
        return found

    def scan(self, view: str, features: Sequence[str]) -> Iterator[tuple[list[bytes], dict[str, list[Blob]]]]:
        with self._reading() as database:
            cursor = database.execute(
                f"SELECT entity_key, feature_name, value FROM {_table(view)} ORDER BY entity_key"
            )
            keys: list[bytes] = []
            values: dict[str, list[Blob]] = {name: [] for name in features}
            for key, group in itertools.groupby(cursor, key=lambda row: row[0]):
                row = {feature: value for _, feature, value in group}
                keys.append(key)
                for name, held in values.items():
                    held.append(row.get(name))
                if len(keys) == _CHUNK:
                    yield keys, values
                    keys, values = [], {name: [] for name in features}
            yield keys, values

    def replace(self, view: str, rows: Rows, last: Rows | None = None) -> None:
        with self._writing() as database:
            table = _table(view)
            database.execute(f"DROP TABLE IF EXISTS {table}")
            database.execute(f"CREATE TABLE {table} ({_COLUMNS})")
            for part in (rows, last):
                if part is not None:
                    database.executemany(_INSERT.format(table), _lines(part))

    @contextlib.contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """One snapshot for all that is read."""
        if not self.file.exists():
            raise FileNotFoundError(f"{self.file.name} is gone")  # connecting would create it
        with contextlib.closing(sqlite3.connect(self.file, timeout=_PATIENCE)) as database:
            database.execute("BEGIN")
            yield database

    @contextlib.contextmanager
    def _without_leftovers(self) -> Iterator[None]:
        """A write-ahead log of a file that somebody deleted must not be played into the new one."""
        if not self.file.exists():
            for ending in ("-wal", "-shm"):
                self.file.with_name(self.file.name + ending).unlink(missing_ok=True)
        yield

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction; LakeError tells what is wrong with the file."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        try:
            with (
                exclusive_lock(self.lock),
                self._without_leftovers(),
                contextlib.closing(sqlite3.connect(self.file, timeout=_PATIENCE)) as database,
            ):
                database.isolation_level = None  # transactions as written here
                database.execute("PRAGMA journal_mode = WAL")
                database.execute("PRAGMA synchronous = NORMAL")
                database.execute("BEGIN IMMEDIATE")
                try:
                    yield database
                except BaseException:
                    database.execute("ROLLBACK")
                    raise
                database.execute("COMMIT")
        except sqlite3.Error as error:
            raise LakeError(
                f"Feast's online store {self.file} cannot be written ({error}). If another process holds it, "
                f"end that and fill again; if it is damaged, delete {self.file} and fill every view again"
            ) from error


def _lines(rows: Rows) -> Iterator[tuple[Any, ...]]:
    """Rows as Feast's table holds them, in the order of its primary key: it is filled fastest so."""
    order = sorted(range(len(rows)), key=rows.keys.__getitem__)

    def sorted_(values: Sequence[Any]) -> list[Any]:
        return [values[place] for place in order]

    keys = sorted_(rows.keys)
    moments = sorted_(_seconds(rows.moments, len(rows)))
    created = sorted_(_seconds(rows.created, len(rows)))
    columns = []
    for name in sorted(rows.values):
        texts = sorted_(rows.texts[name]) if name in rows.texts else itertools.repeat(None)
        columns.append(
            zip(
                keys,
                itertools.repeat(name),
                sorted_(rows.values[name]),
                texts,
                moments,
                created,
                strict=False,
            )
        )
    return itertools.chain.from_iterable(zip(*columns, strict=False))


def _seconds(moments: Sequence[int] | int | None, count: int) -> Sequence[int | None]:
    if moments is None or isinstance(moments, int):
        return [None if moments is None else moments // 1_000_000] * count
    return [moment // 1_000_000 for moment in moments]


def _table(view: str) -> str:
    name = f"{PROJECT}_{view}".replace('"', '""')
    return f'"{name}"'
