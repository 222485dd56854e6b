"""What one new day costs through the whole chain, with 60 and with 180 days of history.

    python benchmarks/new_day.py [--days 60 180] [--customers 5000]

Both homes are filled from the same made payments, one Parquet file a day, then get three more days, one
after the other and by turns; each is taken in, turned into features, trained on, decided on, scored and
monitored. Target: the median day at most 1.3 times as dear with three times the history.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys
import tempfile
from pathlib import Path

from process_cost import CHECKOUT, Cost, measured, table

RATIO_LIMIT = 1.3
NEW_DAYS = 3


def write_days(folder: Path, count: int, customers: int) -> list[Path]:
    """The generator's first days as one Parquet file each."""
    import pyarrow.parquet as pq

    from platform_assets.declaration.repository import read_repository
    from platform_assets.raw.source_reader import open_source

    source = read_repository([CHECKOUT / "feature_repo"]).source("card_transactions")
    size = {"customers": customers, "terminals": 2 * customers}
    sized = source.model_copy(update={"generator": {**source.generator, **size}})
    reader = open_source(sized, CHECKOUT / "feature_repo", {})
    folder.mkdir(parents=True)
    days = sorted(reader.days())[:count]
    for day in days:
        pq.write_table(reader.read(day), folder / f"{day}.parquet")
    return [folder / f"{day}.parquet" for day in days]


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--days", type=int, nargs=2, default=[60, 180])
    parser.add_argument("--customers", type=int, default=5000)
    options = parser.parse_args(arguments)
    os.environ.setdefault("TZ", "UTC")
    command = [sys.executable, "-m", "platform_assets", "run"]
    costs: dict[int, list[Cost]] = {}
    with tempfile.TemporaryDirectory(prefix="new-day-") as place:
        root = Path(place)
        made = write_days(root / "made", max(options.days) + NEW_DAYS, options.customers)
        for history in options.days:
            folder = root / f"source-{history}"
            folder.mkdir()
            for path in made[:history]:
                shutil.copy(path, folder)
            first = measured(f"{history} days", command, root / f"home-{history}", str(folder), quiet=True)
            print(table([first]))
            if first.return_code:
                return 1
            costs[history] = []
        for turn in range(NEW_DAYS):
            for history in options.days:
                folder = root / f"source-{history}"
                shutil.copy(made[history + turn], folder)
                name = f"day {history + turn + 1}"
                costs[history].append(
                    measured(name, command, root / f"home-{history}", str(folder), quiet=True)
                )
    every = [cost for each in costs.values() for cost in each]
    print(table(every))
    few, many = (statistics.median(cost.cpu_seconds for cost in costs[history]) for history in options.days)
    print(
        f"a new day: {few:.1f} CPU s after {options.days[0]} days, {many:.1f} after {options.days[1]}; "
        f"ratio {many / few:.2f} (at most {RATIO_LIMIT:g})"
    )
    return 0 if many <= RATIO_LIMIT * few and not any(cost.return_code for cost in every) else 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
