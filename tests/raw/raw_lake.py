"""A lake with raw days of the small source, and a contract file beside it."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from raw_sources import rows_of, small_source

from platform_assets.declaration.source import Source
from platform_assets.evidence.evidence import Evidence
from platform_assets.evidence.standing import today
from platform_assets.evidence.waiver import record_waiver
from platform_assets.home import Home
from platform_assets.lake.manifest import Manifest
from platform_assets.raw import contract_in_force
from platform_assets.raw.contract import evaluate_contract
from platform_assets.raw.contract_in_force import ContractStanding, contract_standing
from platform_assets.raw.trust import untrusted_days
from platform_assets.stores import Stores


def expect(kind: str, severity: str = "critical", **kwargs: Any) -> dict[str, Any]:
    """One expectation as it stands in a suite file."""
    return {"type": f"expect_{kind}", "kwargs": kwargs, "severity": severity, "meta": {}}


PRICE = expect("column_values_to_be_between", column="price", min_value=0, max_value=100)
BUYER = expect("column_values_to_be_between", column="buyer", min_value=0)
ANA = "ana@shop.example"
NOTE = expect("column_values_to_be_in_set", "warning", column="note", value_set=["gift", "new"])


class RawLake:
    """Write raw days, change the suite, ask the contract."""

    def __init__(self, root: Path, *expectations: dict[str, Any], **changes: Any) -> None:
        self.source: Source = small_source(**changes)
        self.stores = Stores.at(Home.at(root / "home"))
        self.suite = root / "orders.json"
        self.declare(*(expectations or (PRICE, BUYER, NOTE)))

    def declare(self, *expectations: dict[str, Any]) -> None:
        self.suite.write_text(json.dumps({"name": "orders", "expectations": list(expectations)}))

    def put(self, day: str, rows: pa.Table | None = None) -> Manifest:
        rows = rows_of(day) if rows is None else rows
        return self.stores.lake.table("raw/orders").write(
            day,
            rows.append_column("_available_at", rows["moment"]),
            key=("id",),
            code_version="test",
            inputs={},
            cause="test",
        )

    def days(self, count: int) -> list[str]:
        """That many good days from 2024-03-01 on, five rows each."""
        days = [f"2024-03-{number:02d}" for number in range(1, count + 1)]
        for number, day in enumerate(days):
            self.put(day, rows_of(day, first=100 * number))
        return days

    def ask(self, *days: str) -> dict[str, Evidence]:
        return evaluate_contract(self.stores, self.source, self.suite, days, run_id="r1")

    def killed_before_the_switch(self, monkeypatch: pytest.MonkeyPatch, *days: str) -> None:
        """Ask, and be interrupted right before the declared contract is put in force."""

        def killed(*_: object) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(contract_in_force, "_keep", killed)
            with pytest.raises(KeyboardInterrupt):
                self.ask(*days)

    def standing(self) -> ContractStanding:
        return contract_standing(self.stores, self.source, self.suite)

    def accept(self, change: Evidence | None = None, owner: str = "team:shop") -> int:
        """An owner's word for what a change does to stored days; the ledger entry's number."""
        change = change or self.standing().change
        assert change is not None
        until = today() + timedelta(days=3)
        word = record_waiver(self.stores.ledger, change, owner, "they are wrong", until, by=ANA)
        return word.sequence

    def untrusted(self, *days: str) -> dict[str, str]:
        return untrusted_days(self.stores, self.source, self.suite, days)


def verdicts(evidence: Evidence) -> dict[str, str]:
    """Verdict of each expectation by name."""
    return {item["name"]: item["verdict"] for item in evidence.measured["expectations"]}
