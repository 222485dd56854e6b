"""What `platform-assets run` costs when nothing has changed.

    python benchmarks/second_run.py [--source FOLDER]

A first run fills a fresh home; the next three find nothing to do. Target: at most 15 CPU seconds each,
on the full 1.75 million rows.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from process_cost import measured, table

LIMIT_SECONDS = 15.0


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--source", help="folder or file to read instead of the full-size generator")
    options = parser.parse_args(arguments)
    source = str(Path(options.source).resolve()) if options.source else None
    command = [sys.executable, "-m", "platform_assets", "run"]
    with tempfile.TemporaryDirectory(prefix="second-run-") as home:
        names = ["first run", *(f"nothing changed, {n}" for n in (1, 2, 3))]
        costs = [measured(name, command, Path(home), source, quiet=True) for name in names]
    print(table(costs))
    worst = max(cost.cpu_seconds for cost in costs[1:])
    print(f"nothing changed: at most {worst:.1f} CPU s (limit {LIMIT_SECONDS:g})")
    return 0 if worst <= LIMIT_SECONDS and not any(cost.return_code for cost in costs) else 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
