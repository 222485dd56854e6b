"""A changed contract, told by what it would make of the days that are stored."""

from __future__ import annotations

from pathlib import Path

import pytest
from raw_lake import BUYER, PRICE, RawLake, expect
from raw_sources import rows_of, with_column

from platform_assets.raw.contract_change import contract_change

BAD_DAY = "2024-03-02"


@pytest.fixture
def lake(tmp_path: Path) -> RawLake:
    """Four judged days; the second fails for a negative price."""
    made = RawLake(tmp_path, PRICE, BUYER)
    days = made.days(4)
    made.put(BAD_DAY, with_column(rows_of(BAD_DAY), "price", [-1.0] * 5))
    made.ask(*days)
    return made


def test_nothing_is_told_while_the_contract_stays(lake: RawLake) -> None:
    assert contract_change(lake.stores, lake.source, lake.suite) is None


def test_days_that_would_fall_and_days_that_would_heal(lake: RawLake) -> None:
    lake.declare(BUYER, expect("column_max_to_be_between", column="price", max_value=-0.5))
    found = contract_change(lake.stores, lake.source, lake.suite)
    assert found is not None
    assert found.days == ("2024-03-01", "2024-03-02", "2024-03-03", "2024-03-04")
    assert list(found.fails) == ["2024-03-01", "2024-03-03", "2024-03-04"]
    assert "FAILED" in found.fails["2024-03-01"]
    assert found.heals == (BAD_DAY,)


def test_nothing_is_recorded(lake: RawLake) -> None:
    before = lake.stores.evidence.history("contract", "raw/orders", BAD_DAY)
    lake.declare(BUYER)
    contract_change(lake.stores, lake.source, lake.suite)
    assert lake.stores.evidence.history("contract", "raw/orders", BAD_DAY) == before


def test_a_day_with_other_rows_is_a_new_day_and_no_change_of_the_contract(lake: RawLake) -> None:
    lake.put("2024-03-01", rows_of("2024-03-01", 6))
    lake.declare(BUYER)
    found = contract_change(lake.stores, lake.source, lake.suite)
    assert found is not None
    assert "2024-03-01" not in found.days
