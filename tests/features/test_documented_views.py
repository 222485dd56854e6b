"""The example of docs/features.md: it is declared as it stands, and DuckDB and numpy agree on it."""

from __future__ import annotations

import re
import shutil
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from platform_assets.declaration.repository import Repository, read_repository
from platform_assets.features.compute import compute_features
from platform_assets.features.independent import independent_features

CHECKOUT = Path(__file__).resolve().parents[2]
DAYS = [(datetime(2018, 4, 1) + timedelta(days=n)).date().isoformat() for n in range(4)]


@pytest.fixture(scope="module")
def documented(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    folder = tmp_path_factory.mktemp("feature_repo")
    page = (CHECKOUT / "docs/features.md").read_text()
    (example,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    (folder / "habits.yaml").write_text(example)
    shutil.copy(CHECKOUT / "feature_repo/card_transactions.yaml", folder)
    shutil.copytree(CHECKOUT / "feature_repo/contracts", folder / "contracts")
    return read_repository([folder])


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = np.random.default_rng(3)
    n = 600
    moments = [datetime(2018, 4, 1) + timedelta(minutes=int(m)) for m in made.integers(0, 4 * 1440, n)]
    table = pa.table(
        {
            "TRANSACTION_ID": pa.array(np.arange(n)),
            "TX_DATETIME": pa.array(moments, pa.timestamp("us")),
            "CUSTOMER_ID": pa.array(made.integers(0, 9, n)),
            "TERMINAL_ID": pa.array(made.integers(0, 5, n)),
            "TX_AMOUNT": pa.array(made.integers(100, 30_000, n) / 100),
            "TX_TIME_SECONDS": pa.array(np.zeros(n, np.int64)),
            "TX_TIME_DAYS": pa.array(np.zeros(n, np.int64)),
            "TX_FRAUD": pa.array(np.zeros(n, np.int64)),
            "TX_FRAUD_SCENARIO": pa.array(np.zeros(n, np.int64)),
            "_available_at": pa.array(moments, pa.timestamp("us")),
        }
    )
    pq.write_table(table, path := tmp_path_factory.mktemp("raw") / "raw.parquet")
    return path


@pytest.mark.parametrize("name", ["customer_habits", "customer_at_terminal"])
def test_the_example_gives_the_same_on_duckdb_and_numpy(documented: Repository, raw: Path, name: str) -> None:
    view = documented.feature_view(name)
    source, entity = documented.source(view.source), documented.entity_of(view)
    found = compute_features(source, entity, view, [str(raw)], DAYS)
    expected = independent_features(source, entity, view, pq.read_table(raw), found)
    for feature in view.feature_names:
        got = found.column(feature).cast(pa.float64()).to_numpy()
        np.testing.assert_array_equal(got, expected[feature], err_msg=feature)
        assert len(np.unique(got[~np.isnan(got)])) > 1, feature


def test_the_view_in_sql_runs(documented: Repository, raw: Path) -> None:
    view = documented.feature_view("terminal_gap")
    source, entity = documented.source(view.source), documented.entity_of(view)
    found = compute_features(source, entity, view, [str(raw)], DAYS)
    assert found.num_rows == 600
    assert max(found.column("BELOW_LARGEST").to_pylist()) == 0.0
