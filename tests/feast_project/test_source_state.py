"""A Feast source as it is, and each reason for which it cannot be used: one error, nothing written."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from driver_world import END, hourly_rows
from rides_project import HOURLY, Rides

from platform_assets.errors import SourceError
from platform_assets.feast_project.latest_rows import build_latest
from platform_assets.feast_project.source_state import keep_source_state, source_state

Change = Callable[[pa.Table], pa.Table]


def state_of(rides: Rides):
    opened = rides.opened()
    return source_state(opened, opened.snapshot.source("driver_hourly"))


def test_rows_and_times(rides: Rides) -> None:
    state = state_of(rides)
    rows = hourly_rows()
    assert (state.rows, state.files, state.copies) == (rows.num_rows, 1, 0)
    assert state.newest == (END - timedelta(hours=1)).isoformat()


def test_its_fingerprint_is_that_of_the_content(rides: Rides) -> None:
    before = state_of(rides)
    rides.rewrite(lambda rows: rows)
    assert state_of(rides) == before
    rides.rewrite(lambda rows: rows.slice(1))
    assert state_of(rides).fingerprint != before.fingerprint


def replaced(name: str, column: Callable[[pa.ChunkedArray], pa.Array]) -> Change:
    def change(rows: pa.Table) -> pa.Table:
        return rows.set_column(rows.column_names.index(name), name, column(rows.column(name)))

    return change


def first_null(column: pa.ChunkedArray) -> pa.Array:
    return pa.array([None, *column.to_pylist()[1:]], column.type)


def doubled(rows: pa.Table) -> pa.Table:
    return pa.concat_tables([rows, rows.slice(0, 3)])


def doubled_otherwise(rows: pa.Table) -> pa.Table:
    return pa.concat_tables(
        [rows, replaced("conv_rate", lambda c: pa.array([9.0, 9.0], c.type))(rows.slice(0, 2))]
    )


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda rows: rows.drop_columns(["event_timestamp"]), "no timestamp column 'event_timestamp'"),
        (lambda rows: rows.rename_columns([{"created": "creatd"}.get(n, n) for n in rows.column_names]),
         "no timestamp column 'created'; did you mean 'creatd'"),
        (lambda rows: rows.drop_columns(["driver_id"]), "no column 'driver_id'"),
        (lambda rows: rows.drop_columns(["city"]), "no column 'city'"),
        (replaced("event_timestamp", lambda c: c.cast(pa.string())), "is string, not a timestamp"),
        (replaced("created", lambda c: c.cast(pa.timestamp("us"))), "mixed time zones"),
        (replaced("driver_id", first_null), "rows have no 'driver_id'"),
        (replaced("event_timestamp", first_null), "rows have no 'event_timestamp'"),
        (doubled_otherwise, "2 times two or more of 1169 rows share driver_id, event_timestamp, created"),
        (lambda rows: rows.slice(0, 0), "has no rows"),
    ],
    ids=["no timestamp", "no created", "no key", "no feature", "text time", "zones", "null key", "null time",
         "duplicates", "empty"],
)  # fmt: skip
def test_what_cannot_be_used_is_told_and_writes_nothing(rides: Rides, change: Change, told: str) -> None:
    rides.rewrite(change)
    opened = rides.opened()
    with pytest.raises(SourceError) as error:
        keep_source_state(opened, opened.snapshot.source("driver_hourly"), cause="test")
    assert told in str(error.value)
    assert "driver_hourly" in str(error.value)
    with pytest.raises(SourceError):
        build_latest(opened, rides.view(HOURLY), datetime.now(UTC), cause="test")
    assert opened.stores.lake.tables() == []


def test_copies_are_counted_and_harmless(rides: Rides) -> None:
    rides.rewrite(doubled)
    assert state_of(rides).copies == 3


def test_columns_that_no_view_reads_do_not_make_a_conflict(rides: Rides) -> None:
    rides.rewrite(lambda rows: (made := doubled(rows)).append_column("load", pa.array(range(made.num_rows))))
    assert state_of(rides).copies == 3


def test_a_missing_and_a_broken_file(rides: Rides) -> None:
    rides.world.hourly.write_bytes(b"PAR1")
    with pytest.raises(SourceError, match="cannot be read as Parquet"):
        state_of(rides)
    rides.world.hourly.unlink()
    with pytest.raises(SourceError, match="no Parquet file at"):
        state_of(rides)


@pytest.fixture
def folder(rides: Rides) -> Path:
    """The source as a folder of two files."""
    rows = pq.read_table(rides.world.hourly)
    rides.world.hourly.unlink()
    rides.world.hourly.mkdir()
    pq.write_table(rows.slice(0, 500), rides.world.hourly / "a.parquet")
    pq.write_table(rows.slice(500), rides.world.hourly / "b.parquet")
    return rides.world.hourly


def test_a_folder_of_files_is_one_source(rides: Rides, folder: Path) -> None:
    assert (state_of(rides).rows, state_of(rides).files) == (hourly_rows().num_rows, 2)


@pytest.mark.parametrize("zone", [None, "Europe/Berlin"])
def test_files_of_different_zones_are_refused(rides: Rides, folder: Path, zone: str | None) -> None:
    path = folder / "b.parquet"
    kind = pa.timestamp("us", tz=zone)
    rows = pq.read_table(path)
    for name in ("event_timestamp", "created"):
        rows = replaced(name, lambda c: c.cast(kind))(rows)
    pq.write_table(rows, path)
    with pytest.raises(SourceError, match=r"mixed time zones .*UTC.*all timestamps in UTC"):
        state_of(rides)
