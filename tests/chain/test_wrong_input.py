"""Wrong declarations and data: one clear error, and nothing half-written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from clinic import Clinic


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("lightgbm.LGBMClassifier", "lightgbm.LGBMClassifer", "did you mean 'LGBMClassifier'"),
        ("lightgbm.LGBMClassifier", "lightbgm.LGBMClassifier", "lightbgm"),
        ("lightgbm.LGBMClassifier", "sklearn.tree.DecisionTreeClassifier", "n_estimators"),
        (
            "[patient_history, clinic_load]",
            "[patient_histori, clinic_load]",
            "did you mean 'patient_history'",
        ),
        ("train_days: 10", "train_days: ten", "defs.yaml:12: split.train_days"),
    ],
    ids=["class", "package", "parameter", "feature view", "field"],
)
def test_wrong_declaration_is_told_before_anything_runs(
    make_clinic: Callable[..., Clinic], old: str, new: str, message: str
) -> None:
    clinic = make_clinic(1)
    edit(clinic.defs, old, new)
    done = clinic.run()
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (clinic.home / "lake").exists()


def test_label_with_one_class_builds_no_training_set(make_clinic: Callable[..., Clinic]) -> None:
    clinic = make_clinic(26)
    for path in clinic.data.rglob("*.csv"):
        lines = [line[: line.rindex(",")] + ",0" for line in path.read_text().splitlines()[1:]]
        path.write_text("\n".join(["appointment,patient,clinic,starts_at,minutes,missed", *lines]) + "\n")
    done = clinic.run()
    assert done.returncode == 1
    assert "one class only" in done.stderr
    assert clinic.stores.lake.table("products/clinic_no_shows/training_set").partitions() == []


def test_bad_file_names_file_column_and_fix_and_the_next_run_heals(
    make_clinic: Callable[..., Clinic],
) -> None:
    clinic = make_clinic(4)
    path = clinic.data / "2025-01-03" / "part-1.csv"
    good = path.read_text()
    path.write_text(good.replace(".5,", ".x,", 1))
    done = clinic.run()
    assert done.returncode == 1
    assert "part-1.csv" in done.stderr
    assert "minutes" in done.stderr
    assert "2025-01-03" not in clinic.stores.lake.table("raw/appointments").partitions()
    path.write_text(good)
    clinic.run()
    assert "2025-01-03" in clinic.stores.lake.table("raw/appointments").partitions()


def test_when_no_day_passes_its_contract_the_run_fails_and_says_so(
    make_clinic: Callable[..., Clinic],
) -> None:
    clinic = make_clinic(3)
    edit(
        clinic.defs.parent / "feature_repo/contracts/appointments.json", '"max_value": 240', '"max_value": 1'
    )
    done = clinic.run()
    assert done.returncode == 1
    assert "error: " in done.stderr
