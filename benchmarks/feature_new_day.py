"""One more feature day after 60 and after 180 days of history: what it costs must not grow.

    python benchmarks/feature_new_day.py [--days 60 180] [--rows-a-day 50000]

Both lakes hold the same made payments; every feature day but the last three is built outside the
measurement. Then one process builds those three, one by one, in all three views. Target: the median day at
most 1.3 times as dear with three times the history.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from feature_scale import CHECKOUT, IMPORTS

RATIO_LIMIT = 1.3
NEW_DAYS = 3


def build(folder: Path, newest: int | None) -> list[float]:
    """CPU seconds of each day built: the newest ones one by one, or all but those at once."""
    for module in IMPORTS:
        importlib.import_module(module)
    from platform_assets.declaration.repository import read_repository
    from platform_assets.features.compute import build_feature_days
    from platform_assets.home import Home
    from platform_assets.stores import Stores
    from platform_assets.vocabulary import raw_table

    repository, stores = read_repository([CHECKOUT / "feature_repo"]), Stores.at(Home.at(folder))
    days = stores.lake.table(raw_table("card_transactions")).partitions()
    parts = [days[:-NEW_DAYS]] if newest is None else [[day] for day in days[-newest:]]
    used: list[float] = []
    for part in parts:
        began = time.process_time()
        for view in repository.feature_views.values():
            source, entity = repository.source(view.source), repository.entity_of(view)
            build_feature_days(stores, source, entity, view, part, untrusted={}, cause="benchmark")
        used.append(round(time.process_time() - began, 3))
    return used


def measured(history: int, rows_a_day: int) -> list[float]:
    """CPU seconds of the three newest days after so many days."""
    count = history + NEW_DAYS
    with tempfile.TemporaryDirectory(prefix="feature-new-day-") as folder:
        maker = [sys.executable, str(Path(__file__).with_name("scaled_payments.py")), folder]
        subprocess.run(
            [*maker, str(rows_a_day * count), "--days", str(count)], check=True, stdout=subprocess.PIPE
        )
        builder = [sys.executable, __file__, "--child", folder]
        subprocess.run(builder, check=True, stdout=subprocess.PIPE)
        answer = subprocess.run([*builder, "--newest", str(NEW_DAYS)], check=True, stdout=subprocess.PIPE)
        return json.loads(answer.stdout)  # type: ignore[no-any-return]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--days", type=int, nargs=2, default=[60, 180])
    parser.add_argument("--rows-a-day", type=int, default=50_000)
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--newest", type=int, help=argparse.SUPPRESS)
    options: Any = parser.parse_args()
    os.environ.setdefault("TZ", "UTC")
    if options.child:
        print(json.dumps(build(options.child, options.newest)))
        return 0
    few, many = (measured(history, options.rows_a_day) for history in options.days)
    for history, costs in zip(options.days, (few, many), strict=True):
        told = ", ".join(f"{cost:.2f}" for cost in costs)
        print(f"after {history:3} days of {options.rows_a_day:,} rows: one more day takes {told} CPU s")
    ratio = statistics.median(many) / statistics.median(few)
    print(f"ratio {ratio:.2f}, at most {RATIO_LIMIT:g}: {'holds' if ratio <= RATIO_LIMIT else 'MISSED'}")
    return 0 if ratio <= RATIO_LIMIT else 1


if __name__ == "__main__":
    raise SystemExit(main())
