"""Which days may be built on: every way in which partition, evidence and waiver can lie, in one lake."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from itertools import product
from pathlib import Path

import pytest
from raw_lake import RawLake
from raw_sources import rows_of

from platform_assets.evidence.evidence import Evidence, Verdict
from platform_assets.evidence.standing import today
from platform_assets.evidence.waiver import record_waiver
from platform_assets.raw.contract_in_force import contract_standing

START = date(2024, 3, 1)
ANA = "ana@payments.example"
AGAIN = "run the contract on the day again"


@dataclass(frozen=True)
class Lies:
    """How a day lies: `about` names what its evidence is about, None is no evidence."""

    there: bool
    about: tuple[str, str] | None
    verdict: Verdict = Verdict.PASSED
    waived_for: str = ""

    @property
    def reason(self) -> str:
        """Why the day may not be built on, as a person would say it; empty when it may."""
        if not self.there:
            return "no raw partition in raw/orders; ingest the day"
        if self.about is None:
            return "its contract was never evaluated; run the contract on the day"
        if self.about == ("its rows", "in force"):
            trusted = self.verdict is Verdict.PASSED or self.waived_for == "team:shop"
            return "" if trusted else f"contract {self.verdict}: because"
        if self.about == ("other rows", "in force"):
            return f"its contract evidence is about other rows; {AGAIN}"
        if self.about == ("its rows", "another"):
            return f"its contract evidence is about another contract; {AGAIN}"
        return f"its contract evidence is about another contract and other rows; {AGAIN}"


ABOUT = tuple(product(("its rows", "other rows"), ("in force", "another")))
WAYS = (
    Lies(False, None),
    Lies(True, None),
    *(Lies(*way) for way in product((True, False), ABOUT, Verdict, ("", "team:shop", "team:fraud"))),
)
DAYS = {(START + timedelta(days=n)).isoformat(): way for n, way in enumerate(WAYS)}


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> RawLake:
    made = RawLake(tmp_path_factory.mktemp("lake"), end=None)
    contract = contract_standing(made.stores, made.source, made.suite).in_force.version
    for day, way in DAYS.items():
        digest = made.put(day).digest if way.there else "gone"
        if way.about is not None:
            rows, judged_by = way.about
            versions = {
                "raw": digest if rows == "its rows" else "other",
                "contract": contract if judged_by == "in force" else "another",
            }
            found = Evidence("contract", "raw/orders", way.verdict, "because", versions, day)
            made.stores.evidence.record(found)
            if way.waived_for:
                until = today() + timedelta(days=1)
                record_waiver(made.stores.ledger, found, way.waived_for, "known", until, by=ANA)
    return made


def test_each_day_is_trusted_or_says_why_and_the_way_out(lake: RawLake) -> None:
    found = lake.untrusted(*DAYS)
    assert found == {day: way.reason for day, way in DAYS.items() if way.reason}
    assert list(found) == sorted(found)


def test_asked_in_any_order_and_twice_they_are_told_in_order(lake: RawLake) -> None:
    days = list(DAYS)[:5]
    asked = [days[3], days[0], days[3], days[1]]
    assert list(lake.untrusted(*asked)) == [day for day in days if day in asked and DAYS[day].reason]


@pytest.mark.parametrize(
    ("day", "missing"),
    [("2024-02-29", False), ("2024-03-01", True), ("2024-03-31", True), ("2024-04-01", False)],
    ids=["before the start", "the first day", "the last day", "the end"],
)
def test_days_outside_the_source_are_not_missing(tmp_path: Path, day: str, missing: bool) -> None:
    assert ("no raw partition" in RawLake(tmp_path).untrusted(day).get(day, "")) == missing


def test_of_days_asked_together_those_outside_the_source_are_left_out(tmp_path: Path) -> None:
    asked = ("2024-02-28", "2024-02-29", "2024-03-01", "2024-03-31", "2024-04-01", "2024-04-02")
    assert list(RawLake(tmp_path).untrusted(*asked)) == ["2024-03-01", "2024-03-31"]


def test_a_source_without_an_end_goes_on(tmp_path: Path) -> None:
    assert list(RawLake(tmp_path, end=None).untrusted("2034-03-01")) == ["2034-03-01"]


def test_evidence_that_cannot_be_read_is_about_nothing(tmp_path: Path) -> None:
    lake = RawLake(tmp_path)
    lake.put("2024-03-01", rows_of("2024-03-01"))
    folder = lake.stores.evidence.root / "contract/raw/orders/2024-03-01"
    folder.mkdir(parents=True)
    (folder / "000001.json").write_text("{")
    assert lake.untrusted("2024-03-01") == {
        "2024-03-01": f"its contract evidence is about another contract and other rows; {AGAIN}"
    }
