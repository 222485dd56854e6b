"""The data contract of a source, asked of its days: verdicts that are recorded, one a day."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from platform_assets.declaration.source import Source
from platform_assets.evidence.evidence import Evidence, Verdict
from platform_assets.evidence.waiver import waiver_for
from platform_assets.raw.contract_change import built_on
from platform_assets.raw.contract_in_force import judge_days_since, settle_contract
from platform_assets.raw.declared_contract import Contract
from platform_assets.raw.judgement import KIND, contract_versions, judge_contract
from platform_assets.stores import Stores
from platform_assets.vocabulary import raw_table


def evaluate_contract(
    stores: Stores, source: Source, suite_path: Path, days: Iterable[str], *, run_id: str = ""
) -> dict[str, Evidence]:
    """Ask the contract in force of each day, as `judge_contract` does, and record what it says.

    A changed contract is judged by the stored days first, and asked only if it may take effect. Then
    it is asked of every stored day, so that none falls for want of a verdict. Where the same is found
    again on the same versions, the earlier evidence stays, and with it a waiver given for it.
    """
    contracts = settle_contract(stores, source, suite_path, run_id=run_id)
    asked = set(days)
    # a contract that waits is why they are asked again: what stood before it stands
    stands = built_on(stores, source, contracts.in_force) if contracts.pending else {}
    left = _judged_by_another(stores, source, contracts.in_force)
    found = judge_contract(stores, source, contracts.in_force, (asked | left) - stands.keys(), run_id=run_id)
    recorded = {day: _record(stores, source, evidence) for day, evidence in found.items()}
    if contracts.pending:
        judge_days_since(stores, source, suite_path, run_id=run_id)
    return {day: evidence for day, evidence in sorted((stands | recorded).items()) if day in asked}


def _judged_by_another(stores: Stores, source: Source, contract: Contract) -> set[str]:
    """Stored days that only another contract was asked of: one that the source lost is in no run's days."""
    found = set()
    for day, digest in stores.lake.table(raw_table(source.name)).digests().items():
        evidence = stores.evidence.latest(KIND, raw_table(source.name), day)
        other = evidence is not None and evidence.mismatch(contract_versions(digest, contract.version))
        if source.covers(day) and other == ["contract"]:
            found.add(day)
    return found


def _record(stores: Stores, source: Source, evidence: Evidence) -> Evidence:
    """Keep the earlier evidence where only the volume of other days moved."""
    earlier = stores.evidence.latest(KIND, evidence.subject, evidence.partition)
    if earlier is None or not earlier.holds_for(evidence.versions):
        return stores.evidence.record(evidence)
    if _substance(earlier) == _substance(evidence):
        return earlier
    # an owner answers for the earlier, and nothing else is wrong now: a volume that moved takes no word away
    if _wrong(earlier) == _wrong(evidence) and waiver_for(stores.ledger, earlier, owners=source.owners):
        return earlier
    return stores.evidence.record(evidence)


def _substance(evidence: Evidence) -> list[tuple[Any, ...]]:
    listed = evidence.measured.get("expectations", [])
    return [
        (str(evidence.verdict),),
        *((e["name"], e["verdict"], e["failing"], e["blocking"]) for e in listed),
    ]


def _wrong(evidence: Evidence) -> list[tuple[Any, ...]]:
    """What of it keeps the day from being built on."""
    listed = evidence.measured.get("expectations", [])
    return [
        (e["name"], e["verdict"], e["failing"])
        for e in listed
        if e["severity"] == "critical" and e["blocking"] and e["verdict"] != Verdict.PASSED
    ]
