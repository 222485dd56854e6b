"""What a changed contract would make of stored days, told before it is in force."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from platform_assets.declaration.source import Source
from platform_assets.evidence.evidence import Verdict
from platform_assets.raw.contract import KIND, contract_version, judge_contract
from platform_assets.stores import Stores
from platform_assets.vocabulary import raw_table


@dataclass(frozen=True)
class ContractChange:
    """Stored days that were judged by another contract, and what the declared one says of them.

    `fails` maps days that passed to why they no longer would; `heals` are days that did not pass and would.
    """

    days: tuple[str, ...]
    fails: Mapping[str, str]
    heals: tuple[str, ...]


def contract_change(stores: Stores, source: Source, suite_path: Path) -> ContractChange | None:
    """Judge the stored days whose verdict is about another contract; None when there is none.

    Nothing is recorded. The cost is that of judging those days, nothing while the contract stays.
    """
    name = raw_table(source.name)
    declared = contract_version(source, suite_path)
    before = {}
    for day, manifest in stores.lake.table(name).current().items():
        evidence = stores.evidence.latest(KIND, name, day)
        of_these_rows = evidence is not None and evidence.versions.get("raw") == manifest.digest
        if evidence is not None and of_these_rows and evidence.versions.get("contract") != declared:
            before[day] = evidence.verdict
    if not before:
        return None
    now = judge_contract(stores, source, suite_path, before)
    return ContractChange(
        days=tuple(sorted(before)),
        fails={
            day: found.reason
            for day, found in now.items()
            if before[day] is Verdict.PASSED and found.verdict is not Verdict.PASSED
        },
        heals=tuple(
            day
            for day, found in now.items()
            if before[day] is not Verdict.PASSED and found.verdict is Verdict.PASSED
        ),
    )
