"""The classic mistakes, each made on purpose: the external right answers catch every one."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import duckdb
import pytest
from card_golden import EXTERNAL, card_repository, needs_external, rows_wrong

from platform_assets.declaration.feature_view import FeatureView
from platform_assets.features.window_sql import view_sql

Rewrite = Callable[[str], str]


def same(sql: str) -> str:
    return sql


def changed(view: str, **changes: Any) -> FeatureView:
    """The view with every feature changed in the same way."""
    declared = card_repository().feature_view(view)
    features = tuple(
        feature.model_copy(
            update={k: v for k, v in changes.items() if k != "hour" or feature.hour is not None}
        )
        for feature in declared.features
    )
    return declared.model_copy(update={"features": features})


def closed_on_the_left(sql: str) -> str:
    return re.sub(r"(\d+)9 PRECEDING AND", lambda m: f"{int(m[1] + '9') + 1} PRECEDING AND", sql)


def open_at_the_delay(sql: str) -> str:
    return re.sub(r"AND (\d+) PRECEDING", lambda m: f"AND {int(m[1]) + 1} PRECEDING", sql)


def whole_calendar_days(sql: str) -> str:
    return sql.replace('epoch_us("TX_DATETIME")', "epoch_us(date_trunc('day', \"TX_DATETIME\"))")


MISTAKES: dict[str, tuple[str, dict[str, Any], Rewrite, str]] = {
    "customer window closed on the left": ("customer_spending", {}, closed_on_the_left, "NB_TX"),
    "current row left out": ("customer_spending", {"include_current_row": False}, same, "NB_TX"),
    "whole calendar days": ("customer_spending", {}, whole_calendar_days, "NB_TX"),
    "terminal without delay: counts": ("terminal_risk", {"delay": timedelta()}, same, "NB_TX"),
    "terminal without delay: risks": ("terminal_risk", {"delay": timedelta()}, same, "RISK"),
    "night as hour < 6": ("transaction_calendar", {"hour": 5}, same, "NIGHT"),
}


@needs_external
@pytest.mark.external
@pytest.mark.parametrize("view", ["customer_spending", "terminal_risk", "transaction_calendar"])
def test_our_features_are_right(view: str) -> None:
    wrong = rows_wrong(card_repository().feature_view(view))
    assert wrong == dict.fromkeys(wrong, 0)
    assert len(wrong) in (2, 6)


@needs_external
@pytest.mark.external
@pytest.mark.parametrize(("view", "changes", "rewrite", "where"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_caught(view: str, changes: dict[str, Any], rewrite: Rewrite, where: str) -> None:
    wrong = rows_wrong(changed(view, **changes), rewrite)
    assert sum(count for name, count in wrong.items() if where in name) > 0


@needs_external
@pytest.mark.external
def test_terminal_window_open_at_the_delay_is_caught() -> None:
    """Too rare for five days (60 rows in 1.75 million): looked for on all days, judged by plain counting."""
    repository = card_repository()
    view = repository.feature_view("terminal_risk")
    raw = f"(SELECT *, TX_DATETIME AS _available_at FROM '{EXTERNAL}/card_transactions/*.parquet')"
    sql = view_sql(repository.source(view.source), repository.entity_of(view), view, relation=raw)
    name = "TERMINAL_ID_NB_TX_7DAY_WINDOW"
    differing, ours, mistaken = duckdb.sql(f"""
        WITH ours AS ({sql}), mistaken AS ({open_at_the_delay(sql)}),
        differing AS (
            SELECT TRANSACTION_ID, o.TERMINAL_ID, o.TX_DATETIME AS t, o.{name} AS ours, m.{name} AS mistaken
            FROM ours o JOIN mistaken m USING (TRANSACTION_ID) WHERE o.{name} <> m.{name}),
        judged AS (
            SELECT d.ours, d.mistaken, count(r.TRANSACTION_ID) AS counted
            FROM differing d LEFT JOIN {raw} r ON r.TERMINAL_ID = d.TERMINAL_ID
             AND r.TX_DATETIME > d.t - INTERVAL 14 DAY AND r.TX_DATETIME <= d.t - INTERVAL 7 DAY
            GROUP BY d.TRANSACTION_ID, d.ours, d.mistaken)
        SELECT count(*), count(*) FILTER (ours <> counted), count(*) FILTER (mistaken <> counted) FROM judged
    """).fetchall()[0]
    assert differing > 0
    assert (ours, mistaken) == (0, differing)
