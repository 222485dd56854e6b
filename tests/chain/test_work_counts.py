"""How much is done, counted rather than timed: nothing when nothing changed, and the same for a new day
whatever lies before it."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from clinic import Clinic

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def versions(clinic: Clinic) -> Counter[str]:
    """Manifests by table."""
    return Counter(
        {
            table.name: sum(1 for _ in (table.folder / "manifests").glob("*/0*.json"))
            for table in clinic.stores.lake.tables()
        }
    )


def runs(clinic: Clinic) -> int:
    """Runs that Dagster has a record of."""
    import sqlite3

    (path,) = (clinic.home / "dagster").glob("history/runs.db")
    with sqlite3.connect(path) as connection:
        return int(connection.execute("SELECT count(*) FROM runs").fetchone()[0])


def files(clinic: Clinic) -> dict[str, int]:
    """Every file of the lake with the time it was written."""
    return {str(p): p.stat().st_mtime_ns for p in (clinic.home / "lake").rglob("*") if p.is_file()}


def work_of_a_new_day(clinic: Clinic, aside: Path) -> tuple[Counter[str], int]:
    """Versions written and runs launched for one more day."""
    last = sorted(clinic.data.iterdir())[-1]
    shutil.move(last, aside / last.name)
    assert clinic.run().returncode == 0
    before, runs_before, untouched = versions(clinic), runs(clinic), files(clinic)
    done = clinic.run()
    assert done.returncode == 0, done.stderr
    assert versions(clinic) == before
    assert runs(clinic) == runs_before, "nothing changed, so nothing runs"
    assert files(clinic) == untouched
    shutil.move(aside / last.name, last)
    done = clinic.run()
    assert done.returncode == 0, done.stdout + done.stderr
    return versions(clinic) - before, runs(clinic) - runs_before


def test_a_new_day_takes_the_same_work_after_a_longer_history(
    make_clinic: Callable[..., Clinic], tmp_path: Path
) -> None:
    # long enough that no window reaches the first day
    few, runs_few = work_of_a_new_day(make_clinic(42), tmp_path)
    many, runs_many = work_of_a_new_day(make_clinic(60), tmp_path)
    assert few == many
    assert runs_few == runs_many
    assert few["raw/appointments"] == 1
    assert few["features/patient_history"] == 1
    assert few["products/clinic_no_shows/predictions"] == 1
