"""The external right answers for the card features, and how many rows of a query differ from them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from platform_assets.declaration.feature_view import FeatureView
from platform_assets.declaration.repository import Repository, read_repository
from platform_assets.features.reach import raw_days
from platform_assets.features.window_sql import view_sql

CHECKOUT = Path(__file__).resolve().parents[2]
EXTERNAL = CHECKOUT.parent / "shared/data"
DAYS = ("2018-05-01", "2018-05-10", "2018-05-20", "2018-05-31", "2018-06-10")
TOLERANCE = 1e-9
needs_external = pytest.mark.skipif(
    not (EXTERNAL / "card_features").exists(),
    reason="the external data folder ../shared/data is not beside this checkout",
)


def card_repository() -> Repository:
    return read_repository([CHECKOUT / "feature_repo"])


def raw_files(view: FeatureView, days: tuple[str, ...] = DAYS) -> list[str]:
    start = card_repository().source("card_transactions").start
    reaching = sorted(raw_days(days, view, start=start))
    return [str(EXTERNAL / f"card_transactions/{day}.parquet") for day in reaching]


def card_relation(view: FeatureView) -> str:
    """Raw rows that reach the five days, known at once."""
    return f"(SELECT *, TX_DATETIME AS _available_at FROM read_parquet({raw_files(view)!r}))"


def rows_wrong(view: FeatureView, rewrite: Callable[[str], str] = lambda sql: sql) -> dict[str, int]:
    """For each feature of a view the rows of the five days that differ from the right answers.

    `rewrite` may spoil the SQL. Tied rows are left out on both sides; a row on one side only counts.
    """
    repository = card_repository()
    source, entity = repository.source(view.source), repository.entity_of(view)
    sql = view_sql(source, entity, view, relation=card_relation(view), days=DAYS)
    right = [str(EXTERNAL / f"card_features/{day}.parquet") for day in DAYS]
    differs = ", ".join(
        f'count(*) FILTER (m."{name}" IS NULL OR g."{name}" IS NULL'
        f' OR abs(m."{name}" - g."{name}") > {TOLERANCE})'
        for name in view.feature_names
    )
    counted = duckdb.sql(
        f"WITH mine AS ({rewrite(sql)}) SELECT {differs}"
        f" FROM mine m FULL JOIN read_parquet({right!r}) g USING (TRANSACTION_ID)"
        f" WHERE TRANSACTION_ID NOT IN (SELECT TRANSACTION_ID FROM read_csv('{EXTERNAL}/tied_rows.csv'))"
    ).fetchall()[0]
    return dict(zip(view.feature_names, counted, strict=True))
