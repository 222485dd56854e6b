from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from raw_sources import DAYS, history, rows_of, small_source, with_column, write_days

from platform_assets.declaration.source import Column, Source
from platform_assets.errors import LakeError, SourceError
from platform_assets.home import Home
from platform_assets.lake.manifest import Manifest
from platform_assets.raw.ingest import ingest_day, raw_code_version
from platform_assets.raw.source_reader import open_source
from platform_assets.stores import Stores

DAY = DAYS[0]
PRICES = [0.25, 9.0, 2.25, 3.25, 4.25]
NEW = ["new", "gift", None, "gift", None]
GONE = [None, None, None, "gift", None]


class Inbox:
    """A folder source and a lake; `take` ingests rows as the day's content."""

    def __init__(self, root: Path, source: Source) -> None:
        self.source, self.folder = source, root / "in"
        self.stores = Stores.at(Home.at(root / "home"))
        self.table = self.stores.lake.table("raw/orders")

    def take(self, rows: pa.Table) -> Manifest:
        write_days(self.folder, {DAY: rows}, "one a day", "parquet")
        return self.again()

    def again(self) -> Manifest:
        reader = open_source(self.source, self.folder, {})
        return ingest_day(self.stores, self.source, reader, DAY, cause="test", run_id="r1")

    def known(self) -> dict[int, datetime]:
        rows = self.table.read([DAY])
        return dict(zip(rows["id"].to_pylist(), rows["_available_at"].to_pylist(), strict=True))


@pytest.fixture
def inbox(tmp_path: Path) -> Inbox:
    return Inbox(tmp_path, small_source())


def test_history_counts_as_known_at_its_event(inbox: Inbox) -> None:
    manifest = inbox.take(rows_of(DAY).take([3, 1, 4, 0, 2]))
    stored = inbox.table.read([DAY])
    assert stored.column_names == [*inbox.source.column_names, "_available_at"]
    assert stored["id"].to_pylist() == [0, 1, 2, 3, 4]
    assert stored["_available_at"].equals(stored["moment"])
    assert stored.schema.field("_available_at").type == pa.timestamp("us")
    assert manifest.inputs == {"source": {DAY: open_source(inbox.source, inbox.folder, {}).token(DAY)}}
    assert (manifest.code_version, manifest.run_id) == (raw_code_version(inbox.source), "r1")


def test_the_same_content_is_the_same_version(inbox: Inbox) -> None:
    first = inbox.take(rows_of(DAY))
    assert inbox.again() == first
    other_bytes = inbox.take(rows_of(DAY).take([4, 3, 2, 1, 0]))
    assert other_bytes.digest == first.digest


@pytest.mark.parametrize(
    ("change", "arrived", "notes"),
    [
        pytest.param(lambda r: with_column(r, "price", PRICES), {1}, (0, 1, 0), id="value"),
        pytest.param(lambda r: with_column(r, "note", pa.array(NEW)),
                     {0}, (0, 1, 0), id="null filled"),
        pytest.param(lambda r: with_column(r, "note", pa.array(GONE, pa.string())),
                     {1}, (0, 1, 0), id="value taken away"),
        pytest.param(lambda r: rows_of(DAY, 7), {5, 6}, (2, 0, 0), id="late rows"),
        pytest.param(lambda r: r.slice(2), set(), (0, 0, 2), id="rows gone"),
        pytest.param(lambda r: with_column(r, "id", [0, 1, 2, 3, 40]), {40}, (1, 0, 1), id="another id"),
    ],
)  # fmt: skip
def test_only_what_changed_arrives_now(
    inbox: Inbox, change: Any, arrived: set[int], notes: tuple[int, int, int]
) -> None:
    before = inbox.take(rows_of(DAY))
    earliest = datetime.now(UTC).replace(tzinfo=None)
    after = inbox.take(change(rows_of(DAY)))
    moments = dict(zip(*(inbox.table.read([DAY])[c].to_pylist() for c in ("id", "moment")), strict=True))
    for number, available in inbox.known().items():
        if number in arrived:
            assert earliest <= available <= earliest + timedelta(minutes=1)
        else:
            assert available == moments[number]
    assert tuple(after.notes[f"{what}_rows"] for what in ("new", "changed", "removed")) == notes
    # as known then: the earlier version is still readable
    assert (
        pq.read_table(inbox.table.path(before), partitioning=None)["_available_at"].to_pylist()
        == rows_of(DAY)["moment"].to_pylist()
    )


