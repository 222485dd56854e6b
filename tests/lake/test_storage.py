"""A failing disk and a clock that goes back: told plainly, nothing half-written, order kept."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from platform_assets.errors import LakeError
from platform_assets.evidence.evidence import Evidence, Verdict
from platform_assets.evidence.ledger import Ledger
from platform_assets.evidence.waiver import record_waiver, waiver_for
from platform_assets.lake.atomic_files import create_once, exclusive_lock, write_atomically
from platform_assets.lake.lake import Lake, Table
from platform_assets.lake.manifest import Manifest
from platform_assets.lake.storage_errors import fix_in, fix_of


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of one mebibyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = (
        shutil.which("mount")
        and not subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True
        ).returncode
    )
    if not mounted:
        pytest.skip("this user may not mount a file system")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def put(table: Table, count: int) -> None:
    values = np.random.default_rng(count).random(count)
    rows = pa.table({"id": np.arange(count), "x": values})
    table.write("2026-01-01", rows, key=["id"], code_version="1", inputs={}, cause="test")


def test_a_full_disk_is_told_and_the_version_before_stays(small_disk: Path) -> None:
    table = Lake(small_disk).table("raw/payments")
    put(table, 100)
    with pytest.raises(
        LakeError, match=r"payments/data/2026-01-01/\w+\.parquet: No space left.*collect-garbage"
    ):
        put(table, 500_000)
    assert table.read(["2026-01-01"]).num_rows == 100
    assert not list(small_disk.rglob("*.tmp")), "nothing half-written stays behind"
    put(table, 200)
    assert table.read(["2026-01-01"]).num_rows == 200


def test_a_read_only_lake_is_told_and_still_read(small_disk: Path) -> None:
    table = Lake(small_disk).table("raw/payments")
    put(table, 100)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(LakeError, match=r"Read-only file system.*PLATFORM_HOME"):
        put(table, 200)
    assert table.read(["2026-01-01"]).num_rows == 100


@pytest.mark.parametrize("write", [write_atomically, create_once])
def test_a_file_where_a_folder_belongs_is_not_taken_for_a_failed_disk(tmp_path: Path, write) -> None:
    (tmp_path / "lake").write_text("")
    with pytest.raises(FileExistsError):
        write(tmp_path / "lake" / "x", b"")


@pytest.mark.parametrize(
    ("error", "fix"),
    [
        (OSError(errno.ENOSPC, "x"), "disk is full"),
        (OSError(errno.EROFS, "x"), "PLATFORM_HOME"),
        (PermissionError(errno.EACCES, "x"), "make it writable"),
        (RuntimeError("(sqlite3.OperationalError) database or disk is full"), "disk is full"),
        (RuntimeError("IO Error: Could not write file: No space left on device"), "disk is full"),
        (RuntimeError("attempt to write a readonly database"), "make it writable"),
        (RuntimeError("(sqlite3.OperationalError) disk I/O error"), "the disk is full or failing"),
        (OSError(errno.EIO, "x"), "another disk"),
        (OSError(errno.ENOENT, "x"), None),
        (ValueError("a column is missing"), None),
    ],
    ids=str,
)
def test_what_a_failed_disk_means_whoever_says_so(error: Exception, fix: str | None) -> None:
    def deep() -> BaseException:
        try:
            try:
                raise error
            except Exception as inner:
                raise RuntimeError("a step failed") from inner
        except RuntimeError as outer:
            return outer

    for told in (fix_of(error), fix_of(deep())):
        assert (told is None) if fix is None else fix in (told or "")


def test_words_of_every_day_name_no_fix() -> None:
    assert fix_in("training set is not of the present data") is None


def test_a_lock_is_waited_for_so_long_and_no_longer(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with exclusive_lock(path):
        with pytest.raises(BlockingIOError), exclusive_lock(path, wait=False):
            pass
        with pytest.raises(BlockingIOError, match=r"after 0\.05 seconds"), exclusive_lock(path, wait=0.05):
            pass
    # the thread that came too late gave it back
    with exclusive_lock(path, wait=30.0):
        pass


def test_a_lock_that_becomes_free_is_had(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    waiting, had = threading.Event(), []

    def wait_for_it() -> None:
        waiting.set()
        with exclusive_lock(path, wait=30.0):
            had.append(True)

    other = threading.Thread(target=wait_for_it)
    with exclusive_lock(path):
        other.start()
        waiting.wait()
    other.join()
    assert had == [True]


# -- what a person deletes as told, and what is damaged


@pytest.fixture
def table(tmp_path: Path) -> Table:
    table = Lake(tmp_path).table("raw/payments")
    put(table, 5)
    return table


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"latest", b"-1"])
def test_a_damaged_pointer_is_told_and_deleting_it_rebuilds(table: Table, content: bytes) -> None:
    current = table.folder / "manifests/2026-01-01/current"
    current.write_bytes(content)
    with pytest.raises(LakeError, match=r"current: damaged.*delete this file"):
        table.manifest("2026-01-01")
    current.unlink()
    assert table.manifest("2026-01-01") is None
    put(table, 5)
    assert table.read(["2026-01-01"]).num_rows == 5


def test_a_damaged_manifest_deleted_as_told_is_rebuilt(table: Table) -> None:
    path = table.folder / "manifests/2026-01-01/000001.json"
    path.write_text("{")
    with pytest.raises(LakeError, match="delete this file"):
        table.manifest("2026-01-01")
    path.unlink()
    assert table.manifest("2026-01-01") is None
    put(table, 5)
    assert table.read(["2026-01-01"]).num_rows == 5


def test_a_damaged_data_file_does_not_survive_a_rebuild(table: Table) -> None:
    manifest = table.manifest("2026-01-01")
    assert manifest is not None
    table.path(manifest).write_bytes(b"PAR1 no more")
    (table.folder / "manifests/2026-01-01/current").unlink()
    put(table, 5)
    assert table.read(["2026-01-01"]).num_rows == 5


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"PAR1"])
def test_a_damaged_document_is_told_by_its_file_and_deleting_the_pointer_rebuilds(
    tmp_path: Path, content: bytes
) -> None:
    table = Lake(tmp_path).table("products/p/registered_model")

    def write() -> Manifest:
        return table.write_document("all", {"version": "1"}, code_version="1", inputs={}, cause="test")

    path = table.path(write())
    path.write_bytes(content)
    with pytest.raises(LakeError, match=rf"{path.name}: damaged .*delete .*/all/current and run again"):
        table.document("all")
    (table.folder / "manifests/all/current").unlink()
    write()
    assert table.document("all") == {"version": "1"}


# -- a clock that was set back


class Clock:
    """The moment that the lake and the ledger are told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = "2026-03-10T12:00:00.000000Z"
        for module in ("lake.lake", "evidence.ledger"):
            monkeypatch.setattr(f"platform_assets.{module}.utc_now", lambda: self.now)


