"""The persistent Dagster home, with telemetry and welcome pages off."""

from __future__ import annotations

import os
from pathlib import Path

from platform_assets.home import Home
from platform_assets.lake.atomic_files import write_atomically

DAGSTER_YAML = """\
telemetry:
  enabled: false
nux:
  enabled: false
run_monitoring:
  enabled: true
run_coordinator:
  module: dagster.core.run_coordinator
  class: QueuedRunCoordinator
  config:
    max_concurrent_runs: 2
"""

QUIET = {
    "GX_ANALYTICS_ENABLED": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "FEAST_USAGE": "False",
    "DAGSTER_DISABLE_TELEMETRY": "1",
    "TZ": "UTC",
}


def prepare(home: Home) -> Path:
    """Create the Dagster home if it is not there, point this process to it, switch telemetry off."""
    for name, value in QUIET.items():
        os.environ[name] = value
    home.dagster.mkdir(parents=True, exist_ok=True)
    settings = home.dagster / "dagster.yaml"
    if not settings.exists():
        write_atomically(settings, DAGSTER_YAML.encode())
    os.environ["DAGSTER_HOME"] = str(home.dagster)
    os.environ["PLATFORM_HOME"] = str(home.root)
    return home.dagster


if __name__ == "__main__":
    import dagster as dg

    from platform_assets.command_line.abandoned_runs import end_abandoned_runs

    print(prepare(Home.from_environment()))
    with dg.DagsterInstance.get() as present:
        for told in end_abandoned_runs(present):
            print(told)
