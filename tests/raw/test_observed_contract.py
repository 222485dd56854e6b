"""Observed, run, observed again: whatever became of a contract, it comes to rest, and no day falls unseen."""

from __future__ import annotations

import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from raw_lake import ANA, BUYER, PRICE, RawLake, expect
from raw_sources import rows_of, with_column

from platform_assets.automation.plan import Request, next_requests
from platform_assets.automation.source_observation import SOURCE_STAGES, SourceObservation, observe_source
from platform_assets.declaration.repository import Repository
from platform_assets.evidence.evidence import Verdict
from platform_assets.evidence.standing import WAIVER, standing, today
from platform_assets.evidence.waiver import record_waiver
from platform_assets.evidence.withdrawal import record_withdrawal
from platform_assets.raw.contract import evaluate_contract
from platform_assets.raw.ingest import ingest_day
from platform_assets.raw.source_reader import open_source

DAYS = ["2024-03-01", "2024-03-02", "2024-03-03", "2024-03-04"]
CHEAP = expect("column_max_to_be_between", column="price", max_value=40)
SUITES = {"loose": (PRICE, BUYER), "cheap": (PRICE, BUYER, CHEAP), "one": (BUYER,)}


class Squad:
    """A source's files and its contract, looked at and run as `platform-assets run` does."""

    def __init__(self, root: Path) -> None:
        self.lake = RawLake(root, *SUITES["loose"])
        self.root = root
        for day in DAYS:
            self.file(day, 1.0)

    @property
    def repository(self) -> Repository:
        return Repository({"orders": self.lake.source}, {}, {}, {"orders": self.root})

    def file(self, day: str, price: float, count: int = 5) -> None:
        rows = rows_of(day, count, first=100 * int(day[-2:]))
        pq.write_table(with_column(rows, "price", [price] * count), self.root / f"{day}.parquet")

    def volume(self, at_least: float) -> None:
        volume = self.lake.source.volume.model_copy(update={"at_least": at_least})
        self.lake.source = self.lake.source.model_copy(update={"volume": volume})

    def mask(self, *names: str) -> None:
        columns = [c.model_copy(update={"masked": c.name in names}) for c in self.lake.source.columns]
        self.lake.source = self.lake.source.model_copy(update={"columns": tuple(columns)})

    def observe(self) -> SourceObservation:
        return observe_source(self.lake.stores, self.repository, self.lake.source, {})

    def requests(self) -> list[Request]:
        return next_requests(self.observe().work, SOURCE_STAGES)

    def run(self) -> list[Request]:
        """Every request that was carried out; those that are still open then are the same again."""
        done: list[Request] = []
        while fresh := [r for r in self.requests() if r.run_key(0) not in {d.run_key(0) for d in done}]:
            for request in fresh:
                assert request.days is not None
                self.carry_out(*request.days)
                done.append(request)
        return done

    def carry_out(self, first: str, last: str) -> None:
        reader = open_source(self.lake.source, self.root, {})
        days = [day for day in reader.days() if first <= day <= last]
        for day in days:
            ingest_day(self.lake.stores, self.lake.source, reader, day, cause="test", run_id="r")
        evaluate_contract(self.lake.stores, self.lake.source, self.lake.suite, days, run_id="r")

    def trusted(self) -> dict[str, str]:
        digests = self.lake.stores.lake.table("raw/orders").digests()
        return {day: rows for day, rows in digests.items() if not self.lake.untrusted(day)}

    def waive(self, day: str) -> None:
        evidence = self.lake.stores.evidence.latest("contract", "raw/orders", day)
        if evidence is not None and evidence.verdict is Verdict.FAILED:
            until = today() + timedelta(days=3)
            record_waiver(self.lake.stores.ledger, evidence, "team:shop", "a sale", until, by=ANA)

    def withdraw(self) -> None:
        ledger = self.lake.stores.ledger
        for entry in standing(ledger.entries(), WAIVER, today(ledger))[-1:]:
            record_withdrawal(ledger, entry.sequence, ANA, "too early")

    def accept(self) -> None:
        if self.lake.standing().refused:
            self.lake.accept()

    def forget(self, day: str) -> None:
        folder = self.lake.stores.lake.table("raw/orders").folder
        (folder / f"manifests/{day}/current").unlink(missing_ok=True)

    def damage(self) -> None:
        for file in (self.lake.stores.evidence.root / "contract_change").rglob("*.json"):
            file.write_text("{")


