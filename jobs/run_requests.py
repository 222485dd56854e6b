"""Requests as run requests: thin, without state of its own."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import dagster as dg

from platform_assets import vocabulary
from platform_assets.automation.plan import Request, Work, cooldown_epoch
from platform_assets.environments import environment
from platform_assets.jobs.source_jobs import job_name

CHANGE_TAG = "platform/change"
RUN_KEY_TAG = "dagster/run_key"
UNFINISHED = (
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
)


def default_status() -> dg.DefaultSensorStatus:
    """Sensors run by themselves in staging and production; on a laptop somebody switches them on."""
    running = environment().name != "dev"
    return dg.DefaultSensorStatus.RUNNING if running else dg.DefaultSensorStatus.STOPPED


def tick_seconds() -> int:
    """Seconds between two looks: `PLATFORM_TICK_SECONDS`, by default 30."""
    return int(os.environ.get("PLATFORM_TICK_SECONDS", "30"))


def run_requests(
    instance: dg.DagsterInstance, owner: str, requests: Sequence[Request], cooldown: timedelta
) -> tuple[list[dg.RunRequest], list[str]]:
    """Run requests for what no run is about to build, and of the others why they wait.

    A run at work changes what is observed with every day and asset it finishes, so it is known by what
    it builds, not by the change that it was asked for.
    """
    epoch = cooldown_epoch(datetime.now(UTC), cooldown)
    under_way = runs_under_way(instance)
    made, waits = [], []
    for request in requests:
        keys = [dg.AssetKey(list(asset)) for asset in request.assets]
        run_key = f"{owner}:{request.run_key(epoch)}"
        if why := _at_work(under_way, keys) or _ended(instance, run_key, epoch, cooldown):
            waits.append(" ".join([request.stage, " .. ".join(request.days or ())]).strip() + f": {why}")
            continue
        tags = {CHANGE_TAG: request.change, vocabulary.STAGE_TAG: request.stage}
        if request.days:
            tags |= {vocabulary.RANGE_START: request.days[0], vocabulary.RANGE_END: request.days[1]}
        made.append(
            dg.RunRequest(
                run_key=run_key,
                job_name=job_name(owner, request.stage),
                asset_selection=keys,
                tags=tags,
            )
        )
    return made, waits


def runs_under_way(instance: dg.DagsterInstance) -> dict[str, str]:
    """The run that is queued or at work on each step, whoever launched it; an asset is a step."""
    found: dict[str, str] = {}
    for run in instance.get_runs(dg.RunsFilter(statuses=UNFINISHED)):
        if run.execution_plan_snapshot_id is not None:
            plan = instance.get_execution_plan_snapshot(run.execution_plan_snapshot_id)
            found |= dict.fromkeys(plan.step_keys_to_execute, run.run_id)
    return found


def _at_work(under_way: Mapping[str, str], keys: Sequence[dg.AssetKey]) -> str:
    steps = [key.to_python_identifier() for key in keys]
    return next((f"run {under_way[step][:8]} is at work on it" for step in steps if step in under_way), "")


def _ended(instance: dg.DagsterInstance, run_key: str, epoch: int, cooldown: timedelta) -> str:
    """What became of the run that had this key: Dagster launches a key once, and does not say so."""
    records = instance.get_run_records(dg.RunsFilter(tags={RUN_KEY_TAG: run_key}), limit=1)
    if not records:
        return ""
    run = records[0].dagster_run
    ended = datetime.fromtimestamp(records[0].end_time or time.time(), UTC)
    again = datetime.fromtimestamp((epoch + 1) * max(cooldown.total_seconds(), 1), UTC)
    return (
        f"run {run.run_id[:8]} ended in {run.status.value} at {ended:%H:%M} UTC and this is still open; "
        f"it is asked for again after {again:%Y-%m-%d %H:%M} UTC"
    )


def why_nothing(work: Sequence[Work], waits: Sequence[str]) -> str:
    """What a tick that asks for nothing says."""
    blocked = [
        f"{'/'.join(item.asset)}: {len(item.blocked)} blocked ({next(iter(item.blocked.values()))})"
        for item in work
        if item.blocked
    ]
    return "; ".join([*(waits or ["nothing has changed"]), *blocked])
