"""What a command costs: CPU seconds of it and its children, wall seconds, peak resident memory."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

CHECKOUT = Path(__file__).resolve().parents[1]
SAMPLE_SECONDS = 0.1
START_SECONDS = 2.0


@dataclass(frozen=True)
class Cost:
    """What one side took. Peak memory is the largest sum over its process tree, sampled."""

    name: str
    cpu_seconds: float
    wall_seconds: float
    peak_bytes: int
    return_code: int


def measured(
    name: str, command: Sequence[str], home: Path, source: str | None = None, *, quiet: bool = False
) -> Cost:
    """Run a command on a home; its output is shown as it comes unless `quiet`."""
    environment = {**os.environ, "PLATFORM_HOME": str(home)}
    environment.pop("PLATFORM_SOURCE", None)
    if source:
        environment["PLATFORM_SOURCE"] = source
    started, peak = time.perf_counter(), 0
    out = subprocess.DEVNULL if quiet else None
    child = subprocess.Popen(command, cwd=CHECKOUT, env=environment, stdout=out)
    tree = psutil.Process(child.pid)
    while True:
        # wait4 gives this child's usage alone; RUSAGE_CHILDREN would add the side before it
        done, status, usage = os.wait4(child.pid, os.WNOHANG)
        if done:
            break
        peak = max(peak, resident(tree))
        time.sleep(SAMPLE_SECONDS)
    child.returncode = os.waitstatus_to_exitcode(status)
    return Cost(name, usage.ru_utime + usage.ru_stime, time.perf_counter() - started, peak, child.returncode)


def resident(process: psutil.Process) -> int:
    """Bytes resident in a process and its descendants; those that just ended count nothing.

    A child that is being started has its parent's memory until it runs its own program: it counts
    nothing either, or each start that a sample happens to meet would double the sum.
    """
    total = 0
    with contextlib.suppress(psutil.Error):
        total += process.memory_info().rss
        for member in process.children(recursive=True):
            with contextlib.suppress(psutil.Error):
                total += 0 if _is_being_started(member) else member.memory_info().rss
    return total


def _is_being_started(process: psutil.Process) -> bool:
    """Young and still with its parent's command line; a worker that stays a fork counts later."""
    parent = process.parent()
    return (
        parent is not None
        and time.time() - process.create_time() < START_SECONDS
        and process.cmdline() == parent.cmdline()
    )


def table(costs: Sequence[Cost]) -> str:
    """One line a side."""
    lines = [f"{'side':24}{'CPU s':>10}{'wall s':>10}{'peak MiB':>10}{'exit':>6}"]
    lines += [
        f"{cost.name:24}{cost.cpu_seconds:10.1f}{cost.wall_seconds:10.1f}{cost.peak_bytes / 2**20:10.0f}"
        f"{cost.return_code:6}"
        for cost in costs
    ]
    return "\n".join(lines)
