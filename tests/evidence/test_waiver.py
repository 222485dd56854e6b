"""How long a waiver may last, and which of several covers what."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from platform_assets.errors import Blocked
from platform_assets.evidence.evidence import Evidence, Verdict
from platform_assets.evidence.ledger import Ledger
from platform_assets.evidence.standing import today
from platform_assets.evidence.waiver import LONGEST, record_waiver, waiver_for

ANA, BEN = "ana@payments.example", "ben@payments.example"


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