def test_a_correction_taken_back_arrives_again(inbox: Inbox) -> None:
    first = inbox.take(rows_of(DAY))
    inbox.take(with_column(rows_of(DAY), "price", [9.0, 1.25, 2.25, 3.25, 4.25]))
    back = inbox.take(rows_of(DAY))
    assert back.digest != first.digest
    assert inbox.known()[0] > datetime.fromisoformat("2025-01-01")
    assert inbox.known()[1] == datetime.fromisoformat(f"{DAY}T00:10")


def test_a_key_of_several_columns(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path, small_source(primary_key=("buyer", "note"), duplicates="refuse"))
    inbox.take(rows_of(DAY))
    inbox.take(with_column(rows_of(DAY), "price", [0.25, 1.25, 2.25, 3.25, 9.0]))
    arrived = [number for number, known in inbox.known().items() if known.year > 2024]
    assert arrived == [4]


def test_a_declared_column_tells_when_a_row_was_known(tmp_path: Path) -> None:
    columns = (*small_source().columns, Column(name="booked", type="timestamp", nullable=True))
    inbox = Inbox(tmp_path, small_source(columns=columns, available_at="booked"))
    booked = [datetime.fromisoformat("2024-03-09"), None, *[datetime.fromisoformat("2024-03-10")] * 3]
    inbox.take(rows_of(DAY).append_column("booked", pa.array(booked, pa.timestamp("us"))))
    known = inbox.known()
    assert (known[0], known[2]) == (booked[0], booked[2])
    assert known[1] == datetime.fromisoformat(f"{DAY}T00:10")


def test_a_column_declared_later_corrects_no_row(tmp_path: Path) -> None:
    Inbox(tmp_path, small_source(columns=small_source().columns[:5])).take(rows_of(DAY))
    inbox = Inbox(tmp_path, small_source())
    before = inbox.table.manifest(DAY)
    after = inbox.again()
    assert before is not None
    assert after.digest != before.digest
    assert list(inbox.known().values()) == rows_of(DAY)["moment"].to_pylist()


@pytest.mark.parametrize(
    ("changes", "moves"),
    [
        ({"description": "other"}, False),
        ({"owners": ("team:other",)}, False),
        ({"primary_key": ("id", "buyer")}, True),
        ({"duplicates": "keep_last"}, True),
        ({"columns": small_source().columns[:5]}, True),
    ],
    ids=["description", "owners", "key", "duplicates", "columns"],
)
def test_code_version_follows_what_decides_the_rows(changes: dict[str, Any], moves: bool) -> None:
    assert (raw_code_version(small_source(**changes)) != raw_code_version(small_source())) is moves


def test_a_day_that_turned_bad_leaves_the_good_version(inbox: Inbox) -> None:
    good = inbox.take(rows_of(DAY))
    with pytest.raises(SourceError, match="repeat"):
        inbox.take(pa.concat_tables([rows_of(DAY), rows_of(DAY)]))
    assert inbox.table.manifest(DAY) == good


def test_a_file_lost_from_the_lake_is_told(inbox: Inbox) -> None:
    inbox.table.path(inbox.take(rows_of(DAY))).unlink()
    with pytest.raises(LakeError, match="promises this file"):
        inbox.again()


def test_a_file_written_while_it_is_read_is_not_taken(inbox: Inbox) -> None:
    write_days(inbox.folder, history(), "one a day", "parquet")
    reader = open_source(inbox.source, inbox.folder, {})

    class Growing:
        def days(self) -> dict[str, str]:
            return reader.days()

        def token(self, day: str) -> str:
            return reader.token(day)

        def read(self, day: str) -> pa.Table:
            rows = reader.read(day)
            write_days(inbox.folder, {DAY: rows_of(DAY, 6)}, "one a day", "parquet")
            return rows

    with pytest.raises(SourceError, match="changed while it was read"):
        ingest_day(inbox.stores, inbox.source, Growing(), DAY, cause="test", run_id="")
    assert inbox.table.partitions() == []