@pytest.fixture
def squad(tmp_path: Path) -> Squad:
    return Squad(tmp_path)


def test_an_owners_word_is_another_request(squad: Squad) -> None:
    """Given while a run is at work, or twice within one cooldown: what was asked for already is not asked again."""
    squad.file(DAYS[0], 60.0)
    squad.run()
    squad.lake.declare(*SUITES["cheap"])
    asked = squad.run()
    for _ in range(2):
        squad.accept()
        asked += squad.requests()
        squad.withdraw()
        assert squad.requests() == []
    assert len({request.run_key(0) for request in asked}) == len(asked) == 3


def test_what_is_to_be_judged_stands_beside_what_is_new(squad: Squad) -> None:
    squad.run()
    squad.lake.declare(*SUITES["cheap"])
    assert squad.observe().work[0].reason == "days to be judged by the declared contract"
    squad.file("2024-03-07", 1.0)
    assert squad.observe().work[0].reason == "new or changed days; days to be judged by the declared contract"
    squad.run()
    squad.file("2024-03-08", 1.0)
    assert squad.observe().work[0].reason == "new or changed days"
    squad.run()
    assert squad.observe().work[0].reason == ""


STEPS = st.one_of(
    st.tuples(st.just("declare"), st.sampled_from(sorted(SUITES))),
    st.tuples(
        st.just("file"),
        st.sampled_from([*DAYS, "2024-03-05", "2024-03-07"]),
        st.sampled_from([1.0, 60.0, 500.0]),
        st.sampled_from([5, 5, 9]),
    ),
    st.tuples(st.just("volume"), st.sampled_from([0.1, 0.5, 0.8])),
    st.tuples(st.just("mask"), st.sampled_from(["buyer", "price"])),
    st.tuples(st.just("unlist"), st.sampled_from(DAYS[:3])),
    st.tuples(st.just("waive"), st.sampled_from(DAYS)),
    st.tuples(st.just("forget"), st.sampled_from(DAYS)),
    st.sampled_from([("unreadable",), ("accept",), ("withdraw",), ("damage",), ("run",), ("run",)]),
)


def take(squad: Squad, step: tuple[Any, ...]) -> None:
    match step:
        case ("declare", name):
            squad.lake.declare(*SUITES[name])
        case ("unreadable",):
            squad.lake.suite.write_text("{")
        case ("unlist", day):
            (squad.root / f"{day}.parquet").unlink(missing_ok=True)
        case (name, *arguments):
            getattr(squad, name)(*arguments)


@pytest.mark.slow
@pytest.mark.timeout(600)
@settings(max_examples=40, deadline=None)
@given(steps=st.lists(STEPS, min_size=2, max_size=10))
def test_a_run_comes_to_rest_and_takes_no_day_unseen(steps: list[tuple[Any, ...]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        squad = Squad(Path(folder))
        squad.run()
        for step in [*steps, ("run",)]:
            if step != ("run",):
                take(squad, step)
                continue
            before, found = squad.trusted(), squad.lake.standing()
            answered = {*found.change.measured["fails"]} if found.change and found.accepted else set()
            squad.run()
            assert squad.requests() == [], "nothing is open that ran"
            after, now = squad.trusted(), squad.lake.standing()
            assert bool(now.refused) == now.pending, "what waits says why"
            if not now.declared.suite.problem:
                digests = squad.lake.stores.lake.table("raw/orders").digests()
                kept = {day for day, rows in before.items() if digests.get(day) == rows}
                assert kept - after.keys() <= answered
