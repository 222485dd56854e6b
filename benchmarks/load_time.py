"""CPU of `dg check defs` on this code location beside a project with one trivial asset.

Both run in turn in one go; the least of several runs counts. Target: at most 1.5 times.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
DG = Path(sys.executable).parent / "dg"

TRIVIAL = {
    "pyproject.toml": """
[project]
name = "trivial"
version = "0"
[tool.dg]
directory_type = "project"
[tool.dg.project]
root_module = "trivial"
code_location_target_module = "trivial.definitions"
[tool.dg.cli]
suppress_warnings = ["project_and_activated_venv_mismatch"]
""",
    "trivial/__init__.py": "",
    "trivial/defs/__init__.py": "",
    "trivial/definitions.py": """
import dagster as dg

@dg.asset
def one() -> int:
    return 1

defs = dg.Definitions(assets=[one])
""",
}


def cpu_seconds(folder: Path, home: Path) -> float:
    """User and system seconds of one `dg check defs` and its children."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {**os.environ, "PYTHONPATH": str(folder), "PLATFORM_HOME": str(home), "DAGSTER_HOME": ""}
    environment.pop("DAGSTER_HOME")
    done = subprocess.run([DG, "check", "defs"], cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"dg check defs failed in {folder}:\n{done.stdout}\n{done.stderr}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Print both and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=4)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    ours, trivial = [], []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for path, text in TRIVIAL.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text)
        for _ in range(arguments.runs):
            trivial.append(cpu_seconds(folder, folder / "home"))
            ours.append(cpu_seconds(CHECKOUT, folder / "home"))
    result = {"trivial": min(trivial), "platform_assets": min(ours), "ratio": min(ours) / min(trivial)}
    if arguments.json:
        print(json.dumps(result))
    else:
        print("dg check defs, CPU seconds (least of", arguments.runs, "runs each, in turn)")
        print(f"  trivial project  {result['trivial']:.2f}")
        print(f"  platform_assets  {result['platform_assets']:.2f}")
        print(f"  ratio            {result['ratio']:.2f}   (target: at most 1.5)")


if __name__ == "__main__":
    main()
