"""What a changed contract would make of stored days, told before it is in force."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from platform_assets.declaration.source import Source
from platform_assets.evidence.evidence import Evidence, Verdict
from platform_assets.evidence.waiver import waiver_for
from platform_assets.raw.declared_contract import Contract
from platform_assets.raw.judgement import KIND, contract_versions, judge_contract
from platform_assets.stores import Stores
from platform_assets.vocabulary import raw_table


@dataclass(frozen=True)
class ContractChange:
    """Stored days, and what another contract says of them.

    `fails` maps days that may be built on now to why they no longer could; `heals` are days that may
    not and could.
    """

    days: tuple[str, ...]
    fails: Mapping[str, str]
    heals: tuple[str, ...]

    @property
    def told(self) -> str:
        """Both in a sentence without its full stop."""
        told = f"judged by it, {len(self.fails)} of {len(self.days)} stored days no longer pass"
        if self.fails:
            first = sorted(self.fails)[:3]
            more = f" and {len(self.fails) - 3} more" if len(self.fails) > 3 else ""
            told += f" ({', '.join(first)}{more}; {first[0]} {self.fails[first[0]]})"
        return told + (f"; {len(self.heals)} that did not pass do" if self.heals else "")


def judge_change(stores: Stores, source: Source, before: Contract, after: Contract) -> ContractChange:
    """Hold all stored days against two contracts; nothing is recorded.

    What `before` says is read from evidence where there is some about the present rows, so the cost is
    that of judging every stored day once.
    """
    held = _may_be_built_on(stores, source, before)
    now = judge_contract(stores, source, after, held)
    passes = {day for day, found in now.items() if found.verdict is Verdict.PASSED}
    return ContractChange(
        days=tuple(sorted(held)),
        fails={
            day: f"{found.verdict}: {found.reason}"
            for day, found in now.items()
            if held[day] and day not in passes
        },
        heals=tuple(day for day in now if not held[day] and day in passes),
    )


def _may_be_built_on(stores: Stores, source: Source, contract: Contract) -> dict[str, bool]:
    """Every stored day, and whether it passes the contract or an owner answers for it."""
    name = raw_table(source.name)
    known: dict[str, Evidence] = {}
    unknown = []
    for day, digest in stores.lake.table(name).digests().items():
        evidence = stores.evidence.latest(KIND, name, day)
        if evidence is not None and evidence.holds_for(contract_versions(digest, contract.version)):
            known[day] = evidence
        else:
            unknown.append(day)
    known |= judge_contract(stores, source, contract, unknown)
    return {
        day: found.verdict is Verdict.PASSED
        or waiver_for(stores.ledger, found, owners=source.owners) is not None
        for day, found in sorted(known.items())
    }
