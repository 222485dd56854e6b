from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from raw_lake import BUYER, RawLake, expect
from raw_sources import rows_of, with_column

from platform_assets.errors import LakeError
from platform_assets.evidence.evidence import Evidence
from platform_assets.evidence.waiver import record_waiver, waiver_for
from platform_assets.evidence.withdrawal import record_withdrawal
from platform_assets.raw.declared_contract import declared_contract

OWNER = "team:shop"
ANA = "ana@payments.example"
TODAY = datetime.now(UTC).date()
TOMORROW = (TODAY + timedelta(days=1)).isoformat()
BAD_DAY = "2024-03-02"


@pytest.fixture
def lake(tmp_path: Path) -> RawLake:
    """Four judged days; the second fails."""
    made = RawLake(tmp_path)
    days = made.days(4)
    made.put(BAD_DAY, with_column(rows_of(BAD_DAY), "price", [-1.0] * 5))
    made.ask(*days)
    return made


def red(lake: RawLake) -> Evidence:
    found = lake.stores.evidence.latest("contract", "raw/orders", BAD_DAY)
    assert found is not None
    return found


def test_a_red_day_is_not_trusted_and_says_why(lake: RawLake) -> None:
    found = lake.untrusted("2024-03-01", BAD_DAY, "2024-03-03")
    assert list(found) == [BAD_DAY]
    assert "FAILED" in found[BAD_DAY]
    assert "price_be_between" in found[BAD_DAY]
    assert "5 of 5 rows" in found[BAD_DAY]


@pytest.mark.parametrize(
    ("change", "day", "told"),
    [
        (lambda lake: None, "2024-03-05", "no raw partition"),
        (lambda lake: lake.put("2024-03-05"), "2024-03-05", "never evaluated"),
        (lambda lake: lake.put("2024-03-01", rows_of("2024-03-01", 6)), "2024-03-01", "other rows"),
        (lambda lake: lake.suite.write_text("{"), "2024-03-01", "another contract"),
    ],
    ids=["missing", "not evaluated", "changed since", "contract changed since"],
)
def test_what_was_not_measured_is_not_trusted(lake: RawLake, change: Any, day: str, told: str) -> None:
    change(lake)
    assert told in lake.untrusted(day)[day]


def test_days_outside_the_source_are_not_missing(lake: RawLake) -> None:
    assert lake.untrusted("2024-02-29", "2024-04-01") == {}


def test_damaged_evidence_is_not_trusted(lake: RawLake) -> None:
    folder = lake.stores.evidence.root / "contract/raw/orders/2024-03-01"
    (folder / "000001.json").write_text("{")
    assert list(lake.untrusted("2024-03-01")) == ["2024-03-01"]


def test_an_owners_waiver_covers_exactly_this_evidence(lake: RawLake) -> None:
    entry = record_waiver(lake.stores.ledger, red(lake), OWNER, "prices were refunds", TOMORROW, by=ANA)
    assert waiver_for(lake.stores.ledger, red(lake)) == entry
    assert lake.untrusted(BAD_DAY) == {}
    lake.ask(BAD_DAY)
    assert lake.untrusted(BAD_DAY) == {}, "asking again finds the same, and the waiver stays"
    # other rows, other evidence: nobody answered for these
    lake.put(BAD_DAY, with_column(rows_of(BAD_DAY), "price", [-2.0] * 5))
    assert list(lake.untrusted(BAD_DAY)) == [BAD_DAY]
    lake.ask(BAD_DAY)
    assert list(lake.untrusted(BAD_DAY)) == [BAD_DAY]


def test_a_withdrawn_waiver_leaves_the_day_untrusted_again(lake: RawLake) -> None:
    entry = record_waiver(lake.stores.ledger, red(lake), OWNER, "refunds", TOMORROW, by=ANA)
    assert lake.untrusted(BAD_DAY) == {}
    record_withdrawal(lake.stores.ledger, entry.sequence, ANA, "they were no refunds")
    assert "price_be_between" in lake.untrusted(BAD_DAY)[BAD_DAY]


def test_a_waiver_does_not_cover_stale_evidence(lake: RawLake) -> None:
    record_waiver(lake.stores.ledger, red(lake), OWNER, "refunds", TOMORROW, by=ANA)
    stricter = expect("column_values_to_be_between", column="price", min_value=0, max_value=90)
    lake.declare(stricter, BUYER)
    lake.ask(BAD_DAY)
    assert lake.untrusted(BAD_DAY) == {}, (
        "the contract that was waived is in force until an owner accepts the other"
    )
    change = lake.stores.evidence.latest(
        "contract_change", "raw/orders", declared_contract(lake.source, lake.suite).version
    )
    assert change is not None
    record_waiver(lake.stores.ledger, change, OWNER, "they were no refunds", TOMORROW, by=ANA)
    lake.ask("2024-03-03")
    assert list(lake.untrusted(BAD_DAY)) == [BAD_DAY]


def test_a_waiver_of_somebody_else_covers_nothing(lake: RawLake) -> None:
    record_waiver(lake.stores.ledger, red(lake), "team:fraud", "we need it", TOMORROW, by=ANA)
    assert list(lake.untrusted(BAD_DAY)) == [BAD_DAY]


@pytest.mark.parametrize(
    "body",
    [
        {"expires": (TODAY - timedelta(days=1)).isoformat()},
        {"expires": "some day"},
        {"expires": None},
        {"evidence": "0" * 16},
    ],
    ids=["expired", "no date", "no end", "other evidence"],
)
def test_a_waiver_that_is_not_valid_covers_nothing(lake: RawLake, body: dict[str, Any]) -> None:
    lake.stores.ledger.append(
        "waiver", "raw/orders", OWNER, {"evidence": red(lake).id, "expires": TOMORROW, "reason": "x", **body}
    )
    assert waiver_for(lake.stores.ledger, red(lake)) is None
    assert list(lake.untrusted(BAD_DAY)) == [BAD_DAY]


def test_a_waiver_holds_through_its_last_day(lake: RawLake) -> None:
    record_waiver(lake.stores.ledger, red(lake), OWNER, "refunds", TODAY, by=ANA)
    assert lake.untrusted(BAD_DAY) == {}


def test_a_waiver_written_into_the_ledger_by_hand_is_noticed(lake: RawLake) -> None:
    record_waiver(lake.stores.ledger, red(lake), "team:fraud", "we need it", TOMORROW, by=ANA)
    (path,) = lake.stores.ledger.folder.glob("0*.json")
    path.write_text(path.read_text().replace("team:fraud", OWNER))
    with pytest.raises(LakeError, match="chain of hashes"):
        lake.untrusted(BAD_DAY)
