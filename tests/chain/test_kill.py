"""Kill -9 in each stage, then run again: the same digests as an undisturbed run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable

import pytest
from clinic import Clinic

pytestmark = pytest.mark.slow

STAGES = ("raw", "features", "online", "training", "promotion", "predictions", "monitoring")


@pytest.fixture(scope="module")
def undisturbed(make_clinic: Callable[..., Clinic]) -> Clinic:
    clinic = make_clinic(26)
    done = clinic.run()
    assert done.returncode == 0, done.stdout + done.stderr
    return clinic


@pytest.mark.parametrize("stage", STAGES)
def test_killed_run_is_healed_by_the_next(
    stage: str, undisturbed: Clinic, make_clinic: Callable[..., Clinic]
) -> None:
    clinic = make_clinic(26)
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "platform_assets", "run", "--product", str(clinic.defs)],
        cwd=clinic.folder,
        env=clinic.environment(),
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(stage):
            # the stage is under way when its first file appears or its run is recorded
            os.killpg(process.pid, signal.SIGKILL)
            break
    process.wait()
    assert process.returncode == -signal.SIGKILL, f"{stage} was never reached"
    done = clinic.run()
    assert done.returncode == 0, done.stdout + done.stderr
    assert clinic.digests() == undisturbed.digests()
    assert [e.kind for e in clinic.stores.ledger.entries("clinic_no_shows")][-1] == "confirm"
