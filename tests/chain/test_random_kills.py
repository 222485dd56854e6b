"""Kill -9 at random moments and file operations: nothing half-written is read, the end state is the same."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from clinic import Clinic

from platform_assets.lineage.verification import verify

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400)]

KILLS = 50
OPERATIONS = 20
SEED = 20_261_124
LOADING = 2.0  # seconds of imports before anything is written


def killed_after(clinic: Clinic, seconds: float) -> bool:
    """Run; kill the whole process group after that long. False when it had ended before."""
    process = subprocess.Popen(
        [sys.executable, "-m", "platform_assets", "run", "--product", str(clinic.defs)],
        cwd=clinic.folder, env=clinic.environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True,
    )  # fmt: skip
    try:
        output, _ = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return True
    assert process.returncode == 0, output
    return False


def test_fifty_kills(make_clinic: Callable[..., Clinic]) -> None:
    undisturbed = make_clinic(26)
    started = time.perf_counter()
    done = undisturbed.run()
    assert done.returncode == 0, done.stdout + done.stderr
    whole = time.perf_counter() - started
    expected = undisturbed.digests()
    chance, kills, clinic = random.Random(SEED), 0, make_clinic(26)
    moments: list[float] = []
    while kills < KILLS:
        # a run goes on where the one before was cut off, so a whole run's time would mostly come too late
        moment = chance.uniform(LOADING, LOADING + (whole - LOADING) * chance.random())
        moments.append(round(moment, 2))
        if killed_after(clinic, moment):
            kills += 1
            broken = [problem for problem in verify(clinic.stores).broken if "alias" not in problem]
            assert broken == [], f"kill {kills}, moments {moments}"
        else:
            assert clinic.digests() == expected, f"moments {moments}"
            assert verify(clinic.stores).broken == [], f"moments {moments}"
            clinic = make_clinic(26)
            moments.clear()
    done = clinic.run()
    assert done.returncode == 0, done.stdout + done.stderr
    assert clinic.digests() == expected
    assert verify(clinic.stores).broken == []


def test_killed_before_file_operations(make_clinic: Callable[..., Clinic], tmp_path: Path) -> None:
    """Moments fall mostly between writes; here each kill falls right before one."""
    undisturbed = make_clinic(26)
    done = watched(undisturbed, COUNTED_IN=str(tmp_path / "count"))
    assert done.returncode == 0, done.stdout + done.stderr
    operations = int((tmp_path / "count").read_text())
    assert operations > 1000
    expected = undisturbed.digests()
    chance, clinic = random.Random(SEED), make_clinic(26)
    killed: list[str] = []
    while len(killed) < OPERATIONS:
        # most of a run that goes on where another was cut off is behind it
        done = watched(clinic, KILLED_AT=str(chance.randint(1, 1 + int(operations * chance.random()))))
        broken = [problem for problem in verify(clinic.stores).broken if "alias" not in problem]
        if done.returncode == -signal.SIGKILL:
            killed.append(done.stderr[-300:])
            assert broken == [], killed
        else:
            assert done.returncode == 0, (killed, done.stdout, done.stderr)
            assert clinic.digests() == expected, killed
            assert verify(clinic.stores).broken == [], killed
            clinic = make_clinic(26)
            killed.append("-- a new home --")
    done = clinic.run()
    assert done.returncode == 0, (killed, done.stdout, done.stderr)
    assert clinic.digests() == expected, killed
    assert verify(clinic.stores).broken == [], killed


def watched(clinic: Clinic, **more: str) -> subprocess.CompletedProcess[str]:
    """Run to the end, or to the file operation that `more` names."""
    return subprocess.run(
        [sys.executable, str(Path(__file__).with_name("killed_run.py")), "run", "--product", str(clinic.defs)],
        cwd=clinic.folder, env=clinic.environment(**more), capture_output=True, text=True, start_new_session=True,
    )  # fmt: skip
