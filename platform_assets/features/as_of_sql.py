"""The as-of join of any number of feature tables as SQL for DuckDB.

Whoever joins makes a table `as_of_rows` with `_row` (0, 1, 2, ...), `_at` (microseconds since 1970) and
key columns. Each feature table is prepared, so that of one key and moment only one row is left; then one
chain of ASOF joins finds the features of all rows, sorted by `_row`. Everything spills.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from platform_assets.features.moments import between, microseconds_of

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

ROWS = "as_of_rows"
_HASHES_AT_ONCE = 20_000_000
_FEW_ROWS = 10_000


@dataclass(frozen=True)
class AsOfTable:
    """Feature rows to join, in terms of the columns of `relation`.

    `relation` may follow FROM and has `file_index` and `file_row_number`. `keys` pair a column of the
    rows with one of the relation; without any, every row may use every feature row. `known` is when a
    feature row became available; it orders rows of equal event timestamps, and with `as_known_then` a
    row is used only from then on. `features` pair a column with its name in the result. `ttl` is in
    microseconds; None sets no limit.
    """

    relation: str
    keys: tuple[tuple[str, str], ...]
    event_timestamp: str
    event_type: str
    known: str | None
    known_type: str
    as_known_then: bool
    features: tuple[tuple[str, str], ...]
    ttl: int | None


@dataclass(frozen=True)
class AskedRows:
    """How many rows are asked for, and the first and last `_at` of them, in microseconds since 1970."""

    count: int
    earliest: int
    latest: int


def prepare(engine: duckdb.DuckDBPyConnection, tables: Sequence[AsOfTable], asked: AskedRows) -> str:
    """The query that gives `_row` and all features, in the order of `_row`.

    Feature rows from after the last row asked for, or beyond TTL for the first, are not read. Views and
    temporary tables are left in the engine: call it once for an engine.
    """
    joins, names = [], []
    for number, table in enumerate(tables):
        usable, event = _usable(engine, table, number, asked)
        found = f"found_{number}"
        on = [
            f"{ROWS}.{quoted(key)} = {found}._key_{position}" for position, (key, _) in enumerate(table.keys)
        ]
        joins.append(
            f"ASOF LEFT JOIN {usable} AS {found} ON "
            + " AND ".join([*on, f"{ROWS}._at >= {found}._usable_from"])
        )
        for position, (_, name) in enumerate(table.features):
            value = f"{found}._feature_{position}"
            if table.ttl is not None:
                value = f"CASE WHEN {found}.{event} >= {ROWS}._at - {table.ttl} THEN {value} END"
            names.append(f", {value} AS {quoted(name)}")
    return f"SELECT {ROWS}._row{''.join(names)} FROM {ROWS} {' '.join(joins)} ORDER BY {ROWS}._row"


def _usable(
    engine: duckdb.DuckDBPyConnection, table: AsOfTable, number: int, asked: AskedRows
) -> tuple[str, str]:
    """A view or table of feature rows, at most one for a key and `_usable_from`; its event column."""
    rows, usable = f"feature_rows_{number}", f"usable_rows_{number}"
    engine.execute(f"CREATE TEMP VIEW {rows} AS {_feature_rows(table, asked)}")
    if table.as_known_then and _any(engine, f"SELECT 1 FROM {rows} WHERE _known > _usable_from"):
        engine.execute(f"CREATE TEMP TABLE {usable} AS {_newest_so_far(table, rows)}")
        return usable, "_event"
    together = ", ".join([*_keys(table), "_usable_from"])
    doubtful, beaten = f"doubtful_{number}", f"beaten_rows_{number}"
    engine.register(doubtful, _hashes_seen_twice(engine, f"hash({together})", rows))
    if not _any(engine, f"SELECT 1 FROM {doubtful}"):
        return rows, "_usable_from"
    engine.execute(f"""CREATE TEMP TABLE {beaten} AS
        SELECT _file, _line FROM {rows} SEMI JOIN {doubtful} ON hash({together}) = {doubtful}._hash
        QUALIFY NOT {last_of(together)}""")
    engine.execute(f"CREATE TEMP VIEW {usable} AS FROM {rows} ANTI JOIN {beaten} USING (_file, _line)")
    return usable, "_usable_from"


def _hashes_seen_twice(engine: duckdb.DuckDBPyConnection, value: str, rows: str) -> pa.Table:
    """Every hash that two rows or more have. Sorting them costs half of what grouping the rows does."""
    import numpy as np
    import pyarrow as pa

    parts = 1 + engine.execute(f"SELECT count(*) FROM {rows}").fetchall()[0][0] // _HASHES_AT_ONCE
    found = []
    for part in range(parts):
        some = f" WHERE {value} % {parts} = {part}" if parts > 1 else ""
        hashes = engine.sql(f"SELECT {value} AS _hash FROM {rows}{some}").to_arrow_table()
        ordered = np.sort(hashes.column("_hash").to_numpy())
        found.append(np.unique(ordered[1:][ordered[1:] == ordered[:-1]]))
    return pa.table({"_hash": np.concatenate(found)})


def _feature_rows(table: AsOfTable, asked: AskedRows) -> str:
    """Feature rows that may be used from their event on; `_file` and `_line` say where each came from."""
    event = quoted(table.event_timestamp)
    event_us = microseconds_of(event, table.event_type)
    known_us = microseconds_of(quoted(table.known), table.known_type) if table.known else event_us
    keys = "".join(f"{quoted(column)} AS _key_{number}, " for number, (_, column) in enumerate(table.keys))
    features = "".join(f", {quoted(column)} AS _feature_{n}" for n, (column, _) in enumerate(table.features))
    oldest = None if table.ttl is None else asked.earliest - table.ttl
    needed = [quoted(column) for _, column in table.keys] + [event]
    # few keys leave most of a file out; with many, looking each row up costs more than it saves
    pairs = [f"{ROWS}.{quoted(key)} = files.{quoted(column)}" for key, column in table.keys]
    few = asked.count <= _FEW_ROWS and pairs
    of_these = f"SEMI JOIN {ROWS} ON {' AND '.join(pairs)}" if few else ""
    conditions = [f"{column} IS NOT NULL" for column in needed]
    conditions += between(event, table.event_type, oldest, asked.latest)
    if table.known and table.as_known_then:
        conditions += [f"{quoted(table.known)} IS NOT NULL"]
        conditions += between(quoted(table.known), table.known_type, None, asked.latest)
    return f"""
        SELECT {keys}{event_us} AS _usable_from, {known_us} AS _known,
               file_index AS _file, file_row_number AS _line {features}
        FROM {table.relation} AS files {of_these} WHERE {" AND ".join(conditions)}"""


def _newest_so_far(table: AsOfTable, rows: str) -> str:
    """Late rows count from when they were known; those that are not the newest by then never matter.

    A row that a newer event precedes is never the right one later either, so it can be left out, and
    what remains is found by the plain join on `_usable_from`.
    """
    keys = _keys(table)
    partition = f"PARTITION BY {', '.join(keys)} " if keys else ""
    return f"""
        WITH moved AS (
            SELECT * REPLACE (greatest(_usable_from, _known) AS _usable_from), _usable_from AS _event
            FROM {rows}),
        newest AS (
            SELECT * FROM moved QUALIFY _event = max(_event) OVER (
                {partition}ORDER BY _usable_from RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW))
        SELECT * FROM newest QUALIFY {last_of(", ".join([*keys, "_usable_from"]))}"""


def last_of(together: str) -> str:
    """Of equal rows the one that became available last, then the last by file and row in it."""
    return (
        f"row_number() OVER (PARTITION BY {together}"
        " ORDER BY _known DESC NULLS LAST, _file DESC, _line DESC) = 1"
    )


def _keys(table: AsOfTable) -> list[str]:
    return [f"_key_{number}" for number in range(len(table.keys))]


def _any(engine: duckdb.DuckDBPyConnection, query: str) -> bool:
    return bool(engine.execute(f"{query} LIMIT 1").fetchall())


def quoted(name: str) -> str:
    """A name as SQL writes it."""
    return '"' + name.replace('"', '""') + '"'
