"""What the hindsight report costs on full-size payments, by how much came late or was corrected.

    python benchmarks/hindsight.py [--customers 5000]

Fifty-eight days of payments are trained on once (7 train, 7 wait, 7 test). Then the same home gets, one after
the other: nothing; one payment in a hundred of a train week delivered again with another amount, years later;
every payment of one train day. Features and training set are made anew each time, and the report alone is
measured in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from datetime import date, datetime
from pathlib import Path

from peak_memory import peak_mib
from process_cost import CHECKOUT

DAYS = 58
LATER = datetime.fromisoformat("2025-01-01T00:00:00")
CORRECTED_WEEK, CORRECTED_DAY = range(38, 45), range(40, 41)


def world(folder: Path):  # type: ignore[no-untyped-def]
    """The packaged product in that home."""
    from platform_assets.declaration.product import Product
    from platform_assets.declaration.repository import read_repository
    from platform_assets.declaration.yaml_reader import read_yaml
    from platform_assets.home import Home
    from platform_assets.stores import Stores

    product = read_yaml(CHECKOUT / "platform_assets/defs/card_fraud/defs.yaml", Product, inside="attributes")
    return Stores.at(Home.at(folder)), read_repository([CHECKOUT / "feature_repo"]), product


def fill(folder: Path, customers: int) -> None:
    """Raw days as they first came."""
    import pyarrow.compute as pc

    from platform_assets.raw.generator import generate
    from platform_assets.vocabulary import AVAILABLE_AT

    start = date(2018, 4, 1)
    rows = generate(customers=customers, terminals=2 * customers, days=DAYS, start=start, radius=5, seed=1)
    rows = rows.append_column(AVAILABLE_AT, rows.column("TX_DATETIME"))
    days = pc.strftime(rows.column("TX_DATETIME"), format="%Y-%m-%d")
    for day in pc.unique(days).to_pylist():
        deliver(folder, day, rows.filter(pc.equal(days, day)))


def deliver(folder: Path, day: str, rows) -> None:  # type: ignore[no-untyped-def]
    """Write a raw day and let its contract pass."""
    from platform_assets.evidence.evidence import Evidence, Verdict
    from platform_assets.raw.declared_contract import declared_contract
    from platform_assets.raw.judgement import KIND, contract_versions
    from platform_assets.vocabulary import raw_table

    stores, repository, product = world(folder)
    source = repository.source(product.source)
    made = stores.lake.table(raw_table(source.name)).write(
        day,
        rows,
        key=source.primary_key,
        code_version="1",
        inputs={"source": {day: "made"}},
        cause="benchmark",
    )
    contract = declared_contract(source, repository.contract_path(source))
    versions = contract_versions(made.digest, contract.version)
    stores.evidence.record(Evidence(KIND, made.table, Verdict.PASSED, "made", versions, partition=day))


def correct(folder: Path, days: range, share: float) -> None:
    """Deliver days again, with another amount in a share of the payments, known since 2025."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    from platform_assets.vocabulary import AVAILABLE_AT, raw_table

    stores, _, product = world(folder)
    table = stores.lake.table(raw_table(product.source))
    for day in [table.partitions()[n] for n in days]:
        rows = table.read([day])
        chosen = pa.array(np.random.default_rng(1).random(rows.num_rows) < share)
        for name, value in (
            ("TX_AMOUNT", pc.add(rows.column("TX_AMOUNT"), 1.0)),
            (AVAILABLE_AT, pa.scalar(LATER, pa.timestamp("us"))),
        ):
            changed = pc.if_else(chosen, value, rows.column(name))
            rows = rows.set_column(rows.column_names.index(name), name, changed)
        deliver(folder, day, rows)


def train(folder: Path) -> None:
    """Feature days, training set and model of what is there now."""
    from platform_assets.features.compute import build_feature_days
    from platform_assets.training.training_run import train as fit
    from platform_assets.training.training_set import build_training_set, days_read, newest_split

    stores, repository, product = world(folder)
    source = repository.source(product.source)
    split = newest_split(stores, repository, product)
    for name, days in days_read(repository, product, split).features.items():
        view = repository.feature_view(name)
        entity = repository.entity_of(view)
        build_feature_days(stores, source, entity, view, list(days), untrusted={}, cause="benchmark")
    suite = repository.contract_path(source)
    rows = build_training_set(stores, repository, product, suite_path=suite, cause="benchmark")
    fit(stores, repository, product, rows, cause="benchmark")


def report(folder: Path) -> None:
    """Measure, and print what it found and what it cost as JSON."""
    from platform_assets.hindsight.hindsight_report import hindsight_report
    from platform_assets.training.present_split import present

    stores, repository, product = world(folder)
    before, started = time.process_time(), time.perf_counter()
    rows, run = (present(stores, product, noun) for noun in ("training_set", "training_run"))
    found = hindsight_report(stores, repository, product, rows, run)
    cost = {
        "cpu": round(time.process_time() - before, 1),
        "wall": round(time.perf_counter() - started, 1),
        "peak_mib": int(peak_mib()),
    }
    print(json.dumps(cost | {"verdict": str(found.verdict), "reason": found.reason, **found.measured}))


def measured(folder: Path) -> dict[str, object]:
    """The report in a process of its own."""
    command = [sys.executable, __file__, "--report", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return found


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--customers", type=int, default=5000)
    parser.add_argument("--report", type=Path)
    options = parser.parse_args(arguments)
    os.environ["TZ"] = "UTC"
    if options.report:
        report(options.report)
        return 0
    with tempfile.TemporaryDirectory(prefix="hindsight-") as place:
        folder = Path(place) / "home"
        fill(folder, options.customers)
        print(f"{'case':<44}{'rows reached':>13}{'differ':>9}{'added':>9}{'CPU s':>8}{'wall':>7}{'MiB':>7}")
        for case, days, share in (
            ("nothing came late", range(0), 0.0),
            ("1 % of a train week corrected", CORRECTED_WEEK, 0.01),
            ("and every payment of a train day", CORRECTED_DAY, 1.0),
        ):
            correct(folder, days, share)
            train(folder)
            found = measured(folder)
            print(
                f"{case:<44}{found.get('rows_reached', 0):>13}{found['rows_differ']:>9}"
                f"{found['added']:>9.4f}{found['cpu']:>8}{found['wall']:>7}{found['peak_mib']:>7}\n"
                f"  {found['verdict']}: {found['reason']}",
                flush=True,
            )
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
