"""Writing each entity's newest row to SQLite and Redis: ours beside `feast materialize`, from the same file.

Each side runs in a process of its own, one after the other, into an empty store, and is measured after its
imports: CPU and wall seconds from the Parquet file to the last row written, peak memory of the process. Both
write Feast's layout; a sample is read back through Feast and compared. Six features: counts and means,
one row an entity. Redis runs in a process of its own, whose CPU is told apart.

    python benchmarks/online_write.py [--entities 200000] [--json]

The exit code is 1 when a target is missed.
"""

from __future__ import annotations

import argparse
import json
import resource
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from peak_memory import peak_mib

CHECKOUT = Path(__file__).resolve().parents[1]
SIDES = ("feast_sqlite", "ours_sqlite", "feast_redis", "ours_redis")
TARGET = 3.0
UNTIL = date(2024, 3, 2)
COUNTS, MEANS = ("count_1d", "count_7d", "count_30d"), ("mean_1d", "mean_7d", "mean_30d")
CHECKED = 50


def write_rows(file: Path, entities: int) -> None:
    """One feature row an entity, as a day of the lake holds them."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    random = np.random.default_rng(0)
    moments = np.datetime64("2024-03-01T00:00:00", "us") + random.integers(0, 86_400_000_000, entities)
    columns: dict[str, Any] = {
        "customer_id": random.permutation(entities).astype(np.int64),
        "paid_at": moments,
        "_available_at": moments,
    }
    columns |= {name: random.integers(0, 300, entities) for name in COUNTS}
    columns |= {name: random.integers(0, 10**6, entities) / 100 for name in MEANS}
    pq.write_table(pa.table(columns), file, compression="snappy")


def declared() -> tuple[Any, Any]:
    """The source and the view that the rows are of."""
    from platform_assets.declaration.feature_view import FeatureView
    from platform_assets.declaration.source import Source

    columns = [("customer_id", "int64"), ("paid_at", "timestamp"), ("amount", "float64")]
    source = Source.model_validate(
        {
            "name": "payments",
            "owners": ["team:benchmark"],
            "location": "payments",
            "start": "2024-03-01",
            "columns": [{"name": name, "type": kind} for name, kind in columns],
            "primary_key": ["customer_id"],
            "event_timestamp": "paid_at",
            "contract": "none.json",
        }
    )
    features = [{"name": name, "function": "count", "window": name[6:]} for name in COUNTS]
    features += [{"name": n, "function": "mean", "column": "amount", "window": n[5:]} for n in MEANS]
    view = {"name": "spending", "owners": ["team:benchmark"], "source": "payments", "entity": "customer"}
    return source, FeatureView.model_validate({**view, "features": features})


def feast_store(file: Path, folder: Path, url: str, database: Path | None = None) -> Any:
    """A plain Feast store over the file, registered; its SQLite file lies in the folder unless told."""
    import feast
    from feast.types import Float64, Int64

    online = {"type": "sqlite", "path": str(database or folder / "online.db")}
    if url:
        online = {"type": "redis", "connection_string": url.removeprefix("redis://").split("/")[0]}
    store = feast.FeatureStore(
        config=feast.RepoConfig(
            project="platform_assets",
            provider="local",
            registry=str(folder / "registry.pb"),
            online_store=online,
            offline_store={"type": "file"},
            entity_key_serialization_version=3,
        )
    )
    customer = feast.Entity(name="customer", join_keys=["customer_id"], value_type=feast.ValueType.INT64)
    fields = [feast.Field(name=name, dtype=Int64) for name in ("customer_id", *COUNTS)]
    fields += [feast.Field(name=name, dtype=Float64) for name in MEANS]
    source = feast.FileSource(
        path=str(file), timestamp_field="paid_at", created_timestamp_column="_available_at"
    )
    view = feast.FeatureView(
        name="spending", entities=[customer], schema=fields, source=source, ttl=timedelta(days=1)
    )
    store.apply([customer, view])
    return store


def by_feast(store: Any) -> None:
    """What a Feast user does."""
    end = datetime(UNTIL.year, UNTIL.month, UNTIL.day, tzinfo=UTC) - timedelta(microseconds=1)
    store.materialize(end - timedelta(days=1), end, ["spending"])


def ours(file: Path, folder: Path, url: str) -> None:
    """What a fill does for Feast's own clients."""
    from platform_assets.home import Home
    from platform_assets.online.backend_choice import open_backend
    from platform_assets.online.latest_rows import latest_rows, newest_rows

    source, view = declared()
    backend = open_backend(Home.at(folder, url))
    newest = newest_rows([str(file)], source, view, ("customer_id",), UNTIL)
    backend.replace("spending", latest_rows(newest, source, view, ("customer_id",), backend))


