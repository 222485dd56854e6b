"""A changed contract counts once stored days pass it, or an owner accepts that they do not."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from raw_lake import ANA, BUYER, NOTE, PRICE, RawLake, expect
from raw_sources import rows_of, with_column

from platform_assets.declaration.repository import Repository
from platform_assets.evidence.evidence import Evidence
from platform_assets.evidence.withdrawal import record_withdrawal
from platform_assets.raw.assets import _check, raw_asset
from platform_assets.raw.contract_in_force import (
    contract_standing,
    contracts_in_force,
    pending_change,
)
from platform_assets.resources import PlatformResource

DAYS = ["2024-03-01", "2024-03-02", "2024-03-03", "2024-03-04"]
STRICT = expect("column_max_to_be_between", column="price", max_value=-0.5)


@pytest.fixture
def lake(tmp_path: Path) -> RawLake:
    """Four days that pass their contract."""
    made = RawLake(tmp_path, PRICE, BUYER)
    made.ask(*made.days(4))
    return made


def causes(lake: RawLake) -> list[str]:
    return [manifest.cause for manifest in contracts_in_force(lake.stores, lake.source)[1]]


def judged_by(evidence: Evidence) -> str:
    return evidence.versions["contract"]


def test_the_first_contract_counts_and_is_kept_as_it_was(lake: RawLake) -> None:
    table, kept = contracts_in_force(lake.stores, lake.source)
    assert [manifest.cause for manifest in kept] == ["the first contract of the source"]
    assert table.document_of(kept[0])["suite"] == json.loads(lake.suite.read_text())
    assert kept[0].notes["version"] == lake.standing().declared.version
    assert not lake.standing().pending
    assert pending_change(lake.stores, lake.source, lake.suite) == (None, False)
    lake.ask(*DAYS)
    assert len(causes(lake)) == 1


def test_a_change_that_no_stored_day_fails_takes_effect(lake: RawLake) -> None:
    lake.declare(PRICE)
    assert lake.standing().pending
    assert lake.standing().refused == "", "nobody knows yet"
    change, accepted = pending_change(lake.stores, lake.source, lake.suite)
    assert change is not None
    assert (change.fails, accepted) == ({}, False)
    found = lake.ask(*DAYS)
    assert not lake.standing().pending
    assert {judged_by(evidence) for evidence in found.values()} == {lake.standing().declared.version}
    assert causes(lake)[1:] == ["judged by it, 0 of 4 stored days no longer pass"]


def test_a_change_that_stored_days_fail_does_not(lake: RawLake) -> None:
    before = lake.standing().in_force.version
    lake.declare(PRICE, BUYER, STRICT)
    lake.put("2024-03-05", rows_of("2024-03-05", first=900))
    found = lake.ask("2024-03-05")
    assert judged_by(found["2024-03-05"]) == before
    assert lake.untrusted(*DAYS, "2024-03-05") == {}
    assert lake.standing().in_force.version == before
    assert (
        "judged by it, 5 of 5 stored days no longer pass (2024-03-01, 2024-03-02" in lake.standing().refused
    )
    assert "platform-assets contract accept orders --by <you>" in lake.standing().refused
    assert len(causes(lake)) == 1
    lake.ask(*DAYS)
    assert (
        len(lake.stores.evidence.history("contract_change", "raw/orders", lake.standing().declared.version))
        == 1
    )


def test_accepted_by_an_owner_it_takes_effect_with_the_next_run(lake: RawLake) -> None:
    lake.declare(PRICE, BUYER, STRICT)
    lake.ask(*DAYS)
    entry = lake.accept()
    assert lake.standing().may_take_effect
    assert lake.untrusted(*DAYS) == {}, "nothing changes before days are judged again"
    lake.put("2024-03-05", rows_of("2024-03-05", first=900))
    lake.ask(*DAYS)
    assert not lake.standing().pending
    assert lake.untrusted(*DAYS).keys() == set(DAYS)
    assert causes(lake)[-1].endswith(f"; accepted by {ANA}, ledger entry {entry}")


@pytest.mark.parametrize(
    "undo",
    [
        lambda lake, entry: record_withdrawal(lake.stores.ledger, entry, ANA, "too early"),
        lambda lake, entry: lake.put("2024-03-01", rows_of("2024-03-01", 6)),
        lambda lake, entry: lake.declare(PRICE, STRICT),
    ],
    ids=["withdrawn", "other rows", "another contract"],
)
def test_what_was_accepted_is_exactly_that(lake: RawLake, undo: Any) -> None:
    lake.declare(PRICE, BUYER, STRICT)
    lake.ask(*DAYS)
    undo(lake, lake.accept())
    lake.ask(*DAYS)
    assert lake.standing().pending
    assert lake.untrusted(*DAYS) == {}


def test_a_stranger_accepts_nothing(lake: RawLake) -> None:
    lake.declare(PRICE, BUYER, STRICT)
    lake.ask(*DAYS)
    lake.accept(owner="team:somebody")
    lake.ask(*DAYS)
    assert lake.standing().pending


def test_days_that_are_corrected_let_it_take_effect(lake: RawLake) -> None:
    lake.declare(BUYER, expect("column_max_to_be_between", column="price", max_value=3))
    lake.put("2024-03-02", with_column(rows_of("2024-03-02", first=100), "price", [50.0] * 5))
    lake.ask(*DAYS)
    failing = lake.standing()
    assert failing.change is not None
    for day in failing.change.measured["fails"]:
        lake.put(day, with_column(rows_of(day, first=100 * DAYS.index(day)), "price", [1.0] * 5))
    lake.ask(*DAYS)
    assert not lake.standing().pending
    assert lake.untrusted(*DAYS) == {}


def test_back_to_the_contract_in_force_is_no_change(lake: RawLake) -> None:
    lake.declare(PRICE, BUYER, STRICT)
    lake.ask(*DAYS)
    lake.declare(PRICE, BUYER)
    assert not lake.standing().pending
    lake.ask(*DAYS)
    assert len(causes(lake)) == 1


def test_a_contract_that_cannot_be_read_passes_nothing_at_once(lake: RawLake) -> None:
    lake.suite.write_text("{")
    assert not lake.standing().pending
    assert lake.untrusted(*DAYS).keys() == set(DAYS)


def test_masking_never_waits(lake: RawLake, tmp_path: Path) -> None:
    lake.declare(PRICE, BUYER, STRICT)
    lake.ask(*DAYS)
    columns = [c.model_copy(update={"masked": c.name == "price"}) for c in lake.source.columns]
    masked = lake.source.model_copy(update={"columns": tuple(columns)})
    found = contract_standing(lake.stores, masked, lake.suite)
    assert found.pending
    assert found.in_force.masked == ("price",)


def test_killed_between_the_judgement_and_the_switch(lake: RawLake, monkeypatch: pytest.MonkeyPatch) -> None:
    lake.declare(PRICE)
    lake.killed_before_the_switch(monkeypatch, *DAYS)
    assert lake.standing().may_take_effect
    lake.ask(*DAYS)
    assert not lake.standing().pending


SUITES = {"price": (PRICE,), "both": (PRICE, BUYER), "note": (PRICE, NOTE), "strict": (PRICE, STRICT)}
STEPS = st.one_of(
    st.tuples(st.just("declare"), st.sampled_from(sorted(SUITES))),
    st.tuples(st.just("put"), st.sampled_from(DAYS), st.sampled_from([1.0, -0.7, 500.0])),
    st.just(("ask",)),
)


@settings(max_examples=12, deadline=None)
@given(steps=st.lists(STEPS, min_size=3, max_size=9))
def test_no_contract_takes_a_day_away_without_a_word(steps: list[tuple[Any, ...]]) -> None:
    """Whatever is declared and written: a day whose rows stay, once trusted, stays so when it is asked again."""
    with tempfile.TemporaryDirectory() as folder:
        lake = RawLake(Path(folder), PRICE, BUYER)
        lake.ask(*lake.days(4))
        held = set(DAYS)
        for step in steps:
            if step[0] == "declare":
                lake.declare(*SUITES[step[1]])
            elif step[0] == "put":
                rows = rows_of(step[1], first=100 * DAYS.index(step[1]))
                digest = lake.stores.lake.table("raw/orders").digests()[step[1]]
                made = lake.put(step[1], with_column(rows, "price", [step[2]] * 5))
                held -= {step[1]} if made.digest != digest else set()
            else:
                lake.ask(*DAYS)
                lost = held & lake.untrusted(*DAYS).keys()
                assert lost == set()
                held = set(DAYS) - lake.untrusted(*DAYS).keys()


def test_the_web_ui_tells_what_is_not_in_force(tmp_path: Path) -> None:
    lake = RawLake(tmp_path, PRICE, BUYER)
    for number, day in enumerate(DAYS):
        pq.write_table(rows_of(day, first=100 * number), tmp_path / f"{day}.parquet")
    repository = Repository({"orders": lake.source}, {}, {}, {"orders": tmp_path})
    assert repository.contract_path(lake.source) == lake.suite

    def checks() -> dict[str, dg.AssetCheckEvaluation]:
        asset = raw_asset(repository, lake.source)
        with dg.DagsterInstance.ephemeral() as instance:
            result = dg.materialize(
                [asset],
                instance=instance,
                resources={"platform": PlatformResource(home=str(lake.stores.home.root))},
                tags={
                    "dagster/asset_partition_range_start": DAYS[0],
                    "dagster/asset_partition_range_end": DAYS[-1],
                },
            )
        found = {check.check_name: check for check in result.get_asset_check_evaluations()}
        assert found.keys() == {key.name for key in asset.check_keys}
        return found

    first = checks()
    assert first["contract_in_force"].passed
    lake.declare(PRICE, BUYER, STRICT)
    pending = checks()
    assert not pending["contract_in_force"].passed
    assert "4 of 4 stored days no longer pass" in (pending["contract_in_force"].description or "")
    assert pending["price_be_between"].passed
    strict = pending["price_max_to_be_between"]
    assert (strict.passed, strict.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert strict.description == "not asked: it is declared and not in force, see contract_in_force"
    lake.accept()
    accepted = checks()
    assert accepted["contract_in_force"].passed
    assert accepted["price_max_to_be_between"].severity is dg.AssetCheckSeverity.ERROR


def test_a_day_that_cannot_be_read_is_told_while_a_contract_waits(lake: RawLake) -> None:
    """It has no verdict of any expectation: that is not the same as an expectation that was not asked."""
    lake.declare(PRICE, BUYER, STRICT)
    lake.ask(*DAYS)
    lake.put("2024-03-05", with_column(rows_of("2024-03-05"), "price", [500.0] * 5))
    manifest = lake.put("2024-03-06")
    lake.stores.lake.table("raw/orders").path(manifest).write_bytes(b"damaged")
    found = lake.ask("2024-03-05", "2024-03-06")
    check = _check(dg.AssetKey("orders"), "price_be_between", "critical", found, lake.standing())
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert check.description == "2 of 2 days did not pass: 2024-03-05, 2024-03-06"
