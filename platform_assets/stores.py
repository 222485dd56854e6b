"""What every room is handed: the home, and the lake, evidence and ledger in it."""

from __future__ import annotations

from dataclasses import dataclass

from platform_assets.evidence.evidence import EvidenceStore
from platform_assets.evidence.ledger import Ledger
from platform_assets.home import Home
from platform_assets.lake.lake import Lake


@dataclass(frozen=True)
class Stores:
    """One home's stores; opening them creates nothing."""

    home: Home
    lake: Lake
    evidence: EvidenceStore
    ledger: Ledger

    @classmethod
    def at(cls, home: Home) -> Stores:
        """The stores below a home."""
        return cls(
            home=home,
            lake=Lake(home.lake),
            evidence=EvidenceStore(home.lake / "evidence"),
            ledger=Ledger(home.lake / "ledger"),
        )
