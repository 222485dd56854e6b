"""Which contract counts: the declared one, once it was judged by the days that are stored.

A contract that would fail days that may be built on takes effect only when an owner of the source
accepts that. Until then days are judged by the one before, which the lake keeps with all its versions.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from platform_assets.declaration.source import Source, Volume
from platform_assets.evidence.evidence import Evidence, Verdict
from platform_assets.evidence.ledger import Entry
from platform_assets.evidence.standing import giver
from platform_assets.evidence.waiver import waiver_for
from platform_assets.lake.digest import document_digest
from platform_assets.lake.lake import Table
from platform_assets.lake.manifest import Manifest
from platform_assets.raw.contract_change import ContractChange, judge_change
from platform_assets.raw.declared_contract import Contract, declared_contract, masked_columns
from platform_assets.raw.suite import suite_of
from platform_assets.stores import Stores
from platform_assets.vocabulary import contract_table, raw_table

CHANGE_KIND = "contract_change"
IN_FORCE = "in_force"


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
    name = raw_table(source.name)
    change = stores.evidence.latest(CHANGE_KIND, name, declared.version)
    if change is None or not change.holds_for(
        _versions(stores, source, kept, declared, change.measured["fails"])
    ):
        return ContractStanding(kept, declared)
    return ContractStanding(kept, declared, change, waiver_for(stores.ledger, change, owners=source.owners))


def pending_change(stores: Stores, source: Source, suite_path: Path) -> tuple[ContractChange | None, bool]:
    """What the declared contract makes of stored days while it is not in force, and whether that is accepted.

    Nothing is recorded. What is stored is judged, as the next run would.
    """
    found = contract_standing(stores, source, suite_path)
    if not found.pending:
        return None, False
    return judge_change(stores, source, found.in_force, found.declared), found.accepted is not None


def contracts_in_force(stores: Stores, source: Source) -> tuple[Table, list[Manifest]]:
    """The table and the versions of every contract that was in force, oldest first."""
    table = stores.lake.table(contract_table(source.name))
    return table, table.history(IN_FORCE)


def settle_contract(
    stores: Stores, source: Source, suite_path: Path, *, run_id: str = ""
) -> ContractStanding:
    """Judge a changed contract by the stored days, and put it in force if it may be; else it stays pending.

    The first contract of a source takes effect at once.
    """
    found = contract_standing(stores, source, suite_path)
    if found.declared.suite.problem:
        return found
    if not found.pending:
        if _kept(stores, source) is None:
            _keep(stores, source, found.declared, "the first contract of the source", run_id)
        return found
    if found.change is None:
        judged = judge_change(stores, source, found.in_force, found.declared)
        stores.evidence.record(_evidence(stores, source, found, judged, run_id))
        found = contract_standing(stores, source, suite_path)
    if not found.may_take_effect or found.change is None:
        return found
    cause = found.change.reason
    if found.accepted is not None:
        cause += f"; accepted by {giver(found.accepted)}, ledger entry {found.accepted.sequence}"
    _keep(stores, source, found.declared, cause, run_id)
    return ContractStanding(found.declared, found.declared)


def _kept(stores: Stores, source: Source) -> Contract | None:
    """The contract in force; what is masked is as declared, since that can never wait."""
    table = stores.lake.table(contract_table(source.name))
    payload = table.document(IN_FORCE)
    if payload is None:
        return None
    suite = suite_of(payload["suite"], f"{table.name} {IN_FORCE}")
    return Contract(suite, payload["suite"], Volume.model_validate(payload["volume"]), masked_columns(source))


def _keep(stores: Stores, source: Source, contract: Contract, cause: str, run_id: str) -> None:
    stores.lake.table(contract_table(source.name)).write_document(
        IN_FORCE,
        {"suite": contract.content, "volume": contract.volume.model_dump(mode="json")},
        code_version="1",
        inputs={},
        cause=cause,
        run_id=run_id,
        notes={"version": contract.version},
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
        measured={"days": len(judged.days), "fails": dict(judged.fails), "heals": list(judged.heals)},
        run_id=run_id,
    )


def _versions(
    stores: Stores, source: Source, before: Contract, after: Contract, fails: Iterable[str]
) -> dict[str, str]:
    """The two contracts, and the rows of the days that fail: new days do not undo what was accepted."""
    rows = stores.lake.table(raw_table(source.name)).digests(sorted(fails))
    return {"in_force": before.version, "contract": after.version, "failing": document_digest(rows)}
