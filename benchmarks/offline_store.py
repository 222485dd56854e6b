"""A training set of two views and 12 features through Feast: ours, its DuckDB store, a bare ASOF join.

Payments ask for the features of their customer and their terminal at their own time; rows and features are
the project's own generator's. Each contestant runs in a process of its own, one after the other, on the same
files. Imports and opening the store are told apart from the call.

    ours           FeatureStore.get_historical_features(...).to_arrow() with our offline store
    ours_persist   the same, streamed into a Parquet file
    bare_duckdb    the ASOF joins written by hand: no TTL, no ties, no order, no check
    feast_duckdb   Feast's own DuckDB store
    dask, spark    on request: Feast's default store and its Spark store

    python benchmarks/offline_store.py [--rows 600000 1750000] [--with feast_duckdb dask spark] [--json]
    python benchmarks/offline_store.py --large

Without TTL Feast's DuckDB store takes 17 GB for 1.75 million rows, and dask more for fewer. There is no TTL
unless BENCHMARK_TTL_DAYS is set: a short one spares Feast's stores most of their work. `--large` joins 20
million rows (an Arrow table) with 20 million feature rows a view into a Parquet file, ours alone, inside
4 GiB. The exit code is 1 when a target is missed.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil
from peak_memory import peak_mib

os.environ.setdefault("TZ", "UTC")
AS_OF = "platform_assets.offline_store.as_of.AsOfOfflineStore"
VIEWS = {"customer_spending": "CUSTOMER_ID", "terminal_risk": "TERMINAL_ID"}
STORES = {"ours": AS_OF, "ours_persist": AS_OF, "feast_duckdb": "duckdb", "dask": "dask", "spark": "spark"}
IMPORTS = ("feast", "duckdb", "pandas", "pyarrow.parquet")
COPIES, LARGE_LIMIT_MB = 12, 4096
TTL_DAYS = int(os.environ.get("BENCHMARK_TTL_DAYS", "0"))  # 0: no limit, as in Feast
# of, to, which figure, at most
TARGETS = (
    ("ours", "bare_duckdb", "cpu_seconds", 1.5),
    ("ours", "feast_duckdb", "cpu_seconds", 1 / 20),
    ("ours", "feast_duckdb", "peak_mb", 1 / 5),
)


def make_data(folder: Path) -> None:
    """All payments and the rows of both views below `folder/all`, in order of time."""
    import feature_speed

    feature_speed.write_raw(folder, 183)
    feature_speed.ours(folder)
    everything = folder / "all"
    everything.mkdir()
    tables = {"rows": "raw/card_transactions", **{view: f"features/{view}" for view in VIEWS}}
    connection = feature_speed.bare_connection()
    for name, table in tables.items():
        connection.execute(
            f"COPY (SELECT * FROM '{folder}/lake/tables/{table}/current/*.parquet' ORDER BY TRANSACTION_ID)"
            f" TO '{everything}/{name}.parquet' (COMPRESSION zstd)"
        )


def cut_data(folder: Path, rows: int) -> Path:
    """The first `rows` payments and their feature rows, one file each."""
    import feature_speed

    found = folder / f"first_{rows}"
    found.mkdir()
    for name in ("rows", *VIEWS):
        columns = "TRANSACTION_ID, CUSTOMER_ID, TERMINAL_ID, TX_DATETIME AS event_timestamp"
        feature_speed.bare_connection().execute(
            f"COPY (SELECT {columns if name == 'rows' else '*'} FROM '{folder}/all/{name}.parquet'"
            f" WHERE TRANSACTION_ID < {rows} ORDER BY TRANSACTION_ID)"
            f" TO '{found}/{name}.parquet' (COMPRESSION zstd)"
        )
    return found


def copied_data(folder: Path) -> Path:
    """All payments `COPIES` times, each copy with customers and terminals of its own; one file a copy."""
    import feature_speed

    found = folder / "large"
    for name in ("rows", *VIEWS):
        (found / f"{name}.parquet").mkdir(parents=True)
        keys = ["CUSTOMER_ID", "TERMINAL_ID"] if name == "rows" else [VIEWS[name]]
        columns = "TRANSACTION_ID, CUSTOMER_ID, TERMINAL_ID, TX_DATETIME AS event_timestamp"
        for copy in range(COPIES):
            moved = ", ".join(f"{key} + {copy * 100_000} AS {key}" for key in keys)
            feature_speed.bare_connection().execute(
                f"COPY (SELECT {columns if name == 'rows' else '*'} FROM"
                f" (SELECT * REPLACE ({moved}) FROM '{folder}/all/{name}.parquet') ORDER BY TRANSACTION_ID)"
                f" TO '{found}/{name}.parquet/{copy:02d}.parquet' (COMPRESSION zstd)"
            )
    return found


def feature_names(folder: Path, view: str) -> list[str]:
    import pyarrow.dataset as ds

    schema = ds.dataset(folder / f"{view}.parquet").schema
    return [name for name in schema.names if name.startswith(VIEWS[view]) and name != VIEWS[view]]


def open_store(folder: Path, offline: str) -> Any:
    """The views as Feast declares them, over the files of `folder`."""
    import feast
    from feast.types import Float64

    store = feast.FeatureStore(
        config=feast.RepoConfig(
            project="benchmark",
            provider="local",
            registry=str(folder / f"registry_{offline.rsplit('.', 1)[-1]}.db"),
            # Feast's default is data/online.db of the current folder
            online_store={"type": "sqlite", "path": str(folder / "online.db")},
            offline_store={"type": offline},
            entity_key_serialization_version=3,
        )
    )
    objects: list[Any] = []
    for view, key in VIEWS.items():
        entity = feast.Entity(name=key, join_keys=[key], value_type=feast.ValueType.INT64)
        path = str(folder / f"{view}.parquet")
        times = {"timestamp_field": "TX_DATETIME", "created_timestamp_column": "_available_at"}
        if offline == "spark":
            from feast.infra.offline_stores.contrib.spark_offline_store.spark_source import SparkSource

            source: Any = SparkSource(name=view, path=path, file_format="parquet", **times)
        else:
            source = feast.FileSource(name=view, path=path, **times)
        schema = [feast.Field(name=name, dtype=Float64) for name in feature_names(folder, view)]
        objects += [
            entity,
            feast.FeatureView(
                name=view,
                entities=[entity],
                ttl=timedelta(days=TTL_DAYS),
                schema=schema,
                source=source,
                online=False,
            ),
        ]
    store.apply(objects)
    return store


def entity_rows(folder: Path) -> Any:
    import pyarrow.parquet as pq

    rows = pq.read_table(folder / "rows.parquet")
    # Feast copies a pandas frame, which 20 million rows have no room for
    return rows if folder.name == "large" else rows.to_pandas()


def through_feast(folder: Path, name: str) -> Callable[[], Any]:
    """The call to measure, everything before it done; it gives a table, or the file of one."""
    store = open_store(folder, STORES[name])
    rows = entity_rows(folder)
    features = [f"{view}:{feature}" for view in VIEWS for feature in feature_names(folder, view)]

    def call() -> Any:
        job = store.get_historical_features(rows, features)
        if name != "ours_persist":
            return job.to_arrow()
        from feast.infra.offline_stores.file_source import SavedDatasetFileStorage

        job.persist(SavedDatasetFileStorage(str(folder / "saved.parquet")))
        return folder / "saved.parquet"

    return call


def bare_duckdb(folder: Path, _: str) -> Callable[[], Any]:
    import duckdb

    connection = duckdb.connect(config={"memory_limit": "2GB", "preserve_insertion_order": False})
    rows = entity_rows(folder)
    connection.register("entity_rows", rows)
    features = ", ".join(name for view in VIEWS for name in feature_names(folder, view))
    joins = " ".join(
        f"ASOF LEFT JOIN '{folder}/{view}.parquet' AS {view}"
        f" ON entity_rows.{key} = {view}.{key} AND entity_rows.event_timestamp >= {view}.TX_DATETIME"
        for view, key in VIEWS.items()
    )
    query = f"SELECT entity_rows.*, {features} FROM entity_rows {joins}"
    return lambda: connection.sql(query).to_arrow_table()


def lost_and_added(folder: Path, found: Any) -> tuple[int, int, int]:
    """Rows in the result, rows asked for that it lacks, and rows that it has too many."""
    import numpy as np
    import pyarrow.parquet as pq

    asked = pq.read_table(folder / "rows.parquet", columns=["TRANSACTION_ID"])
    if isinstance(found, Path):
        found = pq.read_table(found, columns=["TRANSACTION_ID"])
    ids = [table.column("TRANSACTION_ID").to_numpy() for table in (asked, found)]
    size = 1 + max(int(some.max()) for some in ids)
    surplus = np.bincount(ids[1], minlength=size) - np.bincount(ids[0], minlength=size)
    return found.num_rows, int(-surplus[surplus < 0].sum()), int(surplus[surplus > 0].sum())


def measured(name: str, folder: Path) -> dict[str, float]:
    """Run one contestant in this process."""
    for module in IMPORTS if name != "bare_duckdb" else IMPORTS[1:]:
        importlib.import_module(module)
    call = (bare_duckdb if name == "bare_duckdb" else through_feast)(folder, name)
    before, wall = _cpu(), time.perf_counter()
    found = call()
    figure = {
        "cpu_seconds": round(_cpu() - before, 2),
        "wall_seconds": round(time.perf_counter() - wall, 2),
        "peak_mb": round(peak_mib() + _peak_of_children()),
        "before_cpu_seconds": round(before, 2),
    }
    rows, lost, added = lost_and_added(folder, found)
    return {"rows": rows, "lost": lost, "added": added, **figure}


def _cpu() -> float:
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    ended = sum(usage.ru_utime + usage.ru_stime for usage in used)
    # Spark's Java process lives on
    times = [child.cpu_times() for child in psutil.Process().children(recursive=True)]
    return ended + sum(time.user + time.system for time in times)


def _peak_of_children() -> float:
    """MiB of the processes below this one, each at its peak."""
    return sum(peak_mib(child.pid) for child in psutil.Process().children(recursive=True))


def figures(folder: Path, contestants: list[str]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for name in contestants:
        command = [sys.executable, __file__, "--child", name, "--folder", str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            found[name] = json.loads(done.stdout.splitlines()[-1])
        else:
            found[name] = {"failed": (done.stderr.strip().splitlines() or [f"exit {done.returncode}"])[-1]}
    return found


def verdicts(found: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    told = []
    for of, to, what, at_most in TARGETS:
        if "failed" in found.get(of, {"failed": 1}) or "failed" in found.get(to, {"failed": 1}):
            continue
        ratio = found[of][what] / found[to][what]
        told.append({"of": of, "to": to, "what": what, "ratio": round(ratio, 3), "at_most": at_most})
    return told


def told(size: dict[str, Any]) -> str:
    lines = [f"{size['rows']:,} rows, two views, 12 features", ""]
    lines.append(
        f"{'':14}{'rows out':>12}{'lost':>7}{'added':>7}"
        f"{'CPU s':>8}{'wall s':>8}{'peak MB':>9}{'before: CPU s':>15}"
    )
    for name, figure in size["figures"].items():
        if "failed" in figure:
            lines.append(f"{name:14}failed: {figure['failed'][:90]}")
            continue
        lines.append(
            f"{name:14}{figure['rows']:12,}{figure['lost']:7,}{figure['added']:7,}"
            f"{figure['cpu_seconds']:8.2f}{figure['wall_seconds']:8.2f}"
            f"{figure['peak_mb']:9.0f}{figure['before_cpu_seconds']:15.2f}"
        )
    for ratio in size["ratios"]:
        verdict = "holds" if ratio["ratio"] <= ratio["at_most"] else "MISSED"
        lines.append(
            f"{ratio['of']} / {ratio['to']}, {ratio['what']}: {ratio['ratio']},"
            f" at most {ratio['at_most']:.3g}: {verdict}"
        )
    return "\n".join(lines)


def benchmark(options: argparse.Namespace) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory(prefix="offline-store-") as name:
        folder = Path(name)
        # a child inherits the peak memory of its parent, so that data are made elsewhere
        _elsewhere("make", folder)
        sizes = []
        for rows in [0] if options.large else sorted(options.rows):
            part = Path(_elsewhere("large" if options.large else f"cut {rows}", folder))
            contestants = ["ours_persist"] if options.large else ["ours", "ours_persist", "bare_duckdb"]
            found = figures(part, [*contestants, *options.contestants])
            counted = next(figure["rows"] for figure in found.values() if "rows" in figure)
            sizes.append({"rows": rows or counted, "figures": found, "ratios": verdicts(found)})
        return sizes


def _elsewhere(what: str, folder: Path) -> str:
    command = [sys.executable, __file__, "--make", what, "--folder", str(folder)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout.splitlines()[-1]


def made(what: str, folder: Path) -> Path:
    if what == "make":
        make_data(folder)
        return folder
    return copied_data(folder) if what == "large" else cut_data(folder, int(what.split()[1]))


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[600_000, 1_750_000])
    parser.add_argument("--with", nargs="*", dest="contestants", choices=list(STORES), default=[])
    parser.add_argument("--large", action="store_true", help="20 million rows, ours alone")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--child", choices=[*STORES, "bare_duckdb"], help=argparse.SUPPRESS)
    parser.add_argument("--make", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(measured(options.child, options.folder)))
        return 0
    if options.make:
        print(made(options.make, options.folder))
        return 0
    sizes = benchmark(options)
    print(json.dumps(sizes, indent=1) if options.json else "\n\n".join(told(size) for size in sizes))
    missed = any(ratio["ratio"] > ratio["at_most"] for size in sizes for ratio in size["ratios"])
    heavy = options.large and sizes[0]["figures"]["ours_persist"].get("peak_mb", 1e9) > LARGE_LIMIT_MB
    return int(missed or heavy)


if __name__ == "__main__":
    sys.exit(main())
