"""Mutation testing: change the code in one small way at a time, and see whether a test turns red.

`make mutants` runs cosmic-ray over the modules of `MODULES`, each with the tests that answer for it, in
a copy of the checkout (which is never touched), and writes the survivors to `reports/mutants.md`.
`make mutants ARGS="reach split"` runs some of them. SQL is text to cosmic-ray:
`sql_mutants` makes its mistakes. Test modules of a slow kind stand last, as the first red test ends a run.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from sql_mutants import sql_mutants

ROOT = Path(__file__).resolve().parents[2]
REPORT = ROOT / "reports" / "mutants.md"

# module -> the tests that answer for it
MODULES = {
    "training/split": ["tests/training/test_split.py"],
    "features/reach": ["tests/features/test_reach.py"],
    "evaluation/metrics": ["tests/evaluation/test_metrics.py"],
    "evaluation/card_precision": ["tests/evaluation/test_metrics.py"],
    "registry/gates": ["tests/registry/test_gates.py"],
    "registry/paired_bootstrap": ["tests/registry/test_paired_bootstrap.py"],
    "evaluation/ranked_metrics": ["tests/registry/test_paired_bootstrap.py"],
    "lake/manifest": ["tests/lake"],
    "lake/digest": ["tests/lake/test_digest.py"],
    "lake/lake": ["tests/lake"],
    "evidence/evidence": ["tests/evidence"],
    "evidence/ledger": ["tests/evidence"],
    "evidence/waiver": [
        "tests/evidence/test_waiver.py",
        "tests/raw/test_trust.py",
        "tests/registry/test_waivers_and_approvals.py",
    ],
    "automation/plan": ["tests/automation"],
    "monitoring/psi": ["tests/monitoring/test_psi.py"],
    "features/window_sql": ["tests/features/test_windows.py"],
    "features/as_of_join": ["tests/features/test_as_of_join.py"],
    "features/as_of_sql": ["tests/features/test_as_of_join.py"],
    "training/cut_source": ["tests/training/test_leakage.py"],
}

# annotations are never run, and an exception nobody raises cannot be told from another
CONFIG = """
[cosmic-ray]
module-path = "{module}"
timeout = 120.0
excluded-modules = []
test-command = "{python} -m pytest -x -q -W ignore -p no:xdist {tests}"

[cosmic-ray.distributor]
name = "local"

[cosmic-ray.filters.operators-filter]
exclude-operators = [
  "core/RemoveDecorator", "core/ExceptionReplacer", "core/ReplaceBinaryOperator_BitOr_.*",
  # whether equal constants are one object is an accident of the interpreter
  "core/ReplaceComparisonOperator_.*_Is", "core/ReplaceComparisonOperator_.*_IsNot",
]
"""


def survivors(copy: Path, name: str) -> tuple[int, list[dict[str, str]]]:
    """How many mutants of a module there were, and those that no test noticed."""
    config, session = copy / "mutants.toml", copy / f"{name.replace('/', '-')}.sqlite"
    config.write_text(
        CONFIG.format(
            module=f"platform_assets/{name}.py", python=sys.executable, tests=" ".join(MODULES[name])
        )
    )
    environment = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    scripts = Path(sys.executable).parent

    def call(*words: str) -> str:
        done = subprocess.run(
            [str(scripts / words[0]), *words[1:]], cwd=copy, env=environment, capture_output=True, text=True
        )
        if done.returncode:
            raise SystemExit(f"{' '.join(words)} failed:\n{done.stderr[-2000:]}{done.stdout[-2000:]}")
        return done.stdout

    call("cosmic-ray", "init", str(config), str(session))
    call("cr-filter-operators", str(session), str(config))
    call("cosmic-ray", "baseline", str(config))
    call("cosmic-ray", "exec", str(config), str(session))
    tried, alive = 0, []
    for line in call("cosmic-ray", "dump", str(session)).splitlines():
        item, result = json.loads(line)
        if result is None or result["worker_outcome"] == "skipped":
            continue
        mutation = item["mutations"][0]
        if is_annotation(result.get("diff") or ""):
            continue
        tried += 1
        if result["test_outcome"] == "survived":
            alive.append(
                {
                    "line": str(mutation["start_pos"][0]),
                    "operator": mutation["operator_name"].removeprefix("core/"),
                    "change": changed(result["diff"]),
                }
            )
    return tried, alive


def sql_survivors(copy: Path, name: str) -> tuple[int, list[dict[str, str]]]:
    """The same for the mistakes in a module's SQL; the file in the copy is put back."""
    module = copy / "platform_assets" / f"{name}.py"
    right, tried, alive = module.read_text(), 0, []
    environment = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-W", "ignore", "-p", "no:xdist", *MODULES[name]]
    for mutant in sql_mutants(right):
        module.write_text(mutant.source)
        done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, check=False)
        tried += 1
        if done.returncode == 0:
            alive.append(
                {"line": str(mutant.line), "operator": f"SQL {mutant.mistake}", "change": mutant.new_line}
            )
    module.write_text(right)
    return tried, alive


def is_annotation(diff: str) -> bool:
    """Whether only what no test can see changed: an annotation, an assertion, that a record is frozen."""
    silent = (" | None", "def ", "TYPE_CHECKING", "@dataclass(frozen", "assert ")
    return any(any(each in line for each in silent) for line in diff.splitlines() if line.startswith("-"))


def changed(diff: str) -> str:
    """The new line, as the mutant has it."""
    lines = [line[1:].strip() for line in diff.splitlines() if line.startswith("+") and "+++" not in line]
    return lines[0] if lines else ""


def main() -> int:
    """Run, print, write the report; 1 when anything survived."""
    wanted = [name for name in MODULES if not sys.argv[1:] or any(word in name for word in sys.argv[1:])]
    rows, told = [], []
    with tempfile.TemporaryDirectory(prefix="platform-mutants-") as folder:
        copy = Path(folder) / "checkout"
        ignored = shutil.ignore_patterns(
            ".git", ".venv", ".platform", "reports", "__pycache__", ".hypothesis"
        )
        shutil.copytree(ROOT, copy, symlinks=True, ignore=ignored)
        for name in wanted:
            python, sql = survivors(copy, name), sql_survivors(copy, name)
            tried, alive = python[0] + sql[0], python[1] + sql[1]
            if tried and len(alive) == tried:
                raise SystemExit(
                    f"{name}: not one of {tried} mutants was noticed: {' '.join(MODULES[name])} do not run this "
                    "module; name the tests that answer for it in MODULES"
                )
            rows.append(f"| {name} | {tried} | {tried - len(alive)} | {len(alive)} |")
            told += [f"- `{name}:{m['line']}` {m['operator']}: `{m['change']}`" for m in alive]
            print(rows[-1], flush=True)
            for m in alive:
                print(f"   {name}:{m['line']} {m['operator']}: {m['change']}", flush=True)
    REPORT.parent.mkdir(exist_ok=True)
    table = ["| module | mutants | killed | survived |", "|---|---|---|---|", *rows]
    REPORT.write_text("\n".join(["# Mutants", "", *table, "", "## Survivors", "", *told, ""]))
    return 1 if told else 0


if __name__ == "__main__":
    raise SystemExit(main())
