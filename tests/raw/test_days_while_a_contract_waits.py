"""Days that come, change or go around a changed contract: none falls that nobody was told of."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from raw_lake import ANA, BUYER, PRICE, RawLake, expect
from raw_sources import rows_of, with_column

from platform_assets.declaration.source import Volume
from platform_assets.evidence.standing import today
from platform_assets.evidence.waiver import record_waiver
from platform_assets.evidence.withdrawal import record_withdrawal
from platform_assets.lineage.garbage import garbage
from platform_assets.lineage.raw_day import used_by
from platform_assets.lineage.verification import verify
from platform_assets.raw.contract_in_force import contracts_in_force, in_force_by, pending_change
from platform_assets.registry.timeline import timeline

DAYS = ["2024-03-01", "2024-03-02", "2024-03-03", "2024-03-04"]
NEW = "2024-03-05"
CHEAP = expect("column_max_to_be_between", column="price", max_value=40)


@pytest.fixture
def lake(tmp_path: Path) -> RawLake:
    """Four days that pass their contract; the first would fail CHEAP."""
    made = RawLake(tmp_path, PRICE, BUYER)
    made.days(4)
    put(made, DAYS[0], 50.0)
    made.ask(*DAYS)
    return made


def put(lake: RawLake, day: str, price: float) -> None:
    lake.put(day, with_column(rows_of(day, first=100 * int(day[-2:])), "price", [price] * 5))


def waive(lake: RawLake, day: str) -> None:
    red = lake.stores.evidence.latest("contract", "raw/orders", day)
    assert red is not None
    record_waiver(lake.stores.ledger, red, "team:shop", "a sale", today() + timedelta(days=3), by=ANA)


def fails(lake: RawLake) -> list[str]:
    change = lake.standing().change
    assert change is not None
    return sorted(change.measured["fails"])


def waits(lake: RawLake) -> None:
    """The contract before counts, and nothing fell."""
    assert lake.standing().pending
    assert lake.untrusted(*DAYS) == {}


def test_a_day_taken_in_meanwhile_is_told_in_the_run_that_took_it(lake: RawLake) -> None:
    lake.declare(PRICE, BUYER, CHEAP)
    lake.ask(*DAYS)
    assert fails(lake) == [DAYS[0]]
    put(lake, NEW, 60.0)
    lake.ask(NEW)
    assert fails(lake) == [DAYS[0], NEW]
    assert "2 of 5 stored days no longer pass" in lake.standing().refused


def test_a_word_given_before_a_day_was_told_does_not_cover_it(lake: RawLake) -> None:
    lake.declare(PRICE, BUYER, CHEAP)
    lake.ask(*DAYS)
    told = lake.standing().change
    put(lake, NEW, 60.0)
    lake.ask(NEW)
    lake.accept(told)
    lake.ask(*DAYS, NEW)
    waits(lake)
    assert lake.untrusted(NEW) == {}
    lake.accept()
    lake.ask(*DAYS, NEW)
    assert lake.untrusted(*DAYS, NEW).keys() == {DAYS[0], NEW}


def test_a_day_that_came_with_the_run_does_not_undo_it(lake: RawLake) -> None:
    """It was never built on: the contract in force refuses it, as every new day."""
    lake.declare(PRICE, BUYER, CHEAP)
    lake.ask(*DAYS)
    lake.accept()
    put(lake, NEW, 60.0)
    lake.ask(NEW)
    assert not lake.standing().pending
    assert lake.untrusted(*DAYS, NEW).keys() == {DAYS[0], NEW}


def test_a_day_that_passes_and_is_corrected_to_one_that_does_not(lake: RawLake) -> None:
    lake.declare(PRICE, BUYER, CHEAP)
    lake.ask(*DAYS)
    put(lake, DAYS[1], 60.0)
    lake.ask(DAYS[1])
    assert fails(lake) == DAYS[:2]


def test_a_red_day_that_is_waived_after_the_change_was_accepted(lake: RawLake) -> None:
    put(lake, DAYS[1], 500.0)
    lake.ask(*DAYS)
    lake.declare(PRICE, BUYER, CHEAP)
    lake.ask(*DAYS)
    assert fails(lake) == [DAYS[0]], "a red day does not fall"
    lake.accept()
    waive(lake, DAYS[1])
    assert lake.untrusted(*DAYS) == {}
    change, accepted = pending_change(lake.stores, lake.source, lake.suite)
    assert change is not None
    assert (sorted(change.fails), accepted) == (DAYS[:2], False), "as the next run finds"
    lake.ask(*DAYS)
    waits(lake)
    assert fails(lake) == DAYS[:2]


def test_a_contract_that_was_in_force_before_is_judged_by_what_came_since(lake: RawLake) -> None:
    put(lake, DAYS[0], 1.0)
    lake.ask(*DAYS)
    for suite in ((PRICE, BUYER, CHEAP), (PRICE, BUYER)):
        lake.declare(*suite)
        lake.ask(*DAYS)
        assert not lake.standing().pending
    put(lake, DAYS[1], 60.0)
    lake.ask(*DAYS)
    lake.declare(PRICE, BUYER, CHEAP)
    lake.ask(*DAYS)
    waits(lake)
    assert fails(lake) == [DAYS[1]]


def test_killed_before_the_switch_and_a_day_is_corrected(
    lake: RawLake, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(lake, DAYS[0], 1.0)
    lake.ask(*DAYS)
    lake.declare(PRICE, BUYER, CHEAP)
    lake.killed_before_the_switch(monkeypatch, *DAYS)
    put(lake, DAYS[1], 60.0)
    lake.ask(*DAYS)
    waits(lake)


@pytest.mark.parametrize("accepted", [False, True])
def test_days_that_the_source_does_not_offer_any_more(lake: RawLake, accepted: bool) -> None:
    """No run is asked for them again, so what puts a contract in force judges them too."""
    if not accepted:
        put(lake, DAYS[0], 1.0)
        lake.ask(*DAYS)
    lake.declare(PRICE, BUYER, CHEAP)
    lake.ask(DAYS[3])
    if accepted:
        lake.accept()
        lake.ask(DAYS[3])
    assert not lake.standing().pending
    assert list(lake.untrusted(*DAYS)) == (DAYS[:1] if accepted else [])


def test_days_outside_the_source_do_not_hold_a_contract_up(lake: RawLake) -> None:
    put(lake, DAYS[0], 1.0)
    put(lake, "2024-04-02", 60.0)
    lake.ask(*DAYS)
    lake.declare(PRICE, BUYER, CHEAP)
    lake.ask(*DAYS)
    assert not lake.standing().pending


def test_volume_that_moved_with_the_days_around(lake: RawLake) -> None:
    """A day's neighbours came since it was judged: by the changed contract, it falls for want of rows."""
    lake.source = lake.source.model_copy(update={"volume": Volume(neighbours=4, at_least=0.1, at_most=9)})
    lake.ask(*DAYS)
    lake.source = lake.source.model_copy(update={"volume": Volume(neighbours=4, at_least=0.6, at_most=9)})
    lake.declare(PRICE, BUYER, CHEAP)
    lake.ask(*DAYS)
    assert fails(lake) == DAYS[:1]
    for number, day in enumerate(("2024-03-05", "2024-03-06", "2024-03-07")):
        lake.put(day, rows_of(day, 15, first=2000 + 100 * number))
    lake.ask("2024-03-05", "2024-03-06", "2024-03-07")
    assert fails(lake) == [DAYS[0], DAYS[3]]


