"""Clinics for the tests of the whole chain."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from clinic import Clinic
from clinic_data import write_appointments

HERE = Path(__file__).resolve().parent


@pytest.fixture(scope="session")
def make_clinic(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Clinic]:
    """Make a clinic with `days` of appointments from 2025-01-01."""

    def make(days: int = 30) -> Clinic:
        root = tmp_path_factory.mktemp("clinic")
        shutil.copytree(HERE / "clinic_no_shows", root / "product")
        clinic = Clinic(root / "product", root / "home")
        write_appointments(clinic.data, days)
        return clinic

    return make
