"""What each window function costs: one feature over 30 days of a card holder, on 60 days of payments.

    python benchmarks/function_cost.py [--days 60]

CPU seconds of this process for each query alone, into Arrow, after a first query that warms the files.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from platform_assets.declaration.feature_view import FeatureView
from platform_assets.declaration.repository import read_repository
from platform_assets.features.engine import duckdb_engine, parquet_files
from platform_assets.features.window_sql import view_sql
from platform_assets.raw.generator import generate
from platform_assets.vocabulary import AVAILABLE_AT

CHECKOUT = Path(__file__).resolve().parents[1]
FUNCTIONS: dict[str, dict[str, Any]] = {
    "count": {"function": "count"},
    "mean": {"function": "mean", "column": "TX_AMOUNT"},
    "max": {"function": "max", "column": "TX_AMOUNT"},
    "count with where": {"function": "count", "where": "TX_AMOUNT > 100 and TX_FRAUD = 0"},
    "stddev": {"function": "stddev", "column": "TX_AMOUNT"},
    "last": {"function": "last", "column": "TX_AMOUNT"},
    "time_since_last": {"function": "time_since_last"},
    "distinct_count": {"function": "distinct_count", "column": "TERMINAL_ID"},
}


def cpu_seconds(view: FeatureView, path: Path) -> float:
    """CPU seconds of the view's SELECT by DuckDB's windows."""
    repository = read_repository([CHECKOUT / "feature_repo"])
    source, entity = repository.source(view.source), repository.entity_of(view)
    with duckdb_engine() as engine:
        query = view_sql(source, entity, view, relation=parquet_files([str(path)]))
        began = time.process_time()
        engine.sql(query).to_arrow_table()
        return time.process_time() - began


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--days", type=int, default=60)
    days = asked.parse_args().days
    with tempfile.TemporaryDirectory() as folder:
        rows = generate(5000, 10_000, days, date(2018, 4, 1), 5, 0)
        rows = rows.append_column(AVAILABLE_AT, rows.column("TX_DATETIME"))
        pq.write_table(rows, path := Path(folder) / "raw.parquet")
        common = {"owners": ["team:fraud"], "source": "card_transactions", "entity": "customer"}
        views = {
            name: FeatureView.model_validate(
                {"name": "v", **common, "features": [{"name": "f", "window": "30d", **told}]}
            )
            for name, told in FUNCTIONS.items()
        }
        cpu_seconds(views["count"], path)
        print(f"{rows.num_rows} rows, one feature of 30 days, CPU seconds")
        for name, view in views.items():
            print(f"{name:20}{cpu_seconds(view, path):8.2f}")


if __name__ == "__main__":
    main()
