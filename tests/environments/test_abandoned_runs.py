"""A run killed with all that watched over it is recorded as failed; one that is at work is left alone."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.events import EngineEventData

from platform_assets.command_line.abandoned_runs import end_abandoned_runs, is_at_work
from platform_assets.command_line.dagster_home import DAGSTER_YAML

KILLED = """\
import os, signal
import dagster as dg
@dg.op
def killed(): os.kill(os.getpid(), signal.SIGKILL)
@dg.job
def training(): killed()
training.execute_in_process(instance=dg.DagsterInstance.get())
"""


def test_a_run_without_a_process_is_recorded_as_failed(tmp_path: Path) -> None:
    (tmp_path / "dagster.yaml").write_text(DAGSTER_YAML)
    variables = {**os.environ, "DAGSTER_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", KILLED], env=variables, capture_output=True)
    assert done.returncode == -signal.SIGKILL
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        (run,) = instance.get_runs()
        assert run.status is dg.DagsterRunStatus.STARTED
        (told,) = end_abandoned_runs(instance)
        assert told.startswith(f"run {run.run_id[:8]} of training: the process that ran it (pid ")
        assert [run.status for run in instance.get_runs()] == [dg.DagsterRunStatus.FAILURE]
        assert end_abandoned_runs(instance) == []


def test_processes_of_another_machine_are_not_looked_for() -> None:
    """A shared storage holds runs of every machine, and their numbers mean nothing here."""
    with dg.DagsterInstance.ephemeral() as instance:
        run = instance.create_run_for_job(training_elsewhere, status=dg.DagsterRunStatus.STARTED)
        instance.report_engine_event(
            "at work elsewhere", run, EngineEventData({"pid": dg.MetadataValue.text(str(2**22 + 1))})
        )
        assert end_abandoned_runs(instance) == []


@dg.job
def training_elsewhere() -> None:
    """Steps do not matter here."""


def test_a_run_at_work_is_left_alone() -> None:
    told: list[str] = []

    @dg.op
    def at_work(context: dg.OpExecutionContext) -> None:
        told.extend(end_abandoned_runs(context.instance))

    @dg.job
    def training() -> None:
        at_work()

    with dg.instance_for_test() as instance:
        assert training.execute_in_process(instance=instance).success
    assert told == []


@pytest.mark.parametrize(
    ("pid", "since", "at_work"),
    [
        pytest.param(os.getpid(), time.time(), True, id="here"),
        pytest.param(
            os.getpid(),
            time.time() - 86_400,
            False,
            id="a number given anew",
            marks=pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="only Linux tells"),
        ),
        pytest.param(2**22 + 1, time.time(), False, id="above every number"),
    ],
)
def test_is_at_work(pid: int, since: float, at_work: bool) -> None:
    assert is_at_work(pid, since) is at_work
