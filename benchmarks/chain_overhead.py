"""What the asset graph costs over the same functions called from a bare script.

    python benchmarks/chain_overhead.py [--source FOLDER] [--only graph|bare]

Each side runs in a child process on a fresh home. CPU seconds are the child's and all its
children's; peak memory is the largest sum of resident memory over its process tree, sampled (pages
that processes share count in each). Targets: CPU ratio at most 3, peak below 3 GiB, on the full
1.75 million rows.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

CHECKOUT = Path(__file__).resolve().parents[1]
RATIO_LIMIT = 3.0
MEMORY_LIMIT = 3 * 2**30
SAMPLE_SECONDS = 0.1


@dataclass(frozen=True)
class Cost:
    """What one side took."""

    name: str
    cpu_seconds: float
    wall_seconds: float
    peak_bytes: int
    return_code: int


def measured(name: str, command: list[str], source: str | None) -> Cost:
    """Run a command on a fresh home, its output shown as it comes."""
    with tempfile.TemporaryDirectory(prefix=f"{name}-") as home:
        environment = {**os.environ, "PLATFORM_HOME": home}
        environment.pop("PLATFORM_SOURCE", None)
        if source:
            environment["PLATFORM_SOURCE"] = source
        started, peak = time.perf_counter(), 0
        child = subprocess.Popen(command, cwd=CHECKOUT, env=environment)
        tree = psutil.Process(child.pid)
        while True:
            # wait4 gives this child's usage alone; RUSAGE_CHILDREN would add the side before it
            done, status, usage = os.wait4(child.pid, os.WNOHANG)
            if done:
                break
            peak = max(peak, resident(tree))
            time.sleep(SAMPLE_SECONDS)
        child.returncode = os.waitstatus_to_exitcode(status)
        return Cost(
            name, usage.ru_utime + usage.ru_stime, time.perf_counter() - started, peak, child.returncode
        )


def resident(process: psutil.Process) -> int:
    """Bytes resident in a process and its descendants; those that just ended count nothing."""
    total = 0
    with contextlib.suppress(psutil.Error):
        for member in [process, *process.children(recursive=True)]:
            with contextlib.suppress(psutil.Error):
                total += member.memory_info().rss
    return total


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--source", help="folder or file to read instead of the full-size generator")
    parser.add_argument("--only", choices=["graph", "bare"], help="run one side")
    options = parser.parse_args(arguments)
    commands = {
        "bare": [sys.executable, str(CHECKOUT / "benchmarks/bare_chain.py")],
        "graph": [sys.executable, "-m", "platform_assets", "run"],
    }
    wanted = [options.only] if options.only else list(commands)
    source = str(Path(options.source).resolve()) if options.source else None
    costs = {name: measured(name, commands[name], source) for name in wanted}
    print(f"\n{'side':8}{'CPU s':>10}{'wall s':>10}{'peak MiB':>10}{'exit':>6}")
    for cost in costs.values():
        print(
            f"{cost.name:8}{cost.cpu_seconds:10.1f}{cost.wall_seconds:10.1f}"
            f"{cost.peak_bytes / 2**20:10.0f}{cost.return_code:6}"
        )
    print(json.dumps([asdict(cost) for cost in costs.values()]))
    good = all(cost.return_code == 0 and cost.peak_bytes < MEMORY_LIMIT for cost in costs.values())
    if len(costs) == 2:
        ratio = costs["graph"].cpu_seconds / costs["bare"].cpu_seconds
        print(f"ratio {ratio:.2f} (at most {RATIO_LIMIT:g})")
        good = good and ratio <= RATIO_LIMIT
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
