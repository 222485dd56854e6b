"""Killed or interrupted at every file operation of a write: the version before counts, or the new one."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from platform_assets.lake import partition_versions
from platform_assets.lake.lake import Lake, Table
from platform_assets.lake.manifest import Manifest

DAY = "2026-01-01"
CHANGES_FILES = {"open", "os.mkdir", "os.rename", "os.link", "os.remove"}


def put(table: Table, *ids: int) -> Manifest:
    rows = pa.table({"id": pa.array(ids, pa.int64())})
    return table.write(DAY, rows, key=["id"], code_version="1", inputs={}, cause="test")


def note(table: Table, *words: int) -> Manifest:
    return table.write_document(DAY, {"words": words}, code_version="1", inputs={}, cause="test")


def killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def interrupted() -> None:
    """As Dagster ends a run: the write goes on as an exception."""
    raise KeyboardInterrupt


def ended_by_itself(write: Callable[[], object], operation: int, stop: Callable[[], None]) -> bool:
    """Write in a process of its own that is stopped right before its file operation of that number."""
    child = os.fork()
    if child == 0:
        left = operation

        def stop_there(event: str, arguments: tuple[object, ...]) -> None:
            nonlocal left
            if event in CHANGES_FILES:
                left -= 1
                if left == -1:
                    stop()

        sys.addaudithook(stop_there)
        try:
            write()
        except BaseException:
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.parametrize("stop", [killed, interrupted])
@pytest.mark.parametrize("write", [put, note])
@pytest.mark.parametrize("before", [0, 1, 2])
def test_stopped_anywhere_in_a_write(
    tmp_path: Path, write: Callable[..., Manifest], before: int, stop: Callable[[], None]
) -> None:
    switched = 0
    for stops in range(40):
        table = Lake(tmp_path / str(stops)).table("raw/payments")
        earlier = [write(table, number) for number in range(before)]
        ended = ended_by_itself(lambda table=table: write(table, 7, 8), stops, stop)
        present, versions = table.manifest(DAY), table.history(DAY)
        assert versions[-1:] == ([present] if present is not None else []), f"operation {stops}"
        assert versions[:before] == earlier
        assert len(versions) - before in (0, 1)
        assert table.current_at(DAY, "9999") == present
        assert table.partitions() == ([DAY] if present is not None else [])
        switched += len(versions) > before
        if present is not None:
            assert table.path(present).exists()
        healed = write(table, 7, 8)
        assert table.manifest(DAY) == healed
        assert [version.sequence for version in table.history(DAY)] == list(range(1, before + 2))
        assert sorted(p.name for p in (table.folder / "manifests" / DAY).glob("[!.]*")) == [
            *(f"{number:06d}.json" for number in range(1, before + 2)), "current",
        ]  # fmt: skip
        if write is put:
            stable = pq.read_table(table.stable_folder() / f"{DAY}.parquet")
            assert stable.column("id").to_pylist() == [7, 8]
        if ended:
            break
    assert 10 < stops < 39, "every operation was tried, and the write came to its end"
    assert switched >= 2, "a stop right after the switch, and the write that was not stopped"


def test_a_write_that_fails_before_the_switch_leaves_nothing(table: Table, monkeypatch) -> None:
    first = put(table, 1)

    def fails(*_: object) -> None:
        raise OSError("no more links")

    monkeypatch.setattr("platform_assets.lake.lake.link_in_place", fails)
    with pytest.raises(OSError, match="no more links"):
        put(table, 2)
    assert table.history(DAY) == [first]
    assert not (table.folder / "manifests" / DAY / "prepared.json").exists()


def test_a_number_is_not_given_twice(table: Table) -> None:
    """The manifest that counts was damaged and deleted as told: what is written next must not count at once."""
    put(table, 1)
    (table.folder / "manifests" / DAY / f"{put(table, 2).sequence:06d}.json").unlink()
    assert table.manifest(DAY) is None
    assert put(table, 2).sequence == 3
    assert [version.sequence for version in table.history(DAY)] == [1, 3]


def test_a_version_that_never_counted_does_not_stand_in_for_a_deleted_one(table: Table) -> None:
    """The next one was prepared by a writer that was killed, and the one before was deleted as told."""
    put(table, 1)
    folder = table.folder / "manifests" / DAY
    (folder / "000001.json").rename(folder / "prepared.json")
    prepared = (folder / "prepared.json").read_text()
    (folder / "prepared.json").write_text(prepared.replace('"sequence": 1', '"sequence": 2'))
    assert Manifest.read(folder / "prepared.json").sequence == 2
    assert table.manifest(DAY) is None
    assert table.history(DAY) == []
    written = put(table, 5)
    assert written.sequence == 2
    assert table.history(DAY) == [written]


def test_a_version_that_takes_its_name_while_the_history_is_read_stands_in_it_once(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    versions = [put(table, 1), put(table, 2)]
    named = table.folder / "manifests" / DAY / "000002.json"
    prepared = named.rename(named.with_name("prepared.json"))
    really = partition_versions.current_version

    def current_version(folder: Path) -> Manifest | None:
        found = really(folder)
        prepared.rename(named)
        return found

    monkeypatch.setattr(partition_versions, "current_version", current_version)
    assert table.history(DAY) == versions


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Lake(tmp_path).table("raw/payments")
