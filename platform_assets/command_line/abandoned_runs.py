"""Runs whose process is gone: killed together with the web UI or the command that watched over them.

To Dagster they are at work for ever: two of them fill its queue, and no sensor asks again for what they
build.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import dagster as dg

_PROCESSES = Path("/proc")


def end_abandoned_runs(instance: dg.DagsterInstance) -> list[str]:
    """Record every run that has no process any more as failed; what was recorded, in words.

    Only runs that were started: those before and after are ended by Dagster's own run monitoring. Only of
    an instance in files of this machine: of processes on another one nothing is seen here.
    """
    import dagster as dg
    from dagster._core.storage.runs import SqliteRunStorage

    if not isinstance(instance.run_storage, SqliteRunStorage):
        return []
    told = []
    for record in instance.get_run_records(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])):
        run = record.dagster_run
        pid = _process_of(instance, run.run_id)
        if pid is not None and not is_at_work(pid, since=record.start_time or 0.0):
            gone = f"the process that ran it (pid {pid}) is gone; what it finished stays"
            instance.report_run_failed(run, message=f"Ended: {gone}.")
            told.append(f"run {run.run_id[:8]} of {run.job_name}: {gone}")
    return told


def is_at_work(pid: int, since: float) -> bool:
    """Whether a process of this number is there, and is not a younger one that was given it anew."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    began = _began(pid)
    return began is None or began <= since + 1


def _process_of(instance: dg.DagsterInstance, run_id: str) -> int | None:
    """The process that executes a run's steps, as its newest event names it."""
    import dagster as dg

    found = None
    for record in instance.get_records_for_run(run_id, of_type=dg.DagsterEventType.ENGINE_EVENT).records:
        event = record.event_log_entry.dagster_event
        pid = event.engine_event_data.metadata.get("pid") if event else None
        if pid is not None:
            found = int(str(pid.value))
    return found


def _began(pid: int) -> float | None:
    """When a process began; None where the system does not tell."""
    try:
        ticks = int((_PROCESSES / str(pid) / "stat").read_text().rpartition(")")[2].split()[19])
        lines = (_PROCESSES / "stat").read_text().splitlines()
        booted = int(next(line for line in lines if line.startswith("btime")).split()[1])
    except (OSError, ValueError, IndexError, StopIteration):
        return None
    return booted + ticks / os.sysconf("SC_CLK_TCK")
