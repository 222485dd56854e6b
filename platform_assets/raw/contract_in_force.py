"""Which contract counts: the declared one, once it was judged by the days that are stored.

A contract that would fail days that may be built on takes effect only when an owner of the source
accepts that. Until then days are judged by the one before, which the lake keeps with all its versions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from platform_assets.declaration.source import Source, Volume
from platform_assets.evidence.evidence import Evidence, Verdict
from platform_assets.evidence.ledger import Entry
from platform_assets.evidence.standing import giver
from platform_assets.evidence.waiver import waiver_for
from platform_assets.lake.digest import document_digest
from platform_assets.lake.lake import Table
from platform_assets.lake.manifest import Manifest
from platform_assets.raw.contract_change import ContractChange, judge_again, judge_change
from platform_assets.raw.declared_contract import (
    CONTRACT_FORMAT,
    Contract,
    declared_contract,
    masked_columns,
)
from platform_assets.raw.suite import suite_of
from platform_assets.stores import Stores
from platform_assets.vocabulary import contract_table, raw_table

CHANGE_KIND = "contract_change"
IN_FORCE = "in_force"
ACCEPTED = "accepted"


@dataclass(frozen=True)
class ContractStanding:
    """The contract that counts, the declared one, and what stands between them.

    `change` is what was found of the declared one on stored days, None when it is in force or was not
    judged yet; `accepted` is the word of an owner for it.
    """

    in_force: Contract
    declared: Contract
    change: Evidence | None = None
    accepted: Entry | None = None

    @property
    def pending(self) -> bool:
        """Whether the declared contract does not count yet."""
        return self.declared.version != self.in_force.version

    @property
    def may_take_effect(self) -> bool:
        """Whether a pending one needs nothing more than to be put in force."""
        passed = self.change is not None and self.change.verdict is Verdict.PASSED
        return self.pending and (passed or self.accepted is not None)

    @property
    def mark(self) -> str:
        """Changes with the declared contract, what was found of it, and an owner's word."""
        found = [self.change.id if self.change else "", self.accepted.sequence if self.accepted else 0]
        return document_digest({"declared": self.declared.version, "found": found})

    @property
    def refused(self) -> str:
        """Why the declared contract does not count, with the way out; empty when it does or is not judged."""
        if not self.pending or self.change is None or self.may_take_effect:
            return ""
        source, found = self.change.subject.removeprefix("raw/"), self.change.reason
        return (
            f"the declared contract is not in force, days are judged by the one before: {found}. "
            f"Change it, or accept that: platform-assets contract accept {source} --by <you> --reason <why>"
        )


def contract_standing(stores: Stores, source: Source, suite_path: Path) -> ContractStanding:
    """Read which contract counts; nothing is judged or recorded.

    A declared contract that cannot be read counts at once: it passes nothing.
    """
    declared = declared_contract(source, suite_path)
    kept = _kept(stores, source)
    if declared.suite.problem or kept is None or kept.version == declared.version:
        return ContractStanding(declared, declared)
    change = stores.evidence.latest(CHANGE_KIND, raw_table(source.name), declared.version)
    if change is None or not change.measured.keys() >= {"held", "fails"}:  # a damaged one says nothing
        return ContractStanding(kept, declared)
    if not change.holds_for(_versions(stores, source, kept, declared, change.measured["fails"])):
        return ContractStanding(kept, declared)
    return ContractStanding(kept, declared, change, waiver_for(stores.ledger, change, owners=source.owners))


def pending_change(stores: Stores, source: Source, suite_path: Path) -> tuple[ContractChange | None, bool]:
    """What the declared contract makes of stored days while it is not in force, and whether that is accepted.

    Nothing is recorded. What is stored is judged, as the next run would.
    """
    found = contract_standing(stores, source, suite_path)
    if not found.pending:
        return None, False
    if found.change is None or found.change.verdict is Verdict.PASSED:
        return judge_change(stores, source, found.in_force, found.declared), False
    judged = judge_again(stores, source, found.in_force, found.declared, found.change)
    return judged, found.accepted is not None and _is_told(judged, found)


def contracts_in_force(stores: Stores, source: Source) -> tuple[Table, list[Manifest]]:
    """The table and the versions of every contract that was in force, oldest first."""
    table = stores.lake.table(contract_table(source.name))
    return table, table.history(IN_FORCE)


def in_force_by(stores: Stores, source: str, sequence: int) -> str:
    """The version of the contract in force if it took effect by the word in that ledger entry; else empty."""
    present = stores.lake.table(contract_table(source)).manifest(IN_FORCE)
    if present is None or present.notes.get(ACCEPTED) != sequence:
        return ""
    return str(present.notes["version"])


