"""A changed contract, told by what it would make of the days that are stored."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from raw_lake import BUYER, PRICE, RawLake, expect
from raw_sources import rows_of, with_column

from platform_assets.evidence.standing import today
from platform_assets.evidence.waiver import record_waiver
from platform_assets.raw.contract_change import ContractChange, judge_change
from platform_assets.raw.declared_contract import declared_contract

BAD_DAY = "2024-03-02"
NEGATIVE = expect("column_max_to_be_between", column="price", max_value=-0.5)


@pytest.fixture
def lake(tmp_path: Path) -> RawLake:
    """Four judged days; the second fails for a negative price."""
    made = RawLake(tmp_path, PRICE, BUYER)
    days = made.days(4)
    made.put(BAD_DAY, with_column(rows_of(BAD_DAY), "price", [-1.0] * 5))
    made.ask(*days)
    return made


def changed(lake: RawLake, *expectations: dict[str, object]) -> ContractChange:
    before = declared_contract(lake.source, lake.suite)
    lake.declare(*expectations)
    return judge_change(lake.stores, lake.source, before, declared_contract(lake.source, lake.suite))


def test_days_that_would_fall_and_days_that_would_heal(lake: RawLake) -> None:
    found = changed(lake, BUYER, NEGATIVE)
    assert found.days == ("2024-03-01", "2024-03-02", "2024-03-03", "2024-03-04")
    assert list(found.fails) == ["2024-03-01", "2024-03-03", "2024-03-04"]
    assert found.fails["2024-03-01"].startswith("FAILED: ")
    assert found.heals == (BAD_DAY,)
    assert found.told.startswith(
        "judged by it, 3 of 4 stored days no longer pass (2024-03-01, 2024-03-03, 2024-03-04; 2024-03-01 FAILED: "
    )
    assert found.told.endswith("); 1 that did not pass do")


def test_only_three_days_are_told(lake: RawLake) -> None:
    for day in ("2024-03-05", "2024-03-06"):
        lake.put(day, rows_of(day, first=900 + int(day[-1]) * 10))
    found = changed(lake, BUYER, NEGATIVE)
    assert "2024-03-01, 2024-03-03, 2024-03-04 and 2 more; 2024-03-01 FAILED" in found.told


def test_nothing_is_recorded(lake: RawLake) -> None:
    before = lake.stores.evidence.history("contract", "raw/orders", BAD_DAY)
    changed(lake, BUYER)
    assert lake.stores.evidence.history("contract", "raw/orders", BAD_DAY) == before


def test_a_day_that_nobody_judged_is_asked_both(lake: RawLake) -> None:
    """All days that a new column brought anew, say: what they were under other rows does not count."""
    lake.put("2024-03-01", rows_of("2024-03-01", 6))
    lake.put("2024-03-05", with_column(rows_of("2024-03-05", first=950), "price", [-1.0] * 5))
    found = changed(lake, NEGATIVE)
    assert sorted(found.fails) == ["2024-03-01", "2024-03-03", "2024-03-04"]
    assert found.heals == (BAD_DAY, "2024-03-05")


def test_a_day_that_an_owner_answers_for_would_fall_too(lake: RawLake) -> None:
    evidence = lake.stores.evidence.latest("contract", "raw/orders", BAD_DAY)
    assert evidence is not None
    until = today() + timedelta(days=3)
    record_waiver(lake.stores.ledger, evidence, "team:shop", "refunds", until, by="ana@shop.example")
    stricter = {**PRICE, "kwargs": {**PRICE["kwargs"], "max_value": 99}}
    assert list(changed(lake, stricter, BUYER).fails) == [BAD_DAY]
