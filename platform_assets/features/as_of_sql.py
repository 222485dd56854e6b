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

ROWS = "as_of_rows"


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


def prepare(
    engine: duckdb.DuckDBPyConnection, tables: Sequence[AsOfTable], earliest: int, latest: int
) -> str:
    """The query that gives `_row` and all features, in the order of `_row`.

    `earliest` and `latest` are the first and last `_at`; feature rows that no row can use are not read.
    Views and temporary tables are left in the engine: call it once for an engine.
    """
    joins, names = [], []
    for number, table in enumerate(tables):
        usable = _usable(engine, table, number, earliest, latest)
        found = f"found_{number}"
        on = [
            f"{ROWS}.{quoted(key)} = {found}._key_{position}" for position, (key, _) in enumerate(table.keys)
        ]
        joins.append(
            f"ASOF LEFT JOIN {usable} AS {found} ON "
            + " AND ".join([*on, f"{ROWS}._at >= {found}._usable_from"])
        )
        names += [
            f", {_within_ttl(f'{found}._feature_{position}', found, table.ttl)} AS {quoted(name)}"
            for position, (_, name) in enumerate(table.features)
        ]
    return f"SELECT {ROWS}._row{''.join(names)} FROM {ROWS} {' '.join(joins)} ORDER BY {ROWS}._row"


def _usable(
    engine: duckdb.DuckDBPyConnection, table: AsOfTable, number: int, earliest: int, latest: int
) -> str:
    """A view or table of feature rows, at most one for a key and `_usable_from`."""
    rows, usable = f"feature_rows_{number}", f"usable_rows_{number}"
    engine.execute(f"CREATE TEMP VIEW {rows} AS {_feature_rows(table, earliest, latest)}")
    if table.as_known_then and _any(engine, f"SELECT 1 FROM {rows} WHERE _known > _event"):
        engine.execute(f"CREATE TEMP TABLE {usable} AS {_newest_so_far(table, rows)}")
        return usable
    together = ", ".join([*_keys(table), "_usable_from"])
    tied = f"tied_{number}"
    engine.execute(
        f"CREATE TEMP TABLE {tied} AS SELECT {together} FROM {rows} GROUP BY ALL HAVING count(*) > 1"
    )
    if not _any(engine, f"SELECT 1 FROM {tied}"):
        return rows
    engine.execute(f"""CREATE TEMP VIEW {usable} AS
        SELECT * FROM {rows} ANTI JOIN {tied} USING ({together})
        UNION ALL BY NAME
        SELECT * FROM {rows} SEMI JOIN {tied} USING ({together}) QUALIFY {last_of(together)}""")
    return usable


def _feature_rows(table: AsOfTable, earliest: int, latest: int) -> str:
    """Feature rows that may be usable; `_file` and `_line` say where each came from."""
    event = quoted(table.event_timestamp)
    event_us = microseconds_of(event, table.event_type)
    known_us = microseconds_of(quoted(table.known), table.known_type) if table.known else event_us
    keys = "".join(f"{quoted(column)} AS _key_{number}, " for number, (_, column) in enumerate(table.keys))
    features = "".join(f", {quoted(column)} AS _feature_{n}" for n, (column, _) in enumerate(table.features))
    oldest = None if table.ttl is None else earliest - table.ttl
    needed = [quoted(column) for _, column in table.keys] + [event]
    conditions = [f"{column} IS NOT NULL" for column in needed]
    conditions += between(event, table.event_type, oldest, latest)
    if table.known and table.as_known_then:
        conditions += [f"{quoted(table.known)} IS NOT NULL"]
        conditions += between(quoted(table.known), table.known_type, None, latest)
    return f"""
        SELECT {keys}{event_us} AS _event, {event_us} AS _usable_from, {known_us} AS _known,
               file_index AS _file, file_row_number AS _line {features}
        FROM {table.relation} WHERE {" AND ".join(conditions)}"""


def _newest_so_far(table: AsOfTable, rows: str) -> str:
    """Late rows count from when they were known; those that are not the newest by then never matter.

    A row that a newer event precedes is never the right one later either, so it can be left out, and
    what remains is found by the plain join on `_usable_from`.
    """
    keys = _keys(table)
    partition = f"PARTITION BY {', '.join(keys)} " if keys else ""
    return f"""
        WITH moved AS (SELECT * REPLACE (greatest(_event, _known) AS _usable_from) FROM {rows}),
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


def _within_ttl(value: str, found: str, ttl: int | None) -> str:
    return value if ttl is None else f"CASE WHEN {found}._event >= {ROWS}._at - {ttl} THEN {value} END"


def _any(engine: duckdb.DuckDBPyConnection, query: str) -> bool:
    return bool(engine.execute(f"{query} LIMIT 1").fetchall())


def quoted(name: str) -> str:
    """A name as SQL writes it."""
    return '"' + name.replace('"', '""') + '"'