def settle_contract(
    stores: Stores, source: Source, suite_path: Path, *, run_id: str = ""
) -> ContractStanding:
    """Judge a changed contract by the stored days, and put it in force if it may be; else it stays pending.

    The first contract of a source takes effect at once.
    """
    found = contract_standing(stores, source, suite_path)
    if found.declared.suite.problem:
        return found
    _keep_in_force(stores, source, found.in_force, run_id)
    if found.accepted is not None:
        found = judge_days_since(stores, source, suite_path, run_id=run_id)
    # one that passed takes effect in the run that found it: where it did not, rows may be others by now
    if found.pending and (found.change is None or found.change.verdict is Verdict.PASSED):
        judged = judge_change(stores, source, found.in_force, found.declared)
        stores.evidence.record(_evidence(stores, source, found, judged, run_id))
        found = contract_standing(stores, source, suite_path)
    if not found.may_take_effect or found.change is None:
        return found
    cause, notes = found.change.reason, {}
    if found.accepted is not None:
        cause += f"; accepted by {giver(found.accepted)}, ledger entry {found.accepted.sequence}"
        notes = {ACCEPTED: found.accepted.sequence}
    _keep(stores, source, found.declared, cause, run_id, notes)
    return ContractStanding(found.declared, found.declared)


def judge_days_since(
    stores: Stores, source: Source, suite_path: Path, *, run_id: str = ""
) -> ContractStanding:
    """Judge the days that came or changed while a contract waits, and record it when other days would fall.

    An owner's word stays as long as no day falls that it was not about.
    """
    found = contract_standing(stores, source, suite_path)
    if found.change is None or found.change.verdict is Verdict.PASSED:
        return found
    judged = judge_again(stores, source, found.in_force, found.declared, found.change)
    if _is_told(judged, found):
        return found
    stores.evidence.record(_evidence(stores, source, found, judged, run_id))
    return contract_standing(stores, source, suite_path)


def _is_told(judged: ContractChange, found: ContractStanding) -> bool:
    """Whether exactly the days that fall stand in the evidence; where that was accepted, no other day."""
    told = found.change.measured["fails"].keys() if found.change is not None else set()
    return judged.fails.keys() == told or (found.accepted is not None and judged.fails.keys() <= told)


def _kept(stores: Stores, source: Source) -> Contract | None:
    """The contract in force; what is masked is as declared, since that can never wait."""
    table = stores.lake.table(contract_table(source.name))
    payload = table.document(IN_FORCE)
    if payload is None:
        return None
    suite = suite_of(payload["suite"], f"{table.name} {IN_FORCE}")
    return Contract(suite, payload["suite"], Volume.model_validate(payload["volume"]), masked_columns(source))


def _keep_in_force(stores: Stores, source: Source, contract: Contract, run_id: str) -> None:
    """Keep what counts without being judged: the first contract, and the present one masked otherwise.

    So that every contract is kept that evidence names.
    """
    table, kept = contracts_in_force(stores, source)
    present = table.manifest(IN_FORCE)
    if present is None:
        cause = "the contract before it was lost" if kept else "the first contract of the source"
        _keep(stores, source, contract, cause, run_id)
    elif present.notes["version"] != contract.version:
        other = table.document_of(present).get("masked") != list(contract.masked)
        cause = "other columns are masked" if other else "days are judged in another way by this release"
        notes = {ACCEPTED: present.notes[ACCEPTED]} if ACCEPTED in present.notes else {}
        _keep(stores, source, contract, cause, run_id, notes)


def _keep(
    stores: Stores,
    source: Source,
    contract: Contract,
    cause: str,
    run_id: str,
    notes: Mapping[str, Any] | None = None,
) -> None:
    stores.lake.table(contract_table(source.name)).write_document(
        IN_FORCE,
        {
            "suite": contract.content,
            "volume": contract.volume.model_dump(mode="json"),
            "masked": list(contract.masked),
        },
        code_version=str(CONTRACT_FORMAT),
        inputs={},
        cause=cause,
        run_id=run_id,
        notes={"version": contract.version, **(notes or {})},
    )


def _evidence(
    stores: Stores, source: Source, found: ContractStanding, judged: ContractChange, run_id: str
) -> Evidence:
    return Evidence(
        kind=CHANGE_KIND,
        subject=raw_table(source.name),
        partition=found.declared.version,
        verdict=Verdict.FAILED if judged.fails else Verdict.PASSED,
        reason=judged.told,
        versions=_versions(stores, source, found.in_force, found.declared, judged.fails),
        measured={
            "days": len(judged.days),
            "held": dict(judged.held),
            "fails": dict(judged.fails),
            "heals": list(judged.heals),
        },
        run_id=run_id,
    )


def _versions(
    stores: Stores, source: Source, before: Contract, after: Contract, fails: Iterable[str]
) -> dict[str, str]:
    """The two contracts, and the rows of the days that fail: new days do not undo what was accepted."""
    rows = stores.lake.table(raw_table(source.name)).digests(sorted(fails))
    return {"in_force": before.version, "contract": after.version, "failing": document_digest(rows)}
