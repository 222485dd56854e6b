"""How long past materializations took, from Dagster's event log."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import dagster as dg

RUNS = 5
EVENTS = 2000


@dataclass(frozen=True)
class Pace:
    """Wall seconds of an asset's last runs, and how many days (or materializations) they built."""

    seconds: float
    built: int
    runs: int

    def for_days(self, days: int) -> float:
        """Seconds that so many days would take; one build of an asset without days counts as one."""
        return self.seconds / self.built * max(days, 1)


def paces(dagster_home: Path, assets: list[tuple[str, ...]]) -> dict[tuple[str, ...], Pace]:
    """The pace of each asset that was ever materialized in a run; others are left out.

    Opens the log only when the home has one: asking must not create anything.
    """
    if not (dagster_home / "dagster.yaml").exists() or not (dagster_home / "history").exists():
        return {}
    import dagster as dg

    with dg.DagsterInstance.from_config(str(dagster_home)) as instance:
        found = {asset: _pace(instance, dg.AssetKey(list(asset))) for asset in assets}
    return {asset: pace for asset, pace in found.items() if pace is not None}


def _pace(instance: dg.DagsterInstance, key: dg.AssetKey) -> Pace | None:
    built: dict[tuple[str, str], int] = {}
    for record in instance.fetch_materializations(key, limit=EVENTS).records:
        entry = record.event_log_entry
        if entry.run_id and entry.step_key:  # without a step it was only recorded afterwards
            step = (entry.run_id, entry.step_key)
            built[step] = built.get(step, 0) + 1
    seconds, days, runs = 0.0, 0, 0
    for (run_id, step_key), count in list(built.items())[:RUNS]:
        for stats in instance.get_run_step_stats(run_id, [step_key]):
            if stats.start_time is not None and stats.end_time is not None:
                seconds, days, runs = seconds + stats.end_time - stats.start_time, days + count, runs + 1
    return Pace(seconds, days, runs) if days else None
