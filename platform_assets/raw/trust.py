"""Which raw days may not be built on, and why."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from platform_assets.declaration.source import Source
from platform_assets.evidence.evidence import Evidence, Verdict
from platform_assets.evidence.waiver import waiver_for
from platform_assets.lake.manifest import Manifest
from platform_assets.raw.contract_in_force import contract_standing
from platform_assets.raw.judgement import KIND, contract_versions
from platform_assets.stores import Stores
from platform_assets.vocabulary import raw_table


def untrusted_days(stores: Stores, source: Source, suite_path: Path, days: Iterable[str]) -> dict[str, str]:
    """Days of those asked that may not be built on, each with its reason and the way out.

    A day is trusted when its raw partition is there and contract evidence on exactly its rows and
    the contract in force is PASSED, or an owner's waiver covers that evidence. Days outside the
    source's declared start and end are not missing.
    """
    table = stores.lake.table(raw_table(source.name))
    version = contract_standing(stores, source, suite_path).in_force.version
    found: dict[str, str] = {}
    for day in sorted(set(days)):
        if not source.covers(day):
            continue
        manifest = table.manifest(day)
        evidence = stores.evidence.latest(KIND, table.name, day)
        reason = _reason(source, manifest, evidence, version)
        if reason and not _waived(stores, source, manifest, evidence, version):
            found[day] = reason
    return found


def _reason(source: Source, manifest: Manifest | None, evidence: Evidence | None, version: str) -> str:
    if manifest is None:
        return f"no raw partition in {raw_table(source.name)}; ingest the day"
    if evidence is None:
        return "its contract was never evaluated; run the contract on the day"
    stale = evidence.mismatch(contract_versions(manifest.digest, version))
    if stale:
        what = {"raw": "other rows", "contract": "another contract"}
        found = " and ".join(what.get(name, name) for name in stale)
        return f"its contract evidence is about {found}; run the contract on the day again"
    if evidence.verdict is Verdict.PASSED:
        return ""
    return f"contract {evidence.verdict}: {evidence.reason}"


def _waived(
    stores: Stores, source: Source, manifest: Manifest | None, evidence: Evidence | None, version: str
) -> bool:
    """A waiver is for evidence on these very rows; what is missing or stale nobody can answer for."""
    if manifest is None or evidence is None:
        return False
    if not evidence.holds_for(contract_versions(manifest.digest, version)):
        return False
    return waiver_for(stores.ledger, evidence, owners=source.owners) is not None
