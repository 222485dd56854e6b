"""A view changes while a champion reads it: refused without a version; with one, both are kept."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from clinic import Clinic
from clinic_data import write_appointments

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

DAYS = 22
NEW_DAY = "2025-01-23"
VIEW = "features/clinic_load"


@pytest.fixture(scope="module")
def clinic(make_clinic: Callable[..., Clinic]) -> Clinic:
    made = make_clinic(DAYS)
    first = made.run()
    assert first.returncode == 0, first.stdout + first.stderr
    return made


def write(clinic: Clinic, file: str, old: str, new: str) -> None:
    path = clinic.folder / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def add_day(clinic: Clinic, number: int) -> None:
    made = clinic.folder / f"made{number}"
    write_appointments(made, number)
    name = f"2025-01-{number:02d}"
    (made / name).rename(clinic.data / name)


def sequences(clinic: Clinic) -> dict[str, dict[str, int]]:
    tables = ("raw/appointments", "features/patient_history", VIEW, f"{VIEW}@2",
              "products/clinic_no_shows/predictions")  # fmt: skip
    return {
        name: {d: m.sequence for d, m in clinic.stores.lake.table(name).current().items()} for name in tables
    }


def test_a_change_under_the_same_version_is_refused(clinic: Clinic) -> None:
    write(clinic, "feature_repo/appointments.yaml", "window: 7d", "window: 5d")
    before = sequences(clinic)
    for command in ("run", "plan"):
        done = clinic.command(command, "--product", str(clinic.defs))
        assert done.returncode == 1
        for part in (
            "product 'clinic_no_shows', version 1, which is live, reads feature view 'clinic_load' version 1",
            "  feature clinic_minutes_7d: window 7d -> 5d",
            "Fix: say `version: 2` in feature view 'clinic_load'",
        ):
            assert part in done.stderr, done.stderr
    assert sequences(clinic) == before


def test_plan_names_the_days_that_a_run_then_builds_and_the_champion_goes_on(clinic: Clinic) -> None:
    write(
        clinic,
        "feature_repo/appointments.yaml",
        "  - name: clinic_load",
        "  - name: clinic_load\n    version: 2",
    )
    write(clinic, "defs.yaml", "at_least: 0.6", "at_least: 0.999")  # the challenger will be refused
    add_day(clinic, DAYS + 1)
    told = clinic.command("plan", "--json", "--product", str(clinic.defs))
    assert told.returncode == 0, told.stderr
    planned = json.loads(told.stdout)
    rebuilds = {item["asset"]: item for item in planned["rebuilds"]}
    assert planned["live"] == [
        "clinic_no_shows version 1 reads patient_history version 1, whose days are rebuilt",
        "clinic_no_shows version 1 reads clinic_load version 1, which is kept up to date beside version 2",
    ]
    assert all(item["seconds"] > 0 for item in rebuilds.values())
    before = sequences(clinic)

    done = clinic.run()
    assert done.returncode == 0, done.stdout + done.stderr
    after = sequences(clinic)
    built = {n: sorted(d for d in days if before[n].get(d) != days[d]) for n, days in after.items()}
    assert rebuilds["raw/appointments"]["days"] == built["raw/appointments"] == [NEW_DAY]
    assert rebuilds["features/patient_history"]["days"] == built["features/patient_history"] == [NEW_DAY]
    assert rebuilds[VIEW]["days"] == built[f"{VIEW}@2"]
    assert len(built[f"{VIEW}@2"]) == DAYS + 1
    assert built[VIEW] == [NEW_DAY]  # the version the champion reads
    scored = built["products/clinic_no_shows/predictions"]
    assert rebuilds["clinic_no_shows/predictions"]["days"] == scored == [NEW_DAY]


def test_the_champion_is_scored_watched_and_compared_on_its_own_version(clinic: Clinic) -> None:
    stores = clinic.stores
    manifest = stores.lake.table("products/clinic_no_shows/predictions").manifest(NEW_DAY)
    assert manifest is not None
    assert manifest.notes["model_version"] == "1"
    assert manifest.inputs[VIEW] == stores.lake.table(VIEW).digests([NEW_DAY])
    assert f"{VIEW}@2" not in manifest.inputs
    for name in ("online/clinic_load", "online/clinic_load@2"):
        payload = stores.lake.table(name).document("current")
        assert payload is not None
        assert payload["materialized_until"] == "2025-01-24"
    refused = stores.ledger.entries("clinic_no_shows", "refusal")[-1]
    assert refused.body["version"] == "2"
    told = json.dumps(refused.body)
    assert "floor_roc_auc" in told
    assert "cannot be compared" not in told


def test_nothing_is_open_and_a_promoted_version_lets_the_old_one_go(clinic: Clinic) -> None:
    told = clinic.command("plan", "--product", str(clinic.defs))
    assert "nothing would be rebuilt" in told.stdout, told.stdout + told.stderr
    write(clinic, "defs.yaml", "at_least: 0.999", "at_least: 0.6")
    done = clinic.run()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "champion: version 2" in done.stdout or "champion: version 3" in done.stdout
    add_day(clinic, DAYS + 2)
    planned = json.loads(clinic.command("plan", "--json", "--product", str(clinic.defs)).stdout)
    assert any("reads clinic_load version 2, whose days are rebuilt" in line for line in planned["live"])
    assert not [line for line in planned["live"] if "version 1, which" in line]
