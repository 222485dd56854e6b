"""A small payments source for the tests of this room, with other column names than the real one."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import csv

from platform_assets.declaration.source import Column, Source, Volume

DAYS = ("2024-03-01", "2024-03-02", "2024-03-03")
EXTERNAL = Path(__file__).resolve().parents[2].parent / "shared/data/card_transactions"


def small_source(**changes: Any) -> Source:
    """Orders: id, moment, buyer (masked), price in cents, note (nullable), express (nullable)."""
    fields: dict[str, Any] = {
        "name": "orders",
        "owners": ("team:shop",),
        "kind": "folder",
        "location": ".",
        "start": date(2024, 3, 1),
        "end": date(2024, 4, 1),
        "columns": (
            Column(name="id", type="int64"),
            Column(name="moment", type="timestamp"),
            Column(name="buyer", type="int64", masked=True),
            Column(name="price", type="float64", scale=2),
            Column(name="note", type="string", nullable=True),
            Column(name="express", type="bool", nullable=True),
        ),
        "primary_key": ("id",),
        "event_timestamp": "moment",
        "contract": "orders.json",
        "volume": Volume(neighbours=5, at_least=0.5, at_most=1.7),
    }
    return Source(**{**fields, **changes})


def rows_of(day: str, count: int = 5, first: int = 0) -> pa.Table:
    """`count` rows of a day, ten minutes apart."""
    midnight = datetime.fromisoformat(day)
    return pa.table(
        {
            "id": pa.array(range(first, first + count), pa.int64()),
            "moment": pa.array(
                [midnight + timedelta(minutes=10 * n) for n in range(count)], pa.timestamp("us")
            ),
            "buyer": pa.array([900_000 + n for n in range(count)], pa.int64()),
            "price": pa.array([n + 0.25 for n in range(count)], pa.float64()),
            "note": pa.array(["gift" if n % 2 else None for n in range(count)], pa.string()),
            "express": pa.array([n % 2 == 0 for n in range(count)], pa.bool_()),
        }
    )


def with_column(rows: pa.Table, name: str, values: Any) -> pa.Table:
    """The same rows with one column replaced."""
    array = values if isinstance(values, pa.Array) else pa.array(values)
    return rows.set_column(rows.column_names.index(name), name, array)


def history() -> dict[str, pa.Table]:
    """Three days of five rows each, ids counting on."""
    return {day: rows_of(day, first=100 * number) for number, day in enumerate(DAYS)}


def write_days(folder: Path, days: dict[str, pa.Table], layout: str, file_format: str) -> str:
    """Write rows in one of the layouts that a source may have; returns the pattern."""

    def put(rows: pa.Table, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        if file_format == "csv":
            csv.write_csv(rows, path)
        else:
            pq.write_table(rows, path)

    for day, rows in days.items():
        if layout == "one a day":
            put(rows, folder / f"{day}.{file_format}")
        elif layout == "many a day":
            put(rows.slice(0, 2), folder / f"day={day}" / f"part-0.{file_format}")
            put(rows.slice(2), folder / f"day={day}" / f"part-1.{file_format}")
    if layout == "one for all":
        # against the order of days, as a real export may be
        put(pa.concat_tables(list(reversed(days.values()))), folder / f"all.{file_format}")
    return {
        "one a day": "{day}." + file_format,
        "many a day": "day={day}/*." + file_format,
        "one for all": f"all.{file_format}",
    }[layout]
