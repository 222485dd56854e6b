"""Mutation testing: change the code in one small way at a time, and see whether a test turns red.

`make mutants` runs cosmic-ray over the modules of `MODULES`, each with the tests that answer for it, in
copies of the checkout (which is never touched), one module a core, and writes the survivors to
`reports/mutants.md`. `make mutants ARGS="reach split"` runs some of them. SQL is text to cosmic-ray:
`sql_mutants` makes its mistakes. Test modules of a slow kind stand last, as the first red test ends a run;
`warm_pytest` spares each run its imports. `--alive` tries only what survived the last run, after tests were added.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import closing, contextmanager
from pathlib import Path

from sql_mutants import sql_mutants

ROOT = Path(__file__).resolve().parents[2]
REPORT = ROOT / "reports" / "mutants.md"
SESSIONS = ROOT / "reports" / "mutants"  # what became of each mutant, a database a module
WARM = Path(__file__).with_name("warm_pytest.py")

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
    "lake/lake": ["tests/lake/test_lake.py", "tests/lake"],
    "lake/partition_versions": ["tests/lake/test_partition_versions.py", "tests/lake/test_lake.py"],
    "evidence/evidence": ["tests/evidence"],
    "evidence/ledger": ["tests/evidence"],
    "evidence/waiver": ["tests/evidence/test_waiver.py"],
    "evidence/standing": ["tests/evidence/test_standing.py"],
    "evidence/withdrawal": ["tests/evidence/test_withdrawal.py"],
    "registry/withdrawn_answers": ["tests/registry/test_withdrawn_answers.py"],
    "raw/trust": ["tests/raw/test_trusted_days.py"],
    "automation/plan": ["tests/automation"],
    "monitoring/psi": ["tests/monitoring/test_psi.py"],
    "features/window_sql": [
        "tests/features/test_windows.py",
        "tests/features/test_declared_functions.py",
        "tests/features/test_expressions.py",
        "tests/features/test_prefix_sums.py",
    ],
    "features/as_of_join": ["tests/features/test_as_of_join.py", "tests/features/test_as_of_sql.py"],
    "features/as_of_sql": ["tests/features/test_as_of_join.py", "tests/features/test_as_of_sql.py"],
    "features/prefix_sums": ["tests/features/test_prefix_sums.py"],
    "features/window_aggregates": [
        "tests/features/test_windows.py",
        "tests/features/test_declared_functions.py",
    ],
    "offline_store/historical_features": ["tests/offline_store/test_feature_request.py"],
    "offline_store/entity_rows": ["tests/offline_store/test_entity_rows.py"],
    "training/cut_source": ["tests/training/test_cut_source.py"],
    "hindsight/known_then": ["tests/hindsight/test_known_then.py"],
    "hindsight/difference": ["tests/hindsight/test_difference.py"],
    "parity/differences": ["tests/parity/test_differences.py"],
    "parity/key_alignment": ["tests/parity/test_key_alignment.py"],
    "online/serving_windows": ["tests/online/test_serving_windows.py"],
}

# annotations are never run, and an exception nobody raises cannot be told from another
CONFIG = """
[cosmic-ray]
module-path = "{module}"
timeout = {timeout}
excluded-modules = []
test-command = "{command}"

[cosmic-ray.distributor]
name = "local"

[cosmic-ray.filters.operators-filter]
exclude-operators = [
  "core/RemoveDecorator", "core/ExceptionReplacer", "core/ReplaceBinaryOperator_BitOr_.*",
  # nobody writes these for a plus or a division, and every test notices them
  "core/ReplaceBinaryOperator_.*_(RShift|LShift|BitOr|BitAnd|BitXor|Pow|Mod)",
  # whether equal constants are one object is an accident of the interpreter
  "core/ReplaceComparisonOperator_.*_Is", "core/ReplaceComparisonOperator_.*_IsNot",
  "core/ReplaceComparisonOperator_Is_Eq", "core/ReplaceComparisonOperator_IsNot_NotEq",
]
"""


class Checkout:
    """A copy of the checkout in which one module is changed, and the tests that answer for it."""

    def __init__(self, folder: Path, name: str, address: Path, again: bool = False) -> None:
        self.name, self.root = name, folder / name.replace("/", "-")
        self.session = SESSIONS / f"{self.root.name}.sqlite"
        left_out = shutil.ignore_patterns(
            ".git", ".venv*", ".platform", "reports", "__pycache__", ".hypothesis"
        )
        shutil.copytree(ROOT, self.root, symlinks=True, ignore=left_out)
        self.module = self.root / "platform_assets" / f"{name}.py"
        self.log = self.root / "run.log"
        self.environment = {
            **os.environ, "PYTHONPATH": f"{self.root}:{WARM.parent}", "PYTHONDONTWRITEBYTECODE": "1",
        }  # fmt: skip
        self.test = [
            sys.executable, "-I", "-S", str(WARM), str(address), str(self.log), "-x", "-q", "-W", "ignore",
            "-m", "not slow", "--assert=plain", "-p", "unshrunk", "-p", "pytest_timeout", "-p", "_hypothesis_pytestplugin", *MODULES[name],
        ]  # fmt: skip
        subprocess.run(
            [sys.executable, "-m", "compileall", "-q", "platform_assets"],
            cwd=self.root, env={**self.environment, "PYTHONDONTWRITEBYTECODE": ""}, check=True,
        )  # fmt: skip
        self.told_alive = self.alive_before() if again else None
        begin = time.monotonic()
        if not self.passes(timeout=None):
            raise SystemExit(f"{name}: its tests are red as they stand:\n{self.log.read_text()[-2000:]}")
        self.timeout = 30 + 8 * (time.monotonic() - begin)

    def alive_before(self) -> list[str]:
        """The module's text with each SQL mistake that survived its last run."""
        told = self.session.with_suffix(".json")
        before = json.loads(told.read_text()) if told.is_file() else {}
        if before.get("module") != self.module.read_text():
            raise SystemExit(f"{self.name}: no finished run of the module as it is now; leave out --alive")
        return list(before["alive"])

    def passes(self, timeout: float | None) -> bool:
        """Whether the tests do not notice what the module is now; a run without end counts as noticed."""
        try:
            done = subprocess.run(
                self.test, cwd=self.root, env=self.environment, check=False, timeout=timeout
            )
        except subprocess.TimeoutExpired:
            return False
        return done.returncode == 0


