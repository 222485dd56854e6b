"""What a changed contract would make of stored days, told before it is in force."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from platform_assets.declaration.source import Source
from platform_assets.evidence.evidence import Evidence, Verdict
from platform_assets.evidence.waiver import waiver_for
from platform_assets.lake.manifest import Manifest
from platform_assets.raw.declared_contract import Contract
from platform_assets.raw.finding import verdict_of
from platform_assets.raw.judgement import KIND, contract_versions, judge_contract
from platform_assets.raw.suite import VOLUME_NAME
from platform_assets.raw.volume import expected_volume
from platform_assets.stores import Stores
from platform_assets.vocabulary import raw_table


@dataclass(frozen=True)
class ContractChange:
    """Stored days, and what another contract says of them.

    `held` maps days that may be built on now to the digest of their rows, `fails` those of them that no
    longer could to why; `heals` are days that may not be built on and could.
    """

    days: tuple[str, ...]
    held: Mapping[str, str]
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
    stored = _stored(stores, source)
    known = _evidence_of(stores, before, stored)
    known |= judge_contract(stores, source, before, stored.keys() - known.keys())
    return _change(stores, source, after, stored, _held(stores, source, known), stored)


def judge_again(
    stores: Stores, source: Source, before: Contract, after: Contract, earlier: Evidence
) -> ContractChange:
    """The same, where it was judged `earlier`: only days of which that may not be true any more are judged.

    They are those that came, were corrected or waived since, those that are red now, and those whose
    volume moved with the days around them. Rows that `before` was not asked yet are no days to fall:
    nothing was built on them.
    """
    stored = _stored(stores, source)
    known = _evidence_of(stores, before, stored)
    held = _held(stores, source, known)
    same = {day for day in held if earlier.measured["held"].get(day) == stored[day].digest}
    told: Mapping[str, str] = earlier.measured["fails"]
    # rows that are the same fail again, but for a volume that moved or what could not be measured
    fails = {
        day: why
        for day, why in told.items()
        if day in same and VOLUME_NAME not in why and not why.startswith(Verdict.UNKNOWN)
    }
    counts = {
        day: manifest.rows for day, manifest in stores.lake.table(raw_table(source.name)).current().items()
    }
    passes = {
        day
        for day in same - told.keys()
        if verdict_of([expected_volume(after.volume, day, counts)]) is Verdict.PASSED
    }
    found = _change(stores, source, after, stored, held, known.keys() - fails.keys() - passes)
    return replace(found, fails=fails | dict(found.fails))


def built_on(stores: Stores, source: Source, contract: Contract) -> dict[str, Evidence]:
    """Evidence of the stored days that may be built on by what a contract was found to say of them."""
    known = _evidence_of(stores, contract, _stored(stores, source))
    held = _held(stores, source, known)
    return {day: evidence for day, evidence in known.items() if day in held}


def _evidence_of(stores: Stores, contract: Contract, stored: Mapping[str, Manifest]) -> dict[str, Evidence]:
    """What a contract was found to say of the rows that are stored, where it was asked."""
    found: dict[str, Evidence] = {}
    for day, manifest in stored.items():
        evidence = stores.evidence.latest(KIND, manifest.table, day)
        if evidence is not None and evidence.holds_for(contract_versions(manifest.digest, contract.version)):
            found[day] = evidence
    return found


def _stored(stores: Stores, source: Source) -> dict[str, Manifest]:
    """Days in the lake; those outside the declared start and end are never built on."""
    current = stores.lake.table(raw_table(source.name)).current()
    return {day: manifest for day, manifest in sorted(current.items()) if source.covers(day)}


def _held(stores: Stores, source: Source, judged: Mapping[str, Evidence]) -> set[str]:
    """Days that pass, or that an owner answers for."""
    return {
        day
        for day, found in judged.items()
        if found.verdict is Verdict.PASSED
        or waiver_for(stores.ledger, found, owners=source.owners) is not None
    }


def _change(
    stores: Stores,
    source: Source,
    after: Contract,
    stored: Mapping[str, Manifest],
    held: set[str],
    asked: Iterable[str],
) -> ContractChange:
    """What `after` says of the days asked; of the others it is known."""
    now = judge_contract(stores, source, after, asked)
    passes = {day for day, found in now.items() if found.verdict is Verdict.PASSED}
    return ContractChange(
        days=tuple(stored),
        held={day: stored[day].digest for day in sorted(held)},
        fails={
            day: f"{found.verdict}: {found.reason}"
            for day, found in now.items()
            if day in held and day not in passes
        },
        heals=tuple(day for day in now if day not in held and day in passes),
    )
