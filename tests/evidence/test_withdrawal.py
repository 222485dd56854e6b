"""Taking back a waiver or an approval: who may, what can be, and that it counts for nothing from then on."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from datetime import timedelta
from pathlib import Path

import pytest

from platform_assets.errors import Blocked
from platform_assets.evidence import ledger as ledger_module
from platform_assets.evidence.evidence import Evidence, Verdict
from platform_assets.evidence.ledger import Entry, Ledger
from platform_assets.evidence.standing import standing, today, withdrawals
from platform_assets.evidence.waiver import record_waiver, waiver_for
from platform_assets.evidence.withdrawal import record_withdrawal

ABE, ANA, BEN = "abe@payments.example", "ana@payments.example", "ben@payments.example"
TEAM = "team:payments"


def red(what: str = "a") -> Evidence:
    return Evidence("contract", "raw/orders", Verdict.FAILED, "because", {"raw": what}, "2024-03-02")


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """Entry 1 is a waiver that Ana gave for her team, entry 2 a refusal."""
    found = Ledger(tmp_path)
    record_waiver(found, red(), TEAM, "refunds", today() + timedelta(days=5), by=ANA)
    found.append("refusal", "shop", "dagster", {"version": "1"})
    return found


def test_a_withdrawn_waiver_covers_nothing_and_the_withdrawal_names_it(ledger: Ledger) -> None:
    waiver = waiver_for(ledger, red())
    assert waiver is not None
    entry = record_withdrawal(ledger, 1, ANA, "they were no refunds")
    assert waiver_for(ledger, red()) is None
    assert standing(ledger.entries(), "waiver", today()) == []
    assert (entry.kind, entry.product, entry.sequence) == ("withdrawal", "raw/orders", 3)
    assert entry.body == {
        "entry": 1,
        "hash": waiver.hash,
        "of": "waiver",
        "by": ANA,
        "version": "",
        "partition": "2024-03-02",
        "reason": "they were no refunds",
    }
    assert withdrawals(ledger.entries()) == {1: entry}


def test_what_was_withdrawn_can_be_given_again(ledger: Ledger) -> None:
    record_withdrawal(ledger, 1, ANA, "too early")
    again = record_waiver(ledger, red(), TEAM, "refunds after all", today(), by=ANA)
    assert waiver_for(ledger, red()) == again


def test_an_older_waiver_of_the_same_still_covers(ledger: Ledger) -> None:
    first = waiver_for(ledger, red())
    second = record_waiver(ledger, red(), TEAM, "refunds, longer", today(), by=BEN)
    record_withdrawal(ledger, second.sequence, BEN, "not longer")
    assert waiver_for(ledger, red()) == first


@pytest.mark.parametrize(
    ("by", "owner", "may", "allowed"),
    [
        (ANA, "", (), True),
        (BEN, "", (), False),
        (ABE, "", (), False),
        (BEN, "", (BEN,), True),
        (BEN, TEAM, (TEAM,), True),
        (BEN, TEAM, (), False),
        (BEN, "", (TEAM,), False),
    ],
    ids=[
        "who gave it",
        "stranger",
        "another",
        "named",
        "for the team",
        "for no owner",
        "a team is not its people",
    ],
)
def test_who_may_withdraw(ledger: Ledger, by: str, owner: str, may: tuple[str, ...], allowed: bool) -> None:
    if allowed:
        entry = record_withdrawal(ledger, 1, by, "seen again", owner=owner, may=may)
        assert (entry.actor, entry.body["by"]) == (owner or by, by)
        return
    with pytest.raises(Blocked, match=f"may be withdrawn by {ANA}, who gave it"):
        record_withdrawal(ledger, 1, by, "seen again", owner=owner, may=may)
    assert waiver_for(ledger, red()) is not None


def test_a_refused_withdrawal_names_everybody_who_may(ledger: Ledger) -> None:
    with pytest.raises(
        Blocked, match=rf"by {ANA}, who gave it, or by {BEN}, {TEAM}, not by 'cy@risk.example'"
    ):
        record_withdrawal(ledger, 1, "cy@risk.example", "seen again", may={TEAM, ANA, BEN})


@pytest.mark.parametrize(
    ("sequence", "told"),
    [
        (9, "ledger entry 9 does not exist; it has entries 1 to 2"),
        (0, "ledger entry 0 does not exist"),
        (2, "entry 2 is of kind refusal; what can be withdrawn is a waiver or an approval"),
    ],
    ids=["unknown", "zero", "another kind"],
)
def test_only_a_waiver_or_an_approval_that_exists(ledger: Ledger, sequence: int, told: str) -> None:
    with pytest.raises(Blocked, match=told):
        record_withdrawal(ledger, sequence, ANA, "seen again")
    assert len(ledger.entries()) == 2


def test_an_empty_ledger_holds_nothing_to_withdraw(tmp_path: Path) -> None:
    with pytest.raises(Blocked, match="entry 1 does not exist; it is empty"):
        record_withdrawal(Ledger(tmp_path), 1, ANA, "seen again")


def test_nothing_is_withdrawn_twice_and_a_withdrawal_stays(ledger: Ledger) -> None:
    first = record_withdrawal(ledger, 1, ANA, "seen again")
    with pytest.raises(Blocked, match=rf"was withdrawn already, by {ANA} at {first.at} \(ledger entry 3\)"):
        record_withdrawal(ledger, 1, ANA, "seen again")
    with pytest.raises(Blocked, match="entry 3 is of kind withdrawal"):
        record_withdrawal(ledger, 3, ANA, "I was right before")


def test_of_two_withdrawals_at_once_one_is_recorded(ledger: Ledger) -> None:
    def withdraw(_: int) -> str:
        try:
            return record_withdrawal(ledger, 1, ANA, "seen again").kind
        except Blocked as error:
            return str(error)

    with ThreadPoolExecutor(8) as threads:
        told = list(threads.map(withdraw, range(8)))
    assert told.count("withdrawal") == 1
    assert sum("was withdrawn already" in answer for answer in told) == 7
    assert [e.kind for e in ledger.entries()] == ["waiver", "refusal", "withdrawal"]


def test_what_ended_by_itself_cannot_be_withdrawn(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    end = today() + timedelta(days=5)
    monkeypatch.setattr(ledger_module, "utc_now", lambda: f"{end}T23:59:59.000000Z")
    assert waiver_for(ledger, red()) is not None
    monkeypatch.setattr(ledger_module, "utc_now", lambda: f"{end + timedelta(days=1)}T00:00:00.000000Z")
    with pytest.raises(Blocked, match=f"waiver 1 ended on {end}; it counts for nothing"):
        record_withdrawal(ledger, 1, ANA, "seen again")


@pytest.mark.parametrize(
    ("by", "reason", "told"),
    [("team:payments", "why", "needs a person"), ("", "why", "needs a person"), (ANA, " ", "needs a reason")],
    ids=["a team", "nobody", "no reason"],
)
def test_an_incomplete_withdrawal_is_refused(ledger: Ledger, by: str, reason: str, told: str) -> None:
    with pytest.raises(Blocked, match=f"a withdrawal {told}"):
        record_withdrawal(ledger, 1, by, reason, may=[TEAM])
    assert len(ledger.entries()) == 2


@pytest.mark.parametrize("body", [{}, {"entry": "1"}, {"entry": None}], ids=["none", "text", "null"])
def test_a_withdrawal_of_nothing_takes_nothing_back(ledger: Ledger, body: dict) -> None:
    ledger.append("withdrawal", "raw/orders", ANA, body)
    assert waiver_for(ledger, red()) is not None


# -- the ledger's look before an entry


def test_the_look_before_an_entry_sees_all_that_is_before_it(ledger: Ledger) -> None:
    """Another entry slips in after the look: it is looked at again."""
    seen: list[int] = []

    def check(entries: list[Entry]) -> None:
        seen.append(len(entries))
        if len(seen) == 1:
            ledger.append("note", "shop", "somebody", {})

    added = ledger.append("note", "shop", "me", {}, check=check)
    assert seen == [2, 3]
    assert added.sequence == 4


def test_a_look_that_raises_adds_nothing(ledger: Ledger) -> None:
    def check(entries: list[Entry]) -> None:
        raise Blocked("no")

    with pytest.raises(Blocked, match="no"):
        ledger.append("note", "shop", "me", {}, check=check)
    assert ledger.head == (2, ledger.entries()[-1].hash)
    first: list[int] = []
    Ledger(ledger.folder / "empty").append("note", "shop", "me", {}, check=lambda e: first.append(len(e)))
    assert first == [0]


def test_a_withdrawal_that_was_edited_is_noticed(ledger: Ledger) -> None:
    entry = record_withdrawal(ledger, 1, ANA, "seen again")
    assert replace(entry, body={**entry.body, "entry": 2}).computed_hash() != asdict(entry)["hash"]
