"""Whose word stands on a day, told of entries as they lie in the ledger."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from platform_assets.evidence import ledger as ledger_module
from platform_assets.evidence.ledger import Entry, Ledger
from platform_assets.evidence.standing import giver, holds_on, standing, today, version_of, withdrawn_of

DAY = date(2026, 3, 1)


def entries_of(*told: tuple[str, Mapping[str, Any]]) -> list[Entry]:
    return [Entry(n, kind, "shop", "actor", "", body, "") for n, (kind, body) in enumerate(told, start=1)]


@pytest.mark.parametrize(
    ("expires", "holds"),
    [
        (DAY.isoformat(), True),
        ((DAY + timedelta(days=1)).isoformat(), True),
        ((DAY - timedelta(days=1)).isoformat(), False),
        ("some day", False),
        (None, False),
    ],
    ids=["its last day", "longer", "ended", "no date", "no end"],
)
def test_a_word_holds_through_its_last_day_and_without_an_end_never(expires: Any, holds: bool) -> None:
    (entry,) = entries_of(("waiver", {"expires": expires}))
    assert holds_on(entry, DAY) is holds


given_words = st.builds(
    lambda kind, days: (kind, {"expires": (DAY + timedelta(days=days)).isoformat()}),
    st.sampled_from(["waiver", "approval"]),
    st.integers(-2, 2),
)
names_an_entry = st.builds(
    lambda kind, entry: (kind, {"entry": entry}),
    st.sampled_from(["refusal", "withdrawal", "withdrawal", "zeal"]),
    st.integers(0, 6),
)


@given(st.lists(st.one_of(given_words, names_an_entry), max_size=8))
def test_what_was_given_stands_until_it_ends_or_is_taken_back(told: list[tuple[str, Any]]) -> None:
    entries = entries_of(*told)
    gone = [body["entry"] for kind, body in told if kind == "withdrawal"]
    for kind in ("waiver", "approval"):
        wanted = [
            number
            for number, (its, body) in enumerate(told, start=1)
            if its == kind and body["expires"] >= DAY.isoformat() and number not in gone
        ]
        assert [entry.sequence for entry in standing(entries, kind, DAY)] == wanted


def test_of_two_withdrawals_the_first_is_named_and_only_what_was_asked_for() -> None:
    waiver, approval, first, _, last = entries = entries_of(
        ("waiver", {}), ("approval", {}), ("withdrawal", {"entry": 1}), ("withdrawal", {"entry": 1}),
        ("withdrawal", {"entry": 2}),
    )  # fmt: skip
    assert withdrawn_of(entries, {1}) == [(waiver, first)]
    assert withdrawn_of(entries, {1, 2, 3}) == [(waiver, first), (approval, last)]
    assert withdrawn_of(entries, ()) == []


@pytest.mark.parametrize(
    ("body", "version"),
    [
        ({"kind": "gate/leakage", "partition": "7"}, "7"),
        ({"kind": "gate/leakage", "partition": "7", "version": "8"}, "7"),
        ({"kind": "contract", "partition": "2026-03-01"}, ""),
        ({"version": "8"}, "8"),
        ({}, ""),
        ({"kind": "gate/leakage"}, ""),
    ],
    ids=["of a gate", "the gate's own", "of a raw day", "approval", "nothing", "a gate without one"],
)
def test_the_model_version_it_is_about(body: dict[str, str], version: str) -> None:
    (entry,) = entries_of(("waiver", body))
    assert version_of(entry) == version


def test_the_person_gave_it_and_else_the_actor() -> None:
    named, unnamed = entries_of(("waiver", {"by": "ana@a.example"}), ("waiver", {"by": ""}))
    assert (giver(named), giver(unnamed)) == ("ana@a.example", "actor")


def test_today_is_never_before_the_newest_entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that was set back makes no word stand again."""
    before, present, ledger = datetime.now(UTC).date(), today(), Ledger(tmp_path)
    assert before <= present <= datetime.now(UTC).date()
    assert present <= today(ledger) <= datetime.now(UTC).date()
    later = (present + timedelta(days=40)).isoformat()
    monkeypatch.setattr(ledger_module, "utc_now", lambda: f"{later}T23:59:59.999999Z")
    ledger.append("note", "shop", "me", {})
    monkeypatch.undo()
    assert today(ledger).isoformat() == later
    assert today() < today(ledger)
    monkeypatch.setattr(ledger_module, "utc_now", lambda: "2020-01-01T00:00:00.000000Z")
    assert today(Ledger(tmp_path / "empty")) >= present, "the ledger's clock is behind ours"
