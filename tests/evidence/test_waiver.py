"""What a waiver says, how long it may last, and which of several covers what."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from platform_assets.errors import Blocked
from platform_assets.evidence.evidence import Evidence, Verdict
from platform_assets.evidence.ledger import Ledger
from platform_assets.evidence.standing import today
from platform_assets.evidence.waiver import LONGEST, record_waiver, waiver_for

ANA, BEN = "ana@payments.example", "ben@payments.example"
TOMORROW, YESTERDAY = today() + timedelta(days=1), today() - timedelta(days=1)


def red(what: str = "a") -> Evidence:
    return Evidence("contract", "raw/orders", Verdict.FAILED, "because", {"raw": what})


def test_a_waiver_lasts_92_days_at_most_and_the_error_names_the_last_day(tmp_path: Path) -> None:
    ledger, last = Ledger(tmp_path), today() + timedelta(days=92)
    assert timedelta(days=92) == LONGEST
    assert record_waiver(ledger, red(), ANA, "refunds", last).body["expires"] == last.isoformat()
    with pytest.raises(Blocked, match=f"at most until {last}"):
        record_waiver(ledger, red(), ANA, "refunds", last + timedelta(days=1))
    assert len(ledger.entries(kind="waiver")) == 1


def test_a_newer_waiver_of_other_evidence_does_not_hide_an_older_one(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    first = record_waiver(ledger, red(), ANA, "refunds", today())
    record_waiver(ledger, red("b"), ANA, "refunds", today())
    assert waiver_for(ledger, red()) == first


def test_a_newer_waiver_of_somebody_else_does_not_hide_the_owners(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    first = record_waiver(ledger, red(), ANA, "refunds", today())
    record_waiver(ledger, red(), BEN, "me too", today())
    assert waiver_for(ledger, red(), owners=[ANA]) == first


@pytest.mark.parametrize(
    ("owner", "by", "reason", "expires", "told"),
    [
        ("team:shop", " ", "why", TOMORROW, "a waiver needs a person who answers for it .*, not 'team:shop'"),
        ("team:shop", "team:data", "why", TOMORROW, "a waiver needs a person .*, not 'team:data'"),
        (" ", "", "why", TOMORROW, "a waiver needs a person .*, not ''"),
        ("team:shop", ANA, " ", TOMORROW, "a waiver needs a reason"),
        ("team:shop", ANA, "why", "soon", "a waiver needs an end date such as 2026-12-31, not 'soon'"),
        ("team:shop", ANA, "why", "2020-01-01", "a waiver that ended on 2020-01-01 covers nothing"),
        ("team:shop", ANA, "why", YESTERDAY, f"a waiver that ended on {YESTERDAY} covers nothing"),
        ("team:shop", ANA, "why", "2999-01-01", "a waiver until 2999-01-01 is no exception any more"),
    ],
    ids=["only a team", "a team", "nobody", "no reason", "no date", "past", "yesterday", "for ever"],
)
def test_an_incomplete_waiver_is_refused(
    tmp_path: Path, owner: str, by: str, reason: str, expires: str | date, told: str
) -> None:
    ledger = Ledger(tmp_path)
    with pytest.raises(Blocked, match=f"^{told}"):
        record_waiver(ledger, red(), owner, reason, expires, by=by)
    assert ledger.entries() == []


@pytest.mark.parametrize("expires", [TOMORROW, TOMORROW.isoformat()], ids=["a date", "its text"])
def test_what_a_waiver_says(tmp_path: Path, expires: str | date) -> None:
    entry = record_waiver(Ledger(tmp_path), red(), " team:shop ", " refunds ", expires, by=f" {ANA} ")
    assert (entry.kind, entry.product, entry.actor) == ("waiver", "raw/orders", "team:shop")
    assert entry.body == {
        "by": ANA,
        "evidence": red().id,
        "kind": "contract",
        "subject": "raw/orders",
        "partition": "",
        "verdict": "FAILED",
        "reason": "refunds",
        "expires": TOMORROW.isoformat(),
    }


@pytest.mark.parametrize(
    ("actor", "body", "owners", "covers"),
    [
        (ANA, {}, None, True),
        (ANA, {}, [BEN, ANA], True),
        (ANA, {}, [BEN], False),
        (ANA, {}, [], False),
        (" ", {}, None, False),
        (" ", {}, [" "], False),
        (ANA, {"evidence": red("b").id}, None, False),
        (ANA, {"evidence": None}, None, False),
        (ANA, {"expires": YESTERDAY.isoformat()}, None, False),
        (ANA, {"expires": "some day"}, None, False),
    ],
    ids=[
        "anybody's", "an owner's", "another's", "nobody owns it", "of nobody", "of nobody, owned by nobody",
        "of other evidence", "of none", "ended", "no date",
    ],
)  # fmt: skip
def test_which_waiver_covers(
    tmp_path: Path, actor: str, body: dict[str, Any], owners: list[str] | None, covers: bool
) -> None:
    """However it came into the ledger."""
    ledger = Ledger(tmp_path)
    told = {"by": ANA, "evidence": red().id, "expires": TOMORROW.isoformat(), "reason": "x"}
    entry = ledger.append("waiver", "raw/orders", actor, {**told, **body})
    assert waiver_for(ledger, red(), owners=owners) == (entry if covers else None)