def python_survivors(checkout: Checkout) -> tuple[int, list[dict[str, str]]]:
    """How many Python mutants of a module there were, and those that no test noticed."""
    config, session = checkout.root / "mutants.toml", checkout.session
    config.write_text(
        CONFIG.format(
            module=f"platform_assets/{checkout.name}.py",
            command=shlex.join(checkout.test),
            timeout=checkout.timeout,
        )
    )
    scripts = Path(sys.executable).parent

    def call(*words: str) -> str:
        done = subprocess.run(
            [str(scripts / words[0]), *words[1:]],
            cwd=checkout.root, env=checkout.environment, capture_output=True, text=True,
        )  # fmt: skip
        if done.returncode:
            raise SystemExit(f"{' '.join(words)} failed:\n{done.stderr[-2000:]}{done.stdout[-2000:]}")
        return done.stdout

    if checkout.told_alive is None:
        session.unlink(missing_ok=True)
        call("cosmic-ray", "init", str(config), str(session))
        call("cr-filter-operators", str(session), str(config))
    else:
        with closing(sqlite3.connect(session)) as database, database:
            database.execute("DELETE FROM work_results WHERE test_outcome = 'SURVIVED'")
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


def sql_survivors(checkout: Checkout) -> tuple[int, list[dict[str, str]]]:
    """The same for the mistakes in a module's SQL; the file in the copy is put back."""
    right, tried, alive, sources = checkout.module.read_text(), 0, [], []
    for mutant in sql_mutants(right):
        tried += 1
        if checkout.told_alive is not None and mutant.source not in checkout.told_alive:
            continue
        checkout.module.write_text(mutant.source)
        if checkout.passes(checkout.timeout):
            sources.append(mutant.source)
            alive.append(
                {"line": str(mutant.line), "operator": f"SQL {mutant.mistake}", "change": mutant.new_line}
            )
    checkout.module.write_text(right)
    checkout.session.with_suffix(".json").write_text(json.dumps({"module": right, "alive": sources}))
    return tried, alive


@contextmanager
def warm_server(folder: Path) -> Iterator[Path]:
    """The address of a running `warm_pytest`."""
    address = folder / "pytest.socket"
    environment = {
        **os.environ,
        "PYTHONPATH": str(WARM.parent),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # each run would look through every installed distribution
    }
    command = [sys.executable, str(WARM), "--serve", str(address)]
    with subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout
            if server.stdout.readline() != "ready\n":
                raise SystemExit("the server that runs the tests did not start")
            yield address
        finally:
            server.kill()


def is_annotation(diff: str) -> bool:
    """Whether only what no test can see changed: an annotation, an assertion, that a record is frozen."""
    silent = (" | None", "def ", " *, ", " *,", "TYPE_CHECKING", "@dataclass(frozen", "assert ")
    return any(any(each in line for each in silent) for line in diff.splitlines() if line.startswith("-"))


def changed(diff: str) -> str:
    """The new line, as the mutant has it."""
    lines = [line[1:].strip() for line in diff.splitlines() if line.startswith("+") and "+++" not in line]
    return lines[0] if lines else ""


def tried_and_alive(folder: Path, name: str, address: Path, again: bool) -> tuple[int, list[dict[str, str]]]:
    """All mutants of one module, of both kinds."""
    checkout = Checkout(folder, name, address, again)
    python, sql = python_survivors(checkout), sql_survivors(checkout)
    tried, alive = python[0] + sql[0], python[1] + sql[1]
    if tried and len(alive) == tried:
        raise SystemExit(
            f"{name}: not one of {tried} mutants was noticed: {' '.join(MODULES[name])} do not run this "
            "module; name the tests that answer for it in MODULES"
        )
    return tried, alive


def main() -> int:
    """Run, print, write the report; 1 when anything survived."""
    words = [word for word in sys.argv[1:] if word != "--alive"]
    again = len(words) < len(sys.argv[1:])
    wanted = [name for name in MODULES if not words or any(word in name for word in words)]
    SESSIONS.mkdir(parents=True, exist_ok=True)
    rows, told = [], []
    with (
        tempfile.TemporaryDirectory(prefix="platform-mutants-") as folder,
        warm_server(Path(folder)) as address,
        ThreadPoolExecutor(os.cpu_count()) as pool,
    ):
        running = {pool.submit(tried_and_alive, Path(folder), name, address, again): name for name in wanted}
        for done in as_completed(running):
            name, (tried, alive) = running[done], done.result()
            rows.append(f"| {name} | {tried} | {tried - len(alive)} | {len(alive)} |")
            told += [f"- `{name}:{m['line']}` {m['operator']}: `{m['change']}`" for m in alive]
            print(rows[-1], flush=True)
            for m in alive:
                print(f"   {name}:{m['line']} {m['operator']}: {m['change']}", flush=True)
    table = ["| module | mutants | killed | survived |", "|---|---|---|---|", *rows]
    REPORT.write_text("\n".join(["# Mutants", "", *table, "", "## Survivors", "", *told, ""]))
    return 1 if told else 0


if __name__ == "__main__":
    raise SystemExit(main())