def test_versions_keep_their_order_when_the_clock_goes_back(tmp_path: Path, monkeypatch) -> None:
    clock, table = Clock(monkeypatch), Lake(tmp_path).table("raw/payments")
    put(table, 1)
    clock.now = "2026-03-09T12:00:00.000000Z"
    put(table, 2)
    first, second = table.history("2026-01-01")
    assert second.created_at == first.created_at
    assert table.current_at("2026-01-01", first.created_at) == second
    assert table.current_at("2026-01-01", "2026-03-10T11:59:59.000000Z") is None


def test_the_ledger_keeps_its_order_when_the_clock_goes_back(tmp_path: Path, monkeypatch) -> None:
    clock, ledger = Clock(monkeypatch), Ledger(tmp_path)
    assert ledger.now() == clock.now
    first = ledger.append("refusal", "p", "somebody", {})
    clock.now = "2026-03-09T12:00:00.000000Z"
    second = ledger.append("refusal", "p", "somebody", {})
    assert second.at == first.at == ledger.now()
    clock.now = "2026-03-11T12:00:00.000000Z"
    assert ledger.append("refusal", "p", "somebody", {}).at == clock.now == ledger.now()


def test_a_waiver_that_ended_does_not_come_back_with_the_clock(tmp_path: Path, monkeypatch) -> None:
    ledger = Ledger(tmp_path)
    evidence = Evidence("drift", "products/p/promotion", Verdict.FAILED, "red", {})
    today = date.fromisoformat(ledger.now()[:10])
    record_waiver(ledger, evidence, "ana@payments.example", "known", today)
    assert waiver_for(ledger, evidence) is not None
    later = f"{today.year + 1}-01-01T00:00:00.000000Z"
    monkeypatch.setattr("platform_assets.evidence.ledger.utc_now", lambda: later)
    ledger.append("refusal", "p", "somebody", {})
    monkeypatch.undo()
    assert waiver_for(ledger, evidence) is None, "by the ledger's own time it has ended"


def test_flush_reaches_the_disk_before_the_rename(tmp_path: Path, monkeypatch) -> None:
    order = []
    real_sync, real_replace = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda fd: (order.append("sync"), real_sync(fd))[1])
    monkeypatch.setattr(Path, "replace", lambda self, to: (order.append("rename"), real_replace(self, to))[1])
    write_atomically(tmp_path / "x", b"1")
    assert order == ["sync", "rename"]