def masked(lake: RawLake, *names: str) -> None:
    columns = [c.model_copy(update={"masked": c.name in names}) for c in lake.source.columns]
    lake.source = lake.source.model_copy(update={"columns": tuple(columns)})


@pytest.mark.parametrize("suite", [(PRICE, BUYER), (PRICE, BUYER, CHEAP)], ids=["in force", "waiting"])
def test_the_history_holds_every_contract_that_evidence_names(lake: RawLake, suite: Any) -> None:
    lake.declare(*suite)
    lake.ask(*DAYS)
    masked(lake, "buyer", "price")
    judged = lake.ask(*DAYS)
    table, kept = contracts_in_force(lake.stores, lake.source)
    assert {e.versions["contract"] for e in judged.values()} == {kept[-1].notes["version"]}
    assert table.document_of(kept[-1])["masked"] == ["buyer", "price"]
    assert kept[-1].cause == "other columns are masked"
    lake.ask(*DAYS)
    assert len(contracts_in_force(lake.stores, lake.source)[1]) == 2


@pytest.mark.parametrize("content", ["{", '{"verdict": "FAILED"}'])
def test_a_judgement_that_cannot_be_read_is_made_again(lake: RawLake, content: str) -> None:
    lake.declare(PRICE, BUYER, CHEAP)
    lake.ask(*DAYS)
    (newest,) = (lake.stores.evidence.root / "contract_change/raw/orders").rglob("*.json")
    newest.write_text(content)
    assert lake.standing().pending
    assert lake.standing().change is None
    lake.ask(*DAYS)
    waits(lake)
    assert fails(lake) == DAYS[:1]


