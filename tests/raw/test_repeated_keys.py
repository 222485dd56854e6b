"""Keys that an earlier day used are noticed on the later day, and warn."""

from __future__ import annotations

from pathlib import Path

import pytest
from raw_lake import BUYER, RawLake, verdicts
from raw_sources import rows_of

from platform_assets.raw import repeated_keys as module
from platform_assets.raw.repeated_keys import NAME, repeated_keys

FIRST = {"2024-03-01": 0, "2024-03-02": 100, "2024-03-03": 2, "2024-03-04": 300}


@pytest.fixture
def lake(tmp_path: Path) -> RawLake:
    """Four days of five rows; the third repeats three keys of the first."""
    lake = RawLake(tmp_path, BUYER)
    for day, first in FIRST.items():
        lake.put(day, rows_of(day, first=first))
    return lake


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        (list(FIRST), {"2024-03-03": 3}),
        (["2024-03-03"], {"2024-03-03": 3}),
        (["2024-03-01", "2024-03-02", "2024-03-04"], {}),
        (["2024-03-09"], {}),
    ],
    ids=["all days", "the later day alone", "days that repeat nothing", "no such day"],
)
def test_the_later_day_is_named(lake: RawLake, asked: list[str], found: dict[str, int]) -> None:
    told = repeated_keys(lake.stores, lake.source, asked)
    assert {day: finding.failing for day, finding in told.items()} == found


@pytest.mark.parametrize(("limit", "value"), [("DAYS_BACK", 1), ("ROWS_COMPARED", 10)])
def test_only_so_far_back(lake: RawLake, monkeypatch: pytest.MonkeyPatch, limit: str, value: int) -> None:
    monkeypatch.setattr(module, limit, value)
    assert repeated_keys(lake.stores, lake.source, ["2024-03-03"]) == {}


def test_it_stands_in_the_evidence_and_warns(lake: RawLake) -> None:
    found = lake.ask(*FIRST)
    assert {day for day, evidence in found.items() if NAME in verdicts(evidence)} == {"2024-03-03"}
    evidence = found["2024-03-03"]
    assert str(evidence.verdict) == "PASSED"
    assert "3 of 5 rows use the key of an earlier day" in evidence.reason


def test_days_that_cannot_be_read_are_unknown(lake: RawLake) -> None:
    table = lake.stores.lake.table("raw/orders")
    manifest = table.manifest("2024-03-02")
    assert manifest is not None
    table.path(manifest).write_bytes(b"not a file any more")
    (finding,) = repeated_keys(lake.stores, lake.source, ["2024-03-03"]).values()
    assert str(finding.verdict) == "UNKNOWN"
