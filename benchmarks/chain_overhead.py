"""What the asset graph costs over the same functions called from a bare script.

    python benchmarks/chain_overhead.py [--source FOLDER] [--only graph|bare] [--repeat N]

Each side runs in a child process on a fresh home, the sides by turns. CPU seconds are the child's and
all its children's; the ratio is that of the medians. Targets: ratio at most 1.5, peak below 3 GiB, on
the full 1.75 million rows.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from process_cost import CHECKOUT, Cost, measured, table

RATIO_LIMIT = 1.5
MEMORY_LIMIT = 3 * 2**30


def on_a_fresh_home(name: str, command: list[str], source: str | None) -> Cost:
    """Measure a command on a home that is thrown away."""
    with tempfile.TemporaryDirectory(prefix=f"{name}-") as home:
        return measured(name, command, Path(home), source)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--source", help="folder or file to read instead of the full-size generator")
    parser.add_argument("--only", choices=["graph", "bare"], help="run one side")
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args(arguments)
    commands = {
        "bare": [sys.executable, str(CHECKOUT / "benchmarks/bare_chain.py")],
        "graph": [sys.executable, "-m", "platform_assets", "run"],
    }
    wanted = [options.only] if options.only else list(commands)
    source = str(Path(options.source).resolve()) if options.source else None
    costs = [on_a_fresh_home(name, commands[name], source) for _ in range(options.repeat) for name in wanted]
    print("\n" + table(costs))
    print(json.dumps([asdict(cost) for cost in costs]))
    good = all(cost.return_code == 0 and cost.peak_bytes < MEMORY_LIMIT for cost in costs)
    if len(wanted) == 2:
        middle = {
            name: statistics.median(cost.cpu_seconds for cost in costs if cost.name == name)
            for name in wanted
        }
        ratio = middle["graph"] / middle["bare"]
        told = f"{middle['graph']:.1f} against {middle['bare']:.1f} CPU s"
        print(f"medians: {told}, ratio {ratio:.2f} (at most {RATIO_LIMIT:g})")
        good = good and ratio <= RATIO_LIMIT
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
