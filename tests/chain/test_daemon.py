"""Sensors on a real daemon: a folder of files becomes a promoted model; a new day goes through."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from clinic import Clinic
from clinic_data import write_appointments

from platform_assets.command_line.dagster_home import DAGSTER_YAML

pytestmark = [pytest.mark.slow, pytest.mark.daemon, pytest.mark.timeout(900)]

HERE = Path(__file__).resolve().parent
LIMIT = 600


def wait_until(condition: Callable[[], bool], daemon: subprocess.Popen[bytes], log: Path) -> None:
    """Look once a second; the daemon's log is told when it takes too long."""
    deadline = time.monotonic() + LIMIT
    while not condition():
        assert daemon.poll() is None, log.read_text()[-3000:]
        assert time.monotonic() < deadline, log.read_text()[-3000:]
        with pytest.raises(subprocess.TimeoutExpired):
            daemon.wait(timeout=1)


def test_daemon_takes_files_to_a_promoted_model_and_follows_a_new_day(
    make_clinic: Callable[..., Clinic], tmp_path: Path
) -> None:
    clinic = make_clinic(26)
    home = clinic.stores.home
    home.dagster.mkdir(parents=True)
    (home.dagster / "dagster.yaml").write_text(DAGSTER_YAML)
    workspace = tmp_path / "workspace.yaml"
    workspace.write_text(
        f"load_from:\n  - python_module: {{module_name: clinic_code_location, location_name: clinic, "
        f"working_directory: {HERE}}}\n"
    )
    log = tmp_path / "daemon.log"
    variables = clinic.environment(
        PLATFORM_ENV="staging",
        PLATFORM_TICK_SECONDS="5",
        DAGSTER_HOME=str(home.dagster),
        CLINIC_DEFS=str(clinic.defs),
        PYTHONPATH=str(HERE),
    )
    with log.open("wb") as handle:
        daemon = subprocess.Popen(
            [sys.executable, "-m", "dagster._daemon", "run", "-w", str(workspace)],
            env=variables,
            cwd=tmp_path,
            stdout=handle,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        lake, evidence = clinic.stores.lake, clinic.stores.evidence
        scored = lake.table("products/clinic_no_shows/predictions")
        wait_until(
            lambda: (
                len(scored.partitions()) == 26
                and evidence.latest("drift", "products/clinic_no_shows/drift_report") is not None
            ),
            daemon,
            log,
        )
        assert [e.kind for e in clinic.stores.ledger.entries("clinic_no_shows")] == ["intent", "confirm"]
        other = tmp_path / "more"
        write_appointments(other, 27)
        shutil.copytree(other / "2025-01-27", clinic.data / "2025-01-27")
        wait_until(lambda: "2025-01-27" in scored.partitions(), daemon, log)
        assert lake.table("raw/appointments").manifest("2025-01-26").sequence == 1
        assert lake.table("features/patient_history").manifest("2025-01-26").sequence == 1
    finally:
        os.killpg(daemon.pid, signal.SIGKILL)
        daemon.wait()
