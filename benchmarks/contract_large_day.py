"""The contract of card transactions on one day of 10 million rows, beside Great Expectations on pandas.

The day is made by DuckDB as Parquet; each side judges it in a process of its own. Required: less than
1 GiB for the 10 million rows, with every expectation answered. Pandas is shown at 1 million rows.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from peak_memory import peak_mib

LIMIT_MIB = 1024
CHECKOUT = Path(__file__).resolve().parents[1]


def make_day(path: Path, rows: int) -> None:
    """A day of payments with the columns that the source declares, in the order of their numbers."""
    import duckdb

    with duckdb.connect(config={"memory_limit": "500MB", "preserve_insertion_order": True}) as database:
        database.execute(
            f"""
            copy (
                select n::bigint as TRANSACTION_ID,
                       timestamp '2018-04-01' + to_microseconds((n * 86400000000 // {rows})::bigint)
                           as TX_DATETIME,
                       (hash(n) % 500000)::bigint as CUSTOMER_ID,
                       (hash(n + 1) % 1000000)::bigint as TERMINAL_ID,
                       (hash(n + 2) % 10700)::double / 100 as TX_AMOUNT,
                       n * 86400 // {rows} as TX_TIME_SECONDS,
                       0::bigint as TX_TIME_DAYS,
                       (hash(n + 3) % 120 = 0)::bigint as TX_FRAUD,
                       (hash(n + 3) % 120 = 0)::bigint * (1 + hash(n) % 3)::bigint as TX_FRAUD_SCENARIO
                from range({rows}) as numbers(n)
            ) to '{path}' (format parquet, row_group_size 1000000)
            """
        )


def judge(path: Path, how: str) -> None:
    """Judge one file, as the child does, and print what came of it and what it cost."""
    import pyarrow.parquet as pq

    from platform_assets.declaration.repository import read_repository
    from platform_assets.raw.declared_contract import declared_contract
    from platform_assets.raw.expectation_run import ExpectationRun
    from platform_assets.raw.large_day import LargeDay

    repository = read_repository([CHECKOUT / "feature_repo"])
    source = repository.source("card_transactions")
    started = time.perf_counter()
    run = ExpectationRun(
        source, declared_contract(source, repository.contract_path(source)).suite.expectations
    )
    if how == "pieces":
        findings = LargeDay(run, path).findings()
    else:
        findings = run.findings({"day": pq.read_table(path)})["day"]
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(
        json.dumps(
            {
                "verdicts": [f"{f.name} {f.verdict} {f.failing}" for f in findings],
                "cpu": used.ru_utime + used.ru_stime,
                "wall": time.perf_counter() - started,
                "mib": peak_mib(),
            }
        )
    )


def main() -> None:
    """Print each side; exit 1 when the limit is passed, or the sides disagree."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--rows-pandas", type=int, default=1_000_000)
    parser.add_argument("--judge", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--how", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.judge:
        judge(chosen.judge, chosen.how)
        return
    with tempfile.TemporaryDirectory() as folder:
        sides = {}
        for rows, ways in ((chosen.rows_pandas, ("pandas", "pieces")), (chosen.rows, ("pieces",))):
            path = Path(folder) / f"{rows}.parquet"
            make_day(path, rows)
            for how in ways:
                sides[how, rows] = _child(path, how, rows)
    small = [sides[how, chosen.rows_pandas]["verdicts"] for how in ("pandas", "pieces")]
    if small[0] != small[1]:
        raise SystemExit(f"the two disagree: {sorted(set(small[0]) ^ set(small[1]))}")
    large = sides["pieces", chosen.rows]
    if any("UNKNOWN" in verdict for verdict in large["verdicts"]):
        raise SystemExit(f"not everything was answered: {large['verdicts']}")
    if large["mib"] > LIMIT_MIB:
        raise SystemExit(f"{large['mib']:.0f} MiB are more than {LIMIT_MIB}")


def _child(path: Path, how: str, rows: int) -> dict[str, object]:
    command = [sys.executable, __file__, "--judge", str(path), "--how", how]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{how} failed on {rows} rows:\n{done.stderr}")
    found: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    print(
        f"{how:>7} {rows:>11,} rows: {found['cpu']:6.1f} CPU s {found['wall']:6.1f} s "
        f"{found['mib']:6.0f} MiB, {len(found['verdicts'])} expectations"  # type: ignore[arg-type]
    )
    return found


if __name__ == "__main__":
    main()
