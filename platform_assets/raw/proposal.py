"""A first contract, read off stored days: what held on all of them, with room to move."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from platform_assets.declaration.source import Column, Source
from platform_assets.errors import LakeError
from platform_assets.stores import Stores
from platform_assets.vocabulary import raw_table

if TYPE_CHECKING:
    import duckdb

SLACK = 0.5
"""How far a proposed range reaches beyond what was seen, as a share of its width."""

SET_AT_MOST = 12
"""More distinct values than this are not proposed as a set."""

SET_ROWS_EACH = 20
"""A set is proposed when each value stands for at least so many rows on average."""


def propose_contract(stores: Stores, source: Source, days: int | None = None) -> dict[str, Any]:
    """A Great Expectations suite that the last `days` stored days (all, when None) hold.

    Each expectation says in its description what it was observed on. Values of masked columns are
    not looked at. It is a draft: what held by chance is for a person to strike out. Raises LakeError
    when no day is stored, or all are empty.
    """
    from platform_assets.raw.large_day import bounded_database

    table = stores.lake.table(raw_table(source.name))
    current = table.current()
    chosen = sorted(current)[-days:] if days else sorted(current)
    rows = [current[day].rows for day in chosen]
    if not sum(rows):
        raise LakeError(
            f"table {table.name}: no rows are stored to propose a contract from; run the source first"
        )
    seen = f"{sum(rows):,} rows of {len(chosen)} days, {chosen[0]} to {chosen[-1]}"
    expectations: list[dict[str, Any]] = []
    with bounded_database() as database:
        given = {"files": table.paths(chosen)}
        for column in source.columns:
            expectations += _of_column(database, given, column, seen)
        if _key_is_unique(database, given, source.primary_key):
            expectations.append(_unique(source.primary_key, seen))
    low, high = int(min(rows) * SLACK), int(max(rows) * (1 + SLACK))
    told = f"A day has {low:,} to {high:,} rows; observed {min(rows):,} to {max(rows):,} on {seen}"
    kwargs = {"min_value": low, "max_value": high}
    expectations.append(
        _expectation("table_row_count_to_be_between", "rows_of_a_day", told, "warning", **kwargs)
    )
    notes = f"Proposed from {seen}; ranges reach {SLACK:.0%} of their width beyond what was seen."
    return {"name": source.name, "expectations": expectations, "meta": {}, "notes": notes}


def _of_column(
    database: duckdb.DuckDBPyConnection, given: Mapping[str, Any], column: Column, seen: str
) -> list[dict[str, Any]]:
    value = _quoted(column.name)
    if column.type == "float64":
        value = f"(case when isnan({value}) then null else {value} end)"
    query = f"select count(*), count({value}), min({value}), max({value}) from read_parquet($files)"
    (row,) = database.execute(query, given).fetchall()
    rows, present, least, greatest = row
    found = []
    if rows == present:
        text = f"Every row has {column.name}; observed on {seen}"
        found.append(
            _expectation("column_values_to_not_be_null", f"{column.name}_present", text, column=column.name)
        )
    if column.masked or not present or column.type == "timestamp":
        return found
    values = [] if column.type == "float64" else _set_of(database, given, value, present)
    if values:
        text = f"{column.name} is one of {len(values)} values; observed on {seen}"
        name = f"{column.name}_known"
        found.append(
            _expectation(
                "column_values_to_be_in_set", name, text, "warning", column=column.name, value_set=values
            )
        )
    elif column.type in ("int64", "float64"):
        low, high = with_slack(least, greatest)
        text = f"{column.name} is from {low:g} to {high:g}; observed {least:g} to {greatest:g} on {seen}"
        name = f"{column.name}_in_range"
        found.append(
            _expectation(
                "column_values_to_be_between",
                name,
                text,
                "warning",
                column=column.name,
                min_value=low,
                max_value=high,
            )
        )
    return found


def _set_of(
    database: duckdb.DuckDBPyConnection, given: Mapping[str, Any], value: str, present: int
) -> list[Any]:
    """The distinct values, when they are few and often there; else none."""
    query = (
        f"select distinct {value} from read_parquet($files) where {value} is not null limit {SET_AT_MOST + 1}"
    )
    values = sorted(row[0] for row in database.execute(query, given).fetchall())
    return values if len(values) <= SET_AT_MOST and len(values) * SET_ROWS_EACH <= present else []


def with_slack(least: float, greatest: float) -> tuple[float, float]:
    """The range with room on both sides, its ends rounded outwards; what was never negative stays so."""
    room = (greatest - least) * SLACK or abs(greatest) * SLACK or 1
    low, high = least - room, greatest + room
    if isinstance(least, int):
        low, high = int(low // 1), -int(-high // 1)
    else:
        # a thousandth of the width: 926.2149999999999 would be read as meant
        digits = 3 - math.floor(math.log10(high - low))
        low, high = (
            round(math.floor(low * 10**digits) / 10**digits, max(digits, 0)),
            round(math.ceil(high * 10**digits) / 10**digits, max(digits, 0)),
        )
    return (max(low, 0) if least >= 0 else low), high


def _key_is_unique(
    database: duckdb.DuckDBPyConnection, given: Mapping[str, Any], key: tuple[str, ...]
) -> bool:
    names = ", ".join(_quoted(name) for name in key)
    rows = "read_parquet($files, filename = true)"
    query = f"select 1 from {rows} group by filename, {names} having count(*) > 1 limit 1"
    return database.execute(query, given).fetchone() is None


def _unique(key: tuple[str, ...], seen: str) -> dict[str, Any]:
    text = f"No two rows of a day share {', '.join(key)}; observed on {seen}"
    if len(key) == 1:
        return _expectation("column_values_to_be_unique", "key_unique", text, column=key[0])
    return _expectation("compound_columns_to_be_unique", "key_unique", text, column_list=list(key))


def _expectation(
    kind: str, name: str, text: str, severity: str = "critical", /, **kwargs: Any
) -> dict[str, Any]:
    return {
        "type": f"expect_{kind}",
        "kwargs": kwargs,
        "severity": severity,
        "description": text,
        "meta": {"name": name},
    }


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
