"""Requests as run requests: thin, without state of its own."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import dagster as dg

from platform_assets import vocabulary
from platform_assets.automation.plan import Request, Work, cooldown_epoch
from platform_assets.environments import environment
from platform_assets.jobs.source_jobs import job_name

CHANGE_TAG = "platform/change"
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
) -> list[dg.RunRequest]:
    """Run requests for what no run is about to build.

    A run at work changes what is observed with every day and asset it finishes, so it is known by what
    it builds, not by the change that it was asked for.
    """
    epoch = cooldown_epoch(datetime.now(UTC), cooldown)
    under_way = _steps_under_way(instance)
    made = []
    for request in requests:
        keys = [dg.AssetKey(list(asset)) for asset in request.assets]
        if any(key.to_python_identifier() in under_way for key in keys):
            continue
        tags = {CHANGE_TAG: request.change, vocabulary.STAGE_TAG: request.stage}
        if request.days:
            tags |= {vocabulary.RANGE_START: request.days[0], vocabulary.RANGE_END: request.days[1]}
        made.append(
            dg.RunRequest(
                run_key=f"{owner}:{request.run_key(epoch)}",
                job_name=job_name(owner, request.stage),
                asset_selection=keys,
                tags=tags,
            )
        )
    return made


def _steps_under_way(instance: dg.DagsterInstance) -> set[str]:
    """Steps of every run that is queued or at work, whoever launched it; an asset's step is named like it."""
    found: set[str] = set()
    for run in instance.get_runs(dg.RunsFilter(statuses=UNFINISHED)):
        if run.execution_plan_snapshot_id is not None:
            found |= {*instance.get_execution_plan_snapshot(run.execution_plan_snapshot_id).step_keys_to_execute}
    return found


def why_nothing(work: Sequence[Work], waiting: bool) -> str:
    """What a tick that asks for nothing says."""
    blocked = [
        f"{'/'.join(item.asset)}: {len(item.blocked)} blocked ({next(iter(item.blocked.values()))})"
        for item in work
        if item.blocked
    ]
    if waiting:
        return "asked for already; waiting for runs under way or for the cooldown"
    return "nothing has changed" + (f"; {'; '.join(blocked)}" if blocked else "")
