"""Feature days of 1.75, 5 and 20 million payments: what grows with the rows, and how fast.

    python benchmarks/feature_scale.py [--rows 1.75e6 5e6 20e6] [--days 183] [--memory 8] [--json]
    make bench-100m

For each size a lake of raw days is written to a temporary folder by a process of its own, outside the
measurement; then one process builds every day of the three feature views (14 features) in it. Printed are
CPU and wall seconds, peak memory, GiB written, and the exponent b of CPU = a * rows^b by least squares
on logarithms. The exit code is 1 when b is above 1.15 or a process used more memory than `--memory` GiB.
"""

from __future__ import annotations

import argparse
import importlib
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from peak_memory import peak_mib

CHECKOUT = Path(__file__).resolve().parents[1]
EXPONENT_LIMIT = 1.15
IMPORTS = ("duckdb", "numpy", "pyarrow.parquet", "pyarrow.compute", "pydantic", "yaml")


def build(folder: Path, memory: int | None = None) -> dict[str, float]:
    """Every feature day of the lake below `folder`, in this process, measured after the imports."""
    for module in IMPORTS:
        importlib.import_module(module)
    from platform_assets.declaration.repository import read_repository
    from platform_assets.features.compute import build_feature_days
    from platform_assets.home import Home
    from platform_assets.stores import Stores
    from platform_assets.vocabulary import raw_table

    repository, stores = read_repository([CHECKOUT / "feature_repo"]), Stores.at(Home.at(folder))
    days = stores.lake.table(raw_table("card_transactions")).partitions()
    used, began, rows, written = time.process_time(), time.perf_counter(), 0, 0
    for view in repository.feature_views.values():
        source, entity = repository.source(view.source), repository.entity_of(view)
        manifests = build_feature_days(
            stores, source, entity, view, days, untrusted={}, cause="benchmark", memory=memory
        )
        rows = sum(manifest.rows for manifest in manifests)
        written += sum(manifest.size_bytes for manifest in manifests)
    return {
        "rows": rows,
        "cpu_seconds": round(time.process_time() - used, 2),
        "wall_seconds": round(time.perf_counter() - began, 2),
        "peak_mb": round(peak_mib()),
        "written_gib": round(written / 2**30, 2),
    }


def measured(rows: int, days: int, chunk: str) -> dict[str, float]:
    """One size: a lake made, built and removed, each in a process of its own."""
    with tempfile.TemporaryDirectory(prefix="feature-scale-") as folder:
        maker = [sys.executable, str(Path(__file__).with_name("scaled_payments.py"))]
        subprocess.run(
            [*maker, folder, str(rows), "--days", str(days)], check=True, stdout=subprocess.DEVNULL
        )
        command = [sys.executable, __file__, "--child", folder, "--chunk", chunk]
        answer: dict[str, float] = json.loads(
            subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
        )
        return answer


def exponent(sizes: list[dict[str, float]]) -> float:
    """b of CPU = a * rows^b, by least squares on logarithms."""
    points = [(math.log(size["rows"]), math.log(size["cpu_seconds"])) for size in sizes]
    mean_x, mean_y = (sum(column) / len(points) for column in zip(*points, strict=True))
    above = sum((x - mean_x) * (y - mean_y) for x, y in points)
    return above / sum((x - mean_x) ** 2 for x, _ in points)


def told(sizes: list[dict[str, float]]) -> str:
    lines = [f"{'rows':>12}{'CPU s':>9}{'wall s':>9}{'peak MB':>9}{'GiB':>7}{'CPU us/row':>12}"]
    lines += [
        f"{size['rows']:12,.0f}{size['cpu_seconds']:9.1f}{size['wall_seconds']:9.1f}{size['peak_mb']:9.0f}"
        f"{size['written_gib']:7.2f}{1e6 * size['cpu_seconds'] / size['rows']:12.2f}"
        for size in sizes
    ]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=float, nargs="+", default=[1.75e6, 5e6, 20e6])
    parser.add_argument("--days", type=int, default=183)
    parser.add_argument("--memory", type=float, default=8, help="GiB that a process may use at most")
    parser.add_argument("--chunk", default="0", help="GiB of a chunk of days; 0: as the library does")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    options: Any = parser.parse_args()
    os.environ.setdefault("TZ", "UTC")
    if options.child:
        print(json.dumps(build(options.child, int(2**30 * float(options.chunk)) or None)))
        return 0
    sizes = [measured(int(rows), options.days, options.chunk) for rows in sorted(options.rows)]
    grown = exponent(sizes) if len(sizes) > 1 else None
    small = all(size["peak_mb"] <= 1024 * options.memory for size in sizes)
    holds = small and (grown is None or grown <= EXPONENT_LIMIT)
    if options.json:
        print(json.dumps({"sizes": sizes, "exponent": grown, "holds": holds}, indent=1))
    else:
        print(told(sizes))
        if grown is not None:
            print(f"CPU grows with rows^{grown:.2f}, at most {EXPONENT_LIMIT}")
        print(f"peak memory at most {options.memory:g} GiB: {'holds' if small else 'MISSED'}")
    return 0 if holds else 1


if __name__ == "__main__":
    raise SystemExit(main())
