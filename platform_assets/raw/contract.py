"""The data contract of a source, asked of its days: verdicts that are recorded, one a day."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from platform_assets.declaration.source import Source
from platform_assets.evidence.evidence import Evidence
from platform_assets.raw.contract_in_force import settle_contract
from platform_assets.raw.judgement import KIND, judge_contract
from platform_assets.stores import Stores


def evaluate_contract(
    stores: Stores, source: Source, suite_path: Path, days: Iterable[str], *, run_id: str = ""
) -> dict[str, Evidence]:
    """Ask the contract in force of each day, as `judge_contract` does, and record what it says.

    A changed contract is judged by the stored days first, and asked only if it may take effect. Where
    the same is found again on the same versions, the earlier evidence stays, and with it a waiver
    given for it.
    """
    contract = settle_contract(stores, source, suite_path, run_id=run_id).in_force
    found = judge_contract(stores, source, contract, days, run_id=run_id)
    return {day: _record(stores, evidence) for day, evidence in found.items()}


def _record(stores: Stores, evidence: Evidence) -> Evidence:
    """Keep the earlier evidence where only the volume of other days moved."""
    earlier = stores.evidence.latest(KIND, evidence.subject, evidence.partition)
    if (
        earlier is not None
        and earlier.holds_for(evidence.versions)
        and _substance(earlier) == _substance(evidence)
    ):
        return earlier
    return stores.evidence.record(evidence)


def _substance(evidence: Evidence) -> list[tuple[Any, ...]]:
    listed = evidence.measured.get("expectations", [])
    return [
        (str(evidence.verdict),),
        *((e["name"], e["verdict"], e["failing"], e["blocking"]) for e in listed),
    ]
