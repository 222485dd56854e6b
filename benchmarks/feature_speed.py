"""Three feature views over 1.75 million payments: ours, a bare DuckDB query, careful pandas.

Each runs in a process of its own, one after the other, on the same raw files, and is measured after
its imports: CPU seconds of the process and its children, wall seconds, peak memory of the process.

    ours          compute, split into days, digest, write every day of the lake
    bare_duckdb   the windows written by hand, one Parquet file a view
    pandas        `rolling` on a time index, one Parquet file a view
    ours_query, bare_query   the features alone, into Arrow, nothing written
    bare_prefix_sums         the same by hand in numpy: sort, binary search, prefix sums of whole cents

    python benchmarks/feature_speed.py [--days 183] [--json]

The exit code is 1 when a target is missed; on a machine with other work figures move by a tenth.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

from peak_memory import peak_mib

CHECKOUT = Path(__file__).resolve().parents[1]
START = date(2018, 4, 1)
FULL_SIZE = {"customers": 5000, "terminals": 10_000, "radius": 5, "seed": 0}
TARGETS = (
    ("ours", "bare_duckdb", 1.5),
    ("ours", "pandas", 0.5),
    ("ours_query", "bare_query", 1.5),
    ("ours_query", "bare_prefix_sums", 2.0),
)
WIDTHS = (1, 7, 30)


def write_raw(folder: Path, days: int) -> int:
    """The raw days as a lake below `folder`; returns the rows."""
    from platform_assets.features.compute import daily
    from platform_assets.home import Home
    from platform_assets.raw.generator import generate
    from platform_assets.stores import Stores
    from platform_assets.vocabulary import AVAILABLE_AT, raw_table

    rows = generate(days=days, start=START, **FULL_SIZE)
    rows = rows.append_column(AVAILABLE_AT, rows.column("TX_DATETIME"))
    names = [date.fromordinal(START.toordinal() + n).isoformat() for n in range(days)]
    raw = Stores.at(Home.at(folder)).lake.table(raw_table("card_transactions"))
    for day, part in daily(rows, "TX_DATETIME", names):
        raw.write(day, part, key=["TRANSACTION_ID"], code_version="1", inputs={}, cause="benchmark")
    return int(rows.num_rows)


def raw_files(folder: Path) -> list[str]:
    return sorted(
        str(path) for path in (folder / "lake/tables/raw/card_transactions/current").glob("*.parquet")
    )


def ours(folder: Path) -> None:
    from platform_assets.declaration.repository import read_repository
    from platform_assets.features.compute import build_feature_days
    from platform_assets.home import Home
    from platform_assets.stores import Stores

    repository, stores = read_repository([CHECKOUT / "feature_repo"]), Stores.at(Home.at(folder))
    days = [Path(path).stem for path in raw_files(folder)]
    for view in repository.feature_views.values():
        source, entity = repository.source(view.source), repository.entity_of(view)
        build_feature_days(stores, source, entity, view, days, untrusted={}, cause="benchmark")


def ours_query(folder: Path) -> None:
    from platform_assets.declaration.repository import read_repository
    from platform_assets.features.compute import compute_features

    repository = read_repository([CHECKOUT / "feature_repo"])
    files = raw_files(folder)
    for view in repository.feature_views.values():
        source, entity = repository.source(view.source), repository.entity_of(view)
        compute_features(source, entity, view, files, [Path(path).stem for path in files])


def bare_queries(folder: Path) -> Iterator[tuple[str, str]]:
    """The three views as one would write them by hand: averages of doubles over time intervals."""
    raw = f"read_parquet({raw_files(folder)!r})"

    def windows(key: str, prefix: str, delay: int) -> str:
        frames = (
            f"{prefix}{w} AS (PARTITION BY {key} ORDER BY TX_DATETIME RANGE BETWEEN"
            f" to_microseconds({(w + delay) * 86_400_000_000 - 1}) PRECEDING AND"
            f" {f'INTERVAL {delay} DAY PRECEDING' if delay else 'CURRENT ROW'})"
            for w in WIDTHS
        )
        return "WINDOW " + ", ".join(frames)

    def columns(prefix: str, entity: str, what: str, value: str) -> str:
        return ", ".join(
            f"count(*) OVER {prefix}{w} AS {entity}_ID_NB_TX_{w}DAY_WINDOW,"
            f" coalesce(avg({value}) OVER {prefix}{w}, 0) AS {entity}_ID_{what}_{w}DAY_WINDOW"
            for w in WIDTHS
        )

    yield (
        "customer",
        (
            "SELECT TRANSACTION_ID, CUSTOMER_ID, TX_DATETIME, "
            f"{columns('c', 'CUSTOMER', 'AVG_AMOUNT', 'TX_AMOUNT')}"
            f" FROM {raw} {windows('CUSTOMER_ID', 'c', 0)}"
        ),
    )
    yield (
        "terminal",
        (
            f"SELECT TRANSACTION_ID, TERMINAL_ID, TX_DATETIME, {columns('t', 'TERMINAL', 'RISK', 'TX_FRAUD')}"
            f" FROM {raw} {windows('TERMINAL_ID', 't', 7)}"
        ),
    )
    yield (
        "calendar",
        (
            "SELECT TRANSACTION_ID, TX_DATETIME, (isodow(TX_DATETIME) >= 6)::BIGINT AS TX_DURING_WEEKEND,"
            f" (hour(TX_DATETIME) <= 6)::BIGINT AS TX_DURING_NIGHT FROM {raw}"
        ),
    )


def bare_connection() -> Any:
    import duckdb

    return duckdb.connect(config={"memory_limit": "2GB", "preserve_insertion_order": False})


def bare_duckdb(folder: Path) -> None:
    connection = bare_connection()
    for name, query in bare_queries(folder):
        connection.execute(f"COPY ({query}) TO '{folder}/bare_{name}.parquet' (COMPRESSION zstd)")


def bare_query(folder: Path) -> None:
    connection = bare_connection()
    for _, query in bare_queries(folder):
        connection.sql(query).to_arrow_table()


def bare_prefix_sums(folder: Path) -> None:
    """The three views in numpy as one would write them by hand for these columns and no others."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    kept = ["TRANSACTION_ID", "CUSTOMER_ID", "TERMINAL_ID", "TX_DATETIME", "_available_at"]
    day = 86_400_000_000

    def read(columns: list[str]) -> pa.Table:
        return pa.concat_tables([pq.read_table(path, columns=columns) for path in raw_files(folder)])

    def view(key: str, column: str, unit: int, delay: int) -> pa.Table:
        raw = read([kept[0], key, *kept[3:], column])
        who, when = raw.column(key).to_numpy(), raw.column("TX_DATETIME").cast(pa.int64()).to_numpy()
        values = np.rint(raw.column(column).to_numpy() * unit).astype(np.int64)
        line = who * (when.max() - when.min() + (max(WIDTHS) + delay) * day + 1) + (when - when.min())
        order = np.argsort(line)
        line = line[order]
        sums = np.concatenate([[0], np.cumsum(values[order])])
        end = np.searchsorted(line, line - delay * day, side="right")
        found = raw.drop_columns([column])
        for width in WIDTHS:
            begin = np.searchsorted(line, line - (delay + width) * day, side="right")
            count, mean = np.empty(len(line), np.int64), np.empty(len(line))
            count[order] = end - begin
            mean[order] = (sums[end] - sums[begin]) / np.maximum((end - begin) * unit, 1)
            found = found.append_column(f"n{width}", pa.array(count)).append_column(
                f"m{width}", pa.array(mean)
            )
        return found

    view("CUSTOMER_ID", "TX_AMOUNT", 100, 0)
    view("TERMINAL_ID", "TX_FRAUD", 1, 7)
    raw = read([kept[0], *kept[3:]])
    when = raw.column("TX_DATETIME").cast(pa.int64()).to_numpy()
    raw.append_column("weekend", pa.array(((when // day + 3) % 7 >= 5).astype(np.int64))).append_column(
        "night", pa.array((when % day < 7 * day // 24).astype(np.int64))
    )


def pandas(folder: Path) -> None:
    """Sorted once an entity, one rolling object a window for count and sum, the delay as a difference.

    pandas does not let rows of equal timestamps see each other, so tied rows come out otherwise.
    """
    import pandas as pd
    import pyarrow.parquet as pq

    columns = ["TRANSACTION_ID", "TX_DATETIME", "CUSTOMER_ID", "TERMINAL_ID", "TX_AMOUNT", "TX_FRAUD"]
    frame = pd.concat([pq.read_table(path, columns=columns).to_pandas() for path in raw_files(folder)])

    def view(key: str, value: str, what: str, delay: int) -> pd.DataFrame:
        ordered = frame.sort_values([key, "TX_DATETIME"], kind="stable")
        groups = ordered.set_index("TX_DATETIME").groupby(key, sort=True)[value]
        counts, sums = {}, {}
        for d in {delay, *(w + delay for w in WIDTHS)} - {0}:
            rolling = groups.rolling(f"{d}D")
            counts[d], sums[d] = rolling.count().to_numpy(), rolling.sum().to_numpy()
        found = ordered[["TRANSACTION_ID", key, "TX_DATETIME"]].reset_index(drop=True)
        for w in WIDTHS:
            count = counts[w + delay] - (counts[delay] if delay else 0)
            total = sums[w + delay] - (sums[delay] if delay else 0)
            found[f"{key}_NB_TX_{w}DAY_WINDOW"] = count.astype("int64")
            found[f"{key}_{what}_{w}DAY_WINDOW"] = pd.Series(total / count.clip(1))
        return found

    view("CUSTOMER_ID", "TX_AMOUNT", "AVG_AMOUNT", 0).to_parquet(
        folder / "pandas_customer.parquet", compression="zstd"
    )
    view("TERMINAL_ID", "TX_FRAUD", "RISK", 7).to_parquet(
        folder / "pandas_terminal.parquet", compression="zstd"
    )
    calendar = frame[["TRANSACTION_ID", "TX_DATETIME"]].assign(
        TX_DURING_WEEKEND=(frame["TX_DATETIME"].dt.weekday >= 5).astype("int64"),
        TX_DURING_NIGHT=(frame["TX_DATETIME"].dt.hour <= 6).astype("int64"),
    )
    calendar.to_parquet(folder / "pandas_calendar.parquet", compression="zstd")


CONTESTANTS: dict[str, Callable[[Path], None]] = {
    "ours": ours,
    "bare_duckdb": bare_duckdb,
    "pandas": pandas,
    "ours_query": ours_query,
    "bare_query": bare_query,
    "bare_prefix_sums": bare_prefix_sums,
}
IMPORTS = {
    "pandas": ("pandas", "pyarrow.parquet"),
    "ours": ("duckdb", "pyarrow.parquet", "pyarrow.compute", "pydantic", "yaml"),
}
RESULTS = {
    "ours": "lake/tables/features/{}/current/*.parquet",
    "bare_duckdb": "bare_{}.parquet",
    "pandas": "pandas_{}.parquet",
}


def measured(name: str, folder: Path) -> dict[str, float]:
    """Run one contestant in this process."""
    import importlib

    for module in IMPORTS.get(name, IMPORTS["ours"]):
        importlib.import_module(module)
    began, wall = _cpu(), time.perf_counter()
    CONTESTANTS[name](folder)
    return {
        "cpu_seconds": round(_cpu() - began, 2),
        "wall_seconds": round(time.perf_counter() - wall, 2),
        "peak_mb": round(peak_mib()),
    }


def _cpu() -> float:
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def checksums(name: str, folder: Path) -> list[float]:
    """Rows and sums of two columns, so that nobody is fast by leaving work out."""
    views = ("customer_spending", "terminal_risk") if name == "ours" else ("customer", "terminal")
    found: list[float] = []
    for view, column in zip(
        views, ("CUSTOMER_ID_AVG_AMOUNT_30DAY_WINDOW", "TERMINAL_ID_RISK_30DAY_WINDOW"), strict=True
    ):
        path = folder / RESULTS[name].format(view)
        found += bare_connection().sql(f"SELECT count(*), sum({column}) FROM '{path}'").fetchall()[0]
    return found


def benchmark(days: int) -> dict[str, Any]:
    """All contestants, their ratios against the targets."""
    with tempfile.TemporaryDirectory(prefix="feature-speed-") as name:
        folder = Path(name)
        rows = write_raw(folder, days)
        figures = {}
        for contestant in CONTESTANTS:
            command = [sys.executable, __file__, "--child", contestant, "--folder", name]
            figures[contestant] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
        sums = {contestant: checksums(contestant, folder) for contestant in RESULTS}
    ratios = [
        {
            "of": of,
            "to": to,
            "ratio": round(figures[of]["cpu_seconds"] / figures[to]["cpu_seconds"], 2),
            "at_most": at_most,
            "holds": figures[of]["cpu_seconds"] <= at_most * figures[to]["cpu_seconds"],
        }
        for of, to, at_most in TARGETS
    ]
    return {"rows": rows, "days": days, "figures": figures, "ratios": ratios, "checksums": sums}


def told(result: dict[str, Any]) -> str:
    lines = [f"{result['rows']:,} rows, {result['days']} days, three views, 14 features", ""]
    lines.append(f"{'':18}{'CPU s':>8}{'wall s':>8}{'peak MB':>9}")
    for name, figure in result["figures"].items():
        lines.append(
            f"{name:18}{figure['cpu_seconds']:8.2f}{figure['wall_seconds']:8.2f}{figure['peak_mb']:9.0f}"
        )
    lines.append("")
    for ratio in result["ratios"]:
        verdict = "holds" if ratio["holds"] else "MISSED"
        lines.append(
            f"{ratio['of']} / {ratio['to']}: {ratio['ratio']:.2f} CPU, at most {ratio['at_most']}: {verdict}"
        )
    for name, sums in result["checksums"].items():
        lines.append(f"checksum {name}: " + ", ".join(f"{value:.6g}" for value in sums))
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--days", type=int, default=183)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--child", choices=CONTESTANTS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        print(json.dumps(measured(arguments.child, arguments.folder)))
        return
    result = benchmark(arguments.days)
    print(json.dumps(result, indent=1) if arguments.json else told(result))
    sys.exit(0 if all(ratio["holds"] for ratio in result["ratios"]) else 1)


if __name__ == "__main__":
    main()
