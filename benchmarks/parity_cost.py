"""What parity costs beside reading the store once: the whole store read, and the whole store compared.

    python benchmarks/parity_cost.py [--rows 1200000] [--days 40]

One home with scaled payments, both views filled. Each side runs in a fresh process: `read` decodes every
row of the store, `parity` does that and compares every entity and feature at both moments. Costs are those
after the imports, which both have in common. Target: parity on top costs at most the reading once more.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from peak_memory import peak_mib

VIEWS = ("customer_spending", "terminal_risk")
CHECKOUT = Path(__file__).resolve().parents[1]


def prepare(folder: Path, rows: int, days: int) -> None:
    """Raw days, the newest feature day, and the filled stores."""
    from scaled_payments import write_payments

    from platform_assets.declaration.repository import read_repository
    from platform_assets.features.compute import build_feature_days
    from platform_assets.home import Home
    from platform_assets.online.online_store import fill_online
    from platform_assets.stores import Stores
    from platform_assets.vocabulary import raw_table

    write_payments(folder, rows, days)
    stores, repository = Stores.at(Home.at(folder)), read_repository([CHECKOUT / "feature_repo"])
    newest = stores.lake.table(raw_table("card_transactions")).partitions()[-1]
    for name in VIEWS:
        view = repository.feature_view(name)
        source, entity = repository.source(view.source), repository.entity_of(view)
        build_feature_days(stores, source, entity, view, [newest], untrusted={}, cause="benchmark")
        fill_online(stores, repository, view, cause="benchmark")


def side(folder: Path, name: str) -> dict[str, Any]:
    """One side in this process: CPU and wall seconds after imports, peak memory of the process."""
    import time

    import duckdb  # noqa: F401 - imports are paid before the clock starts
    import numpy  # noqa: F401
    import pyarrow.parquet  # noqa: F401

    from platform_assets.declaration.repository import read_repository
    from platform_assets.home import Home
    from platform_assets.online.whole_state import read_all_events
    from platform_assets.parity.causes import diagnose
    from platform_assets.parity.view_measurement import measure_view
    from platform_assets.stores import Stores

    stores, repository = Stores.at(Home.at(folder)), read_repository([CHECKOUT / "feature_repo"])
    entities = events = differing = 0
    wall, cpu = time.perf_counter(), time.process_time()
    for view in (repository.feature_view(view) for view in VIEWS):
        if name == "read":
            state = read_all_events(stores, repository, view)
            entities, events = entities + len(state.entities), events + int(state.offsets[-1])
            continue
        found = measure_view(stores, repository, view)
        diagnose(stores, repository, found)
        entities, events = entities + len(found.entities), events + int(found.stored.starts[-1])
        differing += int(found.differing.sum())
    return {
        "side": name,
        "entities": entities,
        "events": events,
        "differing": differing,
        "cpu": time.process_time() - cpu,
        "wall": time.perf_counter() - wall,
        "peak_mib": peak_mib(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_200_000)
    parser.add_argument("--days", type=int, default=40)
    parser.add_argument("--side", nargs=2, metavar=("FOLDER", "NAME"), help="run one side only")
    options = parser.parse_args()
    if options.side:
        print(json.dumps(side(Path(options.side[0]), options.side[1])))
        return
    with tempfile.TemporaryDirectory(prefix="parity-cost-") as folder:
        prepare(Path(folder), options.rows, options.days)
        found = {}
        for name in ("read", "parity"):
            command = [sys.executable, __file__, "--side", folder, name]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            found[name] = json.loads(done.stdout)
    print(f"{'side':8}{'entities':>10}{'events':>12}{'CPU s':>8}{'wall s':>8}{'peak MiB':>10}{'differ':>8}")
    for each in found.values():
        print(
            f"{each['side']:8}{each['entities']:>10,}{each['events']:>12,}{each['cpu']:8.2f}"
            f"{each['wall']:8.2f}{each['peak_mib']:10.0f}{each['differing']:8}"
        )
    on_top = found["parity"]["cpu"] - found["read"]["cpu"]
    print(f"parity on top of reading, CPU: {on_top / found['read']['cpu']:.2f} of the reading (target 1)")


if __name__ == "__main__":
    main()