def test_a_failing_day_that_is_gone(lake: RawLake) -> None:
    lake.declare(PRICE, BUYER, CHEAP)
    lake.ask(*DAYS)
    (lake.stores.lake.table("raw/orders").folder / f"manifests/{DAYS[0]}/current").unlink()
    assert lake.standing().change is None, "to be judged again"
    lake.ask(*DAYS[1:])
    assert not lake.standing().pending


@pytest.mark.parametrize("red", [False, True], ids=["passed", "waived"])
def test_a_contract_that_waits_takes_no_day_by_a_volume_that_moved(lake: RawLake, red: bool) -> None:
    """Days that came since would fail the fourth if the contract in force were asked again."""
    lake.source = lake.source.model_copy(update={"volume": Volume(neighbours=4, at_least=0.6, at_most=9)})
    if red:
        put(lake, DAYS[3], 500.0)
    lake.ask(*DAYS)
    if red:
        waive(lake, DAYS[3])
    for number, day in enumerate(("2024-03-05", "2024-03-06", "2024-03-07")):
        lake.put(day, rows_of(day, 15, first=2000 + 100 * number))
    lake.ask("2024-03-05", "2024-03-06", "2024-03-07")
    lake.declare(PRICE, BUYER, CHEAP)
    lake.ask(*DAYS)
    waits(lake)


def test_a_volume_that_moved_takes_no_waiver_away(tmp_path: Path) -> None:
    """Asked again once there are days to compare with: what was waived is wrong as before, and nothing else."""
    lake = RawLake(tmp_path, PRICE, BUYER)
    put(lake, DAYS[0], 500.0)
    lake.ask(DAYS[0])
    waive(lake, DAYS[0])
    for day in DAYS[1:]:
        put(lake, day, 1.0)
    lake.ask(*DAYS)
    assert lake.untrusted(*DAYS) == {}
    lake.put(DAYS[0], with_column(rows_of(DAYS[0], 40), "price", [500.0] * 40))
    lake.ask(DAYS[0])
    assert lake.untrusted(*DAYS).keys() == {DAYS[0]}


def test_the_history_tells_that_the_contract_before_was_lost(lake: RawLake) -> None:
    """Its file was damaged, and its pointer deleted as `verify` says: what is declared is all that there is."""
    table, _ = contracts_in_force(lake.stores, lake.source)
    lake.declare(PRICE, BUYER, CHEAP)
    (table.folder / "manifests/in_force/current").unlink()
    lake.ask(*DAYS)
    causes = [manifest.cause for manifest in contracts_in_force(lake.stores, lake.source)[1]]
    assert causes == ["the first contract of the source", "the contract before it was lost"]


def test_what_auditors_ask_finds_every_contract_and_the_word_for_it(lake: RawLake) -> None:
    lake.declare(PRICE, BUYER, CHEAP)
    lake.ask(*DAYS)
    word = lake.accept()
    lake.ask(*DAYS)
    stores = lake.stores
    table, kept = contracts_in_force(stores, lake.source)
    assert verify(stores).broken == []
    later = datetime.now(UTC) + timedelta(days=400)
    assert [found for found in garbage(stores, keep_days=1, now=later) if found.table == table.name] == []
    assert [table.document_of(manifest)["masked"] for manifest in kept] == [["buyer"], ["buyer"]]
    (told,) = timeline(stores.ledger.entries(), "any", "orders")
    assert (told.sequence, told.who, told.version) == (word, ANA, "")
    assert told.detail.startswith(f"contract_change {kept[-1].notes['version']}: they are wrong, until ")
    record_withdrawal(stores.ledger, word, ANA, "too early")
    assert verify(stores).broken == []
    assert timeline(stores.ledger.entries(), "any", "orders")[0].detail.startswith(f"waiver {word} of ")
    assert {use.noun for use in used_by(stores, "orders", DAYS[0]).uses} == set()
    assert in_force_by(stores, "orders", word) == kept[-1].notes["version"]
    masked(lake, "price")
    lake.ask(*DAYS)
    assert in_force_by(stores, "orders", word) == lake.standing().in_force.version
