"""Broken on purpose: one clear error that names the fix; following it leads to the same end state."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from clinic import Clinic

from platform_assets.lineage.verification import verify

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

PRODUCT = "clinic_no_shows"
DAYS = 26


@pytest.fixture(scope="module")
def clinic(make_clinic: Callable[..., Clinic]) -> Clinic:
    clinic = make_clinic(DAYS)
    done = clinic.run()
    assert done.returncode == 0, done.stdout + done.stderr
    return clinic


@pytest.fixture(scope="module")
def undisturbed(clinic: Clinic) -> dict[str, dict[str, str]]:
    return clinic.digests()


@pytest.fixture
def healed(clinic: Clinic, undisturbed: dict[str, dict[str, str]]) -> Iterator[Clinic]:
    """The clinic, as it is found before and left after every accident."""
    yield clinic
    done = clinic.run()
    assert done.returncode == 0, done.stdout + done.stderr
    assert clinic.digests() == undisturbed
    assert verify(clinic.stores).broken == []


def told(clinic: Clinic, *needles: str) -> None:
    """The run fails with one error that holds the words, and no traceback."""
    done = clinic.run()
    assert done.returncode == 1, done.stdout
    for needle in needles:
        assert needle in done.stderr, done.stderr
    assert "Traceback" not in done.stderr


def manifests(clinic: Clinic, table: str) -> Path:
    return next((clinic.home / "lake/tables" / table / "manifests").iterdir())


@pytest.mark.parametrize(
    "table", ["raw/appointments", "features/patient_history", f"products/{PRODUCT}/training_set"]
)
@pytest.mark.parametrize("name", ["newest", "current"])
def test_damaged_manifest(healed: Clinic, table: str, name: str) -> None:
    folder = manifests(healed, table)
    path = folder / "current" if name == "current" else sorted(folder.glob("0*.json"))[-1]
    path.write_text("{")
    told(healed, str(path), "damaged", "delete this file")
    path.unlink()


@pytest.mark.parametrize("table", ["raw/appointments", f"products/{PRODUCT}/predictions"])
def test_changed_data_file_is_found_by_verify(healed: Clinic, table: str) -> None:
    folder = manifests(healed, table)
    manifest = healed.stores.lake.table(table).manifest(folder.name)
    assert manifest is not None
    path = healed.stores.lake.table(table).path(manifest)
    path.write_bytes(path.read_bytes()[:200])
    done = healed.command("verify")
    assert done.returncode == 1
    assert str(path) in done.stdout
    assert f"delete {folder / 'current'}" in done.stdout
    (folder / "current").unlink()


def test_lost_mlflow_database(healed: Clinic) -> None:
    database = healed.home / "mlflow/mlflow.db"
    whole = database.read_bytes()
    database.write_bytes(whole[:4096] + b"\0" * (len(whole) - 4096))
    told(healed, str(database), "damaged database", "restore-registry")
    database.rename(database.with_suffix(".damaged"))
    done = healed.command(
        "restore-registry", "--product", str(healed.defs), "--by", "ana@clinic.example", "--reason", "lost"
    )
    assert done.returncode == 0, done.stderr
    assert "champion: version 1" in done.stdout


@pytest.mark.parametrize("name", ["history/runs.db", "history/runs/index.db"])
def test_damaged_event_log(healed: Clinic, name: str) -> None:
    found = [path for path in (healed.home / "dagster").rglob("*.db") if path.as_posix().endswith(name)]
    if not found:
        pytest.fail(f"{name} is not where it was: {sorted((healed.home / 'dagster').rglob('*.db'))}")
    found[0].write_bytes(b"no database")
    told(healed, str(found[0]), "damaged database", f"move {healed.home / 'dagster'} away")
    shutil.rmtree(healed.home / "dagster")


@pytest.mark.parametrize("name", ["registry.db", "online.db"])
def test_damaged_feast_database(healed: Clinic, name: str) -> None:
    (healed.home / "feast" / name).write_bytes(b"no database")
    told(healed, name, f"move {healed.home / 'feast'} away")
    shutil.rmtree(healed.home / "feast")


def test_reports_that_were_deleted_come_back(healed: Clinic) -> None:
    metrics = healed.home / "reports" / PRODUCT / "metrics.json"
    before = metrics.read_bytes()
    shutil.rmtree(healed.home / "reports")
    assert healed.run().returncode == 0
    assert metrics.read_bytes() == before


def test_changed_model_file_is_refused_and_training_again_puts_it_back(healed: Clinic) -> None:
    entry = healed.stores.ledger.entries(PRODUCT, "confirm")[-1]
    model = healed.home / entry.body["artifact_path"] / "model.pkl"
    model.write_bytes(model.read_bytes() + b" ")
    done = healed.command("verify")
    assert done.returncode == 1
    assert f"materialize {PRODUCT}/training_run again" in done.stdout
    done = subprocess.run(
        [str(Path(sys.executable).with_name("dagster")), "asset", "materialize", "-m", "platform_assets.definitions",
         "--select", f"{PRODUCT}/training_run"],
        cwd=healed.folder, env=healed.environment(DAGSTER_HOME=str(healed.home / "dagster")),
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_second_run_at_the_same_time_is_told_who_is_at_work(
    healed: Clinic, make_clinic: Callable[..., Clinic]
) -> None:
    other = make_clinic(DAYS)
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "platform_assets", "run", "--product", str(other.defs)],
        cwd=other.folder, env=other.environment(), stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    process.stdout.readline()
    told(other, "another run is at work", f"process {process.pid}")
    process.communicate()
    assert process.returncode == 0
    assert other.digests() == healed.digests()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own for a home."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=900k", "tmpfs", str(folder)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("this user may not mount a file system")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def remount(disk: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", str(disk)], check=True)


def test_full_disk_then_space_again(healed: Clinic, make_clinic: Callable[..., Clinic], disk: Path) -> None:
    other = Clinic(make_clinic(DAYS).folder, disk / "home")
    for size in ("900k", "1500k", "2500k", "4m"):
        remount(disk, f"size={size}")
        told(other, "the disk is full")
        assert not [problem for problem in verify(other.stores).broken if "present one" not in problem]
    remount(disk, "size=1g")
    done = other.run()
    assert done.returncode == 0, done.stdout + done.stderr
    assert other.digests() == healed.digests()


def test_read_only_disk_then_writable_again(
    healed: Clinic, make_clinic: Callable[..., Clinic], disk: Path
) -> None:
    other = Clinic(make_clinic(DAYS).folder, disk / "home")
    remount(disk, "size=1g,ro")
    told(other, "it cannot be written", "PLATFORM_HOME")
    remount(disk, "size=1g,rw")
    assert other.run().returncode == 0
    assert other.digests() == healed.digests()
    remount(disk, "size=1g,ro")
    done = other.command("champion", "--product", str(other.defs))
    assert done.returncode == 0, "who is champion can be asked of a read-only home"


def test_clock_set_back(healed: Clinic, make_clinic: Callable[..., Clinic], tmp_path: Path) -> None:
    library = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
    if library is None:
        pytest.skip("faketime is not installed (apt-get install faketime)")
    other = make_clinic(DAYS)
    late = sorted(other.data.iterdir())[-2:]
    for day in late:
        shutil.move(day, tmp_path / day.name)
    assert other.run().returncode == 0
    for day in late:
        shutil.move(tmp_path / day.name, day)
    # the monotonic clock stays: threads that wait by it would hang
    back = {"LD_PRELOAD": str(library), "FAKETIME": "-3d", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    output = tmp_path / "output"
    with output.open("w") as told_there:
        process = subprocess.Popen(
            [sys.executable, "-m", "platform_assets", "run", "--product", str(other.defs)],
            cwd=other.folder, env=other.environment(**back), stdout=told_there, stderr=told_there,
            start_new_session=True,
        )  # fmt: skip
        process.wait()
    with contextlib.suppress(ProcessLookupError):  # its log readers live on by a clock of their own
        os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 0, output.read_text()
    told_now, told_then = other.digests(), healed.digests()
    assert told_now["raw/appointments"] == told_then["raw/appointments"]
    split = max(told_then[f"products/{PRODUCT}/training_set"])
    for noun in ("training_set", "training_run", "evaluation_report"):
        table = f"products/{PRODUCT}/{noun}"
        assert told_now[table][split] == told_then[table][split]
    assert verify(other.stores).broken == []
    moments = [entry.at for entry in other.stores.ledger.verified()]
    assert moments == sorted(moments)
    last = other.stores.ledger.entries(PRODUCT, "confirm")[-1].body["to"]
    done = other.command("champion", "--product", str(other.defs))
    assert f"version {last} " in done.stdout


def test_garbage_is_collected_and_all_still_stands(healed: Clinic) -> None:
    orphan = healed.home / "lake/tables/raw/appointments/data/2025-01-01/unfinished.parquet"
    orphan.write_bytes(b"12345")
    assert "nothing was touched" not in healed.command("collect-garbage").stdout, "it may belong to a run"
    subprocess.run(["touch", "-d", "3 days ago", str(orphan)], check=True)
    found = json.loads(healed.command("collect-garbage", "--json").stdout)
    assert [item["path"] for item in found] == [str(orphan)]
    refused = healed.command("collect-garbage", "--delete")
    assert refused.returncode == 1
    assert "--by" in refused.stderr
    done = healed.command("collect-garbage", "--delete", "--by", "ana@clinic.example")
    assert done.returncode == 0, done.stderr
    assert not orphan.exists()
    assert healed.stores.ledger.verified()[-1].kind == "garbage"
