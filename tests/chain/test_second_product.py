"""A product from another domain is a folder: other columns, other types, CSV; up to a promoted model."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from clinic import Clinic


@pytest.fixture(scope="module")
def clinic(make_clinic: Callable[..., Clinic]) -> Clinic:
    made = make_clinic()
    first = made.run()
    assert first.returncode == 0, first.stdout + first.stderr
    (made.folder / "first.txt").write_text(first.stdout)
    return made


def test_first_run_promotes_and_says_what_it_did(clinic: Clinic) -> None:
    told = (clinic.folder / "first.txt").read_text()
    for part in (
        "raw/appointments",
        "features/patient_history",
        "clinic_no_shows/training_set",
        "gate floor_roc_auc",
        "gate parity",
        "champion: version 1 since",
        "roc_auc",
        "make ui",
    ):
        assert part in told, told
    metrics = json.loads((clinic.folder / "reports/clinic_no_shows/metrics.json").read_text())
    assert metrics["train_rows"] == 10 * 200
    assert metrics["test_rows"] == 7 * 200
    assert 0.6 < metrics["roc_auc"] < 1
    assert metrics["model_digest"]
    assert metrics["data_digest"]


def test_every_day_is_scored_and_says_by_which_version(clinic: Clinic) -> None:
    table = clinic.stores.lake.table("products/clinic_no_shows/predictions")
    manifests = table.current()
    assert len(manifests) == 30
    assert {m.rows for m in manifests.values()} == {200}
    assert {m.notes["model_version"] for m in manifests.values()} == {"1"}
    assert all(m.notes["retroactive"] for m in manifests.values())


def test_ledger_holds_the_decision(clinic: Clinic) -> None:
    kinds = [entry.kind for entry in clinic.stores.ledger.entries("clinic_no_shows")]
    assert kinds == ["intent", "confirm"]
    for named in (("--product", "clinic_no_shows"), ()):
        told = clinic.command("champion", *named)
        assert told.returncode == 0, told.stdout + told.stderr
        assert told.stdout.startswith("clinic_no_shows at ")
        assert ": version 1 (model " in told.stdout


def test_reproduced_in_a_fresh_process(clinic: Clinic) -> None:
    done = clinic.command("reproduce", "--product", str(clinic.defs), "--version", "1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "identical" in done.stdout


def test_second_run_rebuilds_nothing(clinic: Clinic) -> None:
    before = clinic.digests()
    again = clinic.run()
    assert again.returncode == 0, again.stdout + again.stderr
    assert "nothing has changed; nothing was rebuilt" in again.stdout
    assert clinic.digests() == before


def test_a_changed_day_rebuilds_its_reach_and_nothing_else(clinic: Clinic) -> None:
    lake = clinic.stores.lake
    names = ("raw/appointments", "features/patient_history", "features/clinic_load")
    before = {name: {d: m.sequence for d, m in lake.table(name).current().items()} for name in names}
    path = clinic.data / "2025-01-05" / "part-0.csv"
    text = path.read_text().splitlines()
    path.write_text("\n".join(text[:-1]) + "\n")
    done = clinic.run()
    assert done.returncode == 0, done.stdout + done.stderr
    moved = {
        name: sorted(d for d, m in lake.table(name).current().items() if m.sequence != before[name][d])
        for name in names
    }
    days = [f"2025-01-{n:02d}" for n in range(1, 31)]
    assert moved["raw/appointments"] == ["2025-01-05"]
    # visits look back 20 days; missed 20 days with a delay of one: 5 ... 26 is their union
    assert moved["features/patient_history"] == days[4:26]
    assert moved["features/clinic_load"] == days[4:12]


def test_a_red_day_blocks_what_it_reaches_until_waived_and_once_the_waiver_is_withdrawn(
    clinic: Clinic,
) -> None:
    day = clinic.data / "2025-01-31"
    shutil.copytree(clinic.data / "2025-01-30", day)
    for path in day.glob("*.csv"):
        text = path.read_text().replace("2025-01-30", "2025-01-31").replace("A000", "B000")
        path.write_text(text.replace("15.5", "999.5"))
    done = clinic.run()
    assert done.returncode == 1
    assert "BLOCKED features/patient_history 2025-01-31" in done.stdout
    assert "2025-01-31" not in clinic.stores.lake.table("features/patient_history").current()
    refused = clinic.command(
        "waive",
        "--product",
        "clinic_no_shows",
        "--day",
        "2025-01-31",
        "--owner",
        "me",
        "--reason",
        "x",
        "--expires",
        (datetime.now(UTC).date() + timedelta(days=30)).isoformat(),
    )
    assert refused.returncode == 1
    assert "does not own" in refused.stderr
    waived = clinic.command(
        "waive",
        "--product",
        "clinic_no_shows",
        "--day",
        "2025-01-31",
        "--owner",
        "team:clinics",
        "--by",
        "ana@clinics.example",
        "--reason",
        "long visits are right",
        "--expires",
        (datetime.now(UTC).date() + timedelta(days=30)).isoformat(),
    )
    assert waived.returncode == 0, waived.stderr
    healed = clinic.run()
    assert healed.returncode == 0, healed.stdout + healed.stderr
    assert "2025-01-31" in clinic.stores.lake.table("features/patient_history").current()

    number = str(clinic.stores.ledger.entries(kind="waiver")[-1].sequence)
    words = (
        "withdraw",
        number,
        "--product",
        "clinic_no_shows",
        "--by",
        "ben@clinics.example",
        "--reason",
        "typed",
    )
    stranger = clinic.command(*words)
    assert stranger.returncode == 1
    assert "may be withdrawn by ana@clinics.example, who gave it, or by team:clinics" in stranger.stderr
    withdrawn = clinic.command(*words, "--owner", "team:clinics")
    assert withdrawn.returncode == 0, withdrawn.stderr
    # what was built before stays; nothing new is built on the day
    assert "BLOCKED features/patient_history 2025-01-31" in clinic.run().stdout
