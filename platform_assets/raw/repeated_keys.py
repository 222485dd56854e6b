"""Primary keys that an earlier day already used: a row sent twice, or a counter that began anew."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from typing import TYPE_CHECKING

from platform_assets.declaration.source import Source
from platform_assets.errors import LakeError
from platform_assets.evidence.evidence import Verdict
from platform_assets.lake.manifest import Manifest
from platform_assets.raw.finding import Finding
from platform_assets.stores import Stores
from platform_assets.vocabulary import raw_table

if TYPE_CHECKING:
    from pathlib import Path

NAME = "key_repeated_across_days"
DAYS_BACK = 183
ROWS_COMPARED = 20_000_000
"""The oldest days are left out when the days together hold more: what it costs stays bounded."""


def repeated_keys(stores: Stores, source: Source, days: Iterable[str]) -> dict[str, Finding]:
    """Of the days asked, those on which rows use the primary key of an earlier stored day.

    A warning, since each day is right by itself. Earlier are up to 183 days, fewer when all of them
    hold more than 20 million rows. Where the days cannot be read, it is UNKNOWN for each.
    """
    import duckdb

    from platform_assets.raw.large_day import bounded_database

    wanted = sorted(set(days))
    table = stores.lake.table(raw_table(source.name))
    files: dict[Path, str] = {}
    names = ", ".join('"' + name.replace('"', '""') + '"' for name in source.primary_key)
    # whether there is any is asked first, without naming files: that takes a tenth of the time
    asked_keys = f"semi join (select {names} from read_parquet($asked)) using ({names})"
    rows = f"read_parquet($files, filename = true) {asked_keys}"
    any_query = (
        f"select 1 from read_parquet($files) {asked_keys} group by {names} having count(*) > 1 limit 1"
    )
    query = (
        f"with rows as (select {names}, filename as file from {rows}), "
        f"first as (select {names}, min(file) as earliest from rows group by all "
        f"having min(file) <> max(file)) "
        f"select file, count(*) from rows join first using ({names}) where file > earliest group by file"
    )
    try:
        compared = _compared(table.current(), wanted)
        files = {table.path(manifest): day for day, manifest in compared.items()}
        if len(files) < 2:
            return {}
        with bounded_database() as database:
            asked = [str(path) for path, day in files.items() if day in wanted]
            given = {"files": [str(path) for path in files], "asked": asked}
            if not asked or database.execute(any_query, given).fetchone() is None:
                return {}
            counted = {str(file): int(n) for file, n in database.execute(query, given).fetchall()}
    except (duckdb.Error, LakeError) as error:
        reason = f"keys of the days cannot be compared ({str(error).splitlines()[0][:200]})"
        return {day: _finding(source, Verdict.UNKNOWN, None, reason) for day in wanted}
    return {
        day: _finding(
            source,
            Verdict.FAILED,
            counted[str(path)],
            f"{counted[str(path)]} of {compared[day].rows} rows use the key of an earlier day",
        )
        for path, day in files.items()
        if day in wanted and str(path) in counted
    }


def _compared(current: Mapping[str, Manifest], wanted: list[str]) -> dict[str, Manifest]:
    """The days asked and those before them, the oldest left out when they are too many."""
    present = [day for day in wanted if day in current]
    if not present:
        return {}
    oldest = (date.fromisoformat(present[0]) - timedelta(days=DAYS_BACK)).isoformat()
    chosen: dict[str, Manifest] = {}
    rows = 0
    for day in sorted((day for day in current if oldest <= day <= present[-1]), reverse=True):
        rows += current[day].rows
        if chosen and rows > ROWS_COMPARED:
            break
        if current[day].rows:
            chosen[day] = current[day]
    return chosen


def _finding(source: Source, verdict: Verdict, failing: int | None, reason: str) -> Finding:
    return Finding(NAME, ", ".join(source.primary_key), "warning", verdict, None, failing, reason=reason)