def one_side(side: str, file: Path, folder: Path, url: str) -> dict[str, float]:
    """Run in a process of its own: what one side took, after imports and registration."""
    store = feast_store(file, folder, url) if side.startswith("feast") else None
    if store is None:
        import duckdb  # noqa: F401
        import mmh3  # noqa: F401
        import pyarrow.parquet  # noqa: F401
        import redis  # noqa: F401

        import platform_assets.online.latest_rows  # noqa: F401
    started, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
    by_feast(store) if store is not None else ours(file, folder, url)
    after = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "cpu_seconds": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        "wall_seconds": time.perf_counter() - started,
        "peak_mib": peak_mib(),
    }


def read_back(file: Path, folder: Path, url: str, entities: int) -> list[Any]:
    """A sample through Feast's own API."""
    (folder / "reading").mkdir()
    store = feast_store(file, folder / "reading", url, folder / "feast" / "online.db")
    names = [f"spending:{name}" for name in (*COUNTS, *MEANS)]
    keys = [{"customer_id": n * entities // CHECKED} for n in range(CHECKED)]
    found = store.get_online_features(names, keys).to_dict()
    return [found[name] for name in (*COUNTS, *MEANS)]


@contextmanager
def redis_server(folder: Path) -> Iterator[tuple[str, Any]]:
    """A server of our own on a free port."""
    import psutil
    import redis

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL) as server:
        try:
            retry = redis.retry.Retry(redis.backoff.ConstantBackoff(0.1), 100)
            redis.Redis(port=port, retry=retry, retry_on_error=[redis.ConnectionError]).ping()
            yield f"redis://127.0.0.1:{port}/0", psutil.Process(server.pid)
        finally:
            server.terminate()


def child(side: str, file: Path, folder: Path, url: str) -> dict[str, float]:
    folder.mkdir()
    words = [
        sys.executable,
        __file__,
        "--side",
        side,
        "--file",
        str(file),
        "--folder",
        str(folder),
        "--url",
        url,
    ]
    done = subprocess.run(words, check=True, capture_output=True, text=True, cwd=CHECKOUT)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def compare(entities: int) -> tuple[dict[str, dict[str, float]], bool]:
    """Every side's figures, and whether ours were read back as Feast's were."""
    with tempfile.TemporaryDirectory(prefix="online-write-") as name:
        folder = Path(name)
        file = folder / "rows.parquet"
        write_rows(file, entities)
        found, samples = {}, {}
        for side in SIDES:
            if side.endswith("sqlite"):
                found[side] = child(side, file, folder / side, "")
                continue
            (folder / f"server_{side}").mkdir()
            with redis_server(folder / f"server_{side}") as (url, server):
                found[side] = child(side, file, folder / side, url)
                used = server.cpu_times()
                found[side]["server_cpu_seconds"] = used.user + used.system
                samples[side] = read_back(file, folder / side, url, entities)
        samples["ours_sqlite"] = read_back(file, folder / "ours_sqlite", "", entities)
        equal = samples["ours_sqlite"] == samples["ours_redis"] == samples["feast_redis"]
        return found, equal and None not in samples["ours_sqlite"][0]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entities", type=int, default=200_000)
    parser.add_argument("--json", action="store_true")
    for name in ("side", "file", "folder", "url"):
        parser.add_argument(f"--{name}", default="", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.side:
        print(json.dumps(one_side(given.side, Path(given.file), Path(given.folder), given.url)))
        return 0
    found, equal = compare(given.entities)
    ratios = {
        f"{kind} {measure}": found[f"feast_{kind}"][measure] / found[f"ours_{kind}"][measure]
        for kind in ("sqlite", "redis")
        for measure in ("cpu_seconds", "wall_seconds")
    }
    if given.json:
        print(json.dumps({"entities": given.entities, "sides": found, "ratios": ratios, "equal": equal}))
    else:
        print(f"{given.entities:,} entities, 6 features; read back equal: {equal}")
        for side, figures in found.items():
            print(f"{side:14}" + "".join(f"{name:>20} {value:9.2f}" for name, value in figures.items()))
        for name, ratio in ratios.items():
            print(f"{name:20}{ratio:6.1f} times faster (target {TARGET:g})")
    return 0 if equal and all(ratio >= TARGET for ratio in ratios.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
