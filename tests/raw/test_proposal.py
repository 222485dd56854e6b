"""A proposed contract holds on what it was proposed from, says so, and shows nothing masked."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest
from raw_lake import PRICE, RawLake, verdicts
from raw_sources import rows_of, with_column

from platform_assets.errors import LakeError
from platform_assets.raw.declared_contract import declared_contract
from platform_assets.raw.judgement import judge_contract
from platform_assets.raw.proposal import propose_contract, with_slack


def stored(folder: Path) -> tuple[RawLake, list[str]]:
    """Four days of forty rows; every price is NaN once, and one day has a greater price."""
    lake = RawLake(folder)
    days = [f"2024-03-{number:02d}" for number in range(1, 5)]
    for number, day in enumerate(days):
        rows = rows_of(day, 40, first=100 * number)
        prices = [float("nan"), *[number + n / 4 for n in range(39)]]
        lake.put(day, with_column(rows, "price", pa.array(prices, pa.float64())))
    return lake, days


def test_a_proposal_holds_on_the_days_it_was_read_off(tmp_path: Path) -> None:
    lake, days = stored(tmp_path)
    suite = propose_contract(lake.stores, lake.source)
    lake.suite.write_text(json.dumps(suite))
    for evidence in judge_contract(
        lake.stores, lake.source, declared_contract(lake.source, lake.suite), days
    ).values():
        assert set(verdicts(evidence).values()) == {"PASSED"}, evidence.reason
    kwargs = {item["meta"]["name"]: item["kwargs"] for item in suite["expectations"]}
    assert kwargs == {
        "id_present": {"column": "id"},
        "id_in_range": {"column": "id", "min_value": 0, "max_value": 509},
        "moment_present": {"column": "moment"},
        "buyer_present": {"column": "buyer"},
        "price_in_range": {"column": "price", "min_value": 0, "max_value": 12.5 + 6.25},
        "note_known": {"column": "note", "value_set": ["gift"]},
        "express_present": {"column": "express"},
        "express_known": {"column": "express", "value_set": [False, True]},
        "key_unique": {"column": "id"},
        "rows_of_a_day": {"min_value": 20, "max_value": 60},
    }
    assert all(
        "160 rows of 4 days, 2024-03-01 to 2024-03-04" in i["description"] for i in suite["expectations"]
    )
    assert "9000" not in json.dumps(suite), "a buyer is masked"


def test_only_the_last_days_are_looked_at(tmp_path: Path) -> None:
    lake, _ = stored(tmp_path)
    assert "80 rows of 2 days, 2024-03-03 to" in propose_contract(lake.stores, lake.source, 2)["notes"]


def test_nothing_is_proposed_from_nothing(tmp_path: Path) -> None:
    lake = RawLake(tmp_path)
    with pytest.raises(LakeError, match="no rows are stored"):
        propose_contract(lake.stores, lake.source)


def test_judging_names_the_days_and_records_nothing(tmp_path: Path) -> None:
    lake, days = stored(tmp_path)
    before = lake.ask(*days)
    stricter = {**PRICE, "kwargs": {"column": "price", "min_value": 0, "max_value": 11}}
    lake.declare(stricter)
    found = judge_contract(lake.stores, lake.source, declared_contract(lake.source, lake.suite), days)
    assert [str(evidence.verdict) for evidence in found.values()] == ["PASSED", "PASSED", "FAILED", "FAILED"]
    for day in days:
        assert lake.stores.evidence.history("contract", "raw/orders", day) == [before[day]]


@pytest.mark.parametrize(
    ("least", "greatest", "low", "high"),
    [
        (3.21, 619.69, 0, 928.0),
        (-0.5, 0.25, -0.875, 0.625),
        (1e-9, 3e-9, 0, 4.0e-9),
        (12_345_678.5, 98_765_432.1, 0, 142_000_000.0),
        (0.0, 0.0, 0, 1.0),
        (5, 9, 3, 11),
    ],
)
def test_a_proposed_range_ends_in_figures_that_people_write(
    least: float, greatest: float, low: float, high: float
) -> None:
    assert with_slack(least, greatest) == (low, high)
