"""Is everything still what was recorded? The whole chain of hashes, from the ledger down to each file."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

from platform_assets.errors import LakeError, PlatformError
from platform_assets.evidence.ledger import Entry
from platform_assets.evidence.standing import GIVEN, WITHDRAWAL
from platform_assets.lake.digest import document_digest
from platform_assets.lake.lake import Table
from platform_assets.lake.manifest import Manifest
from platform_assets.stores import Stores
from platform_assets.vocabulary import product_table


@dataclass
class Verification:
    """What was looked at, by kind, and what is not as recorded, one sentence each with the fix."""

    counted: dict[str, int] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)
    head: tuple[int, str] | None = None

    def count(self, kind: str) -> None:
        """One more of a kind was looked at."""
        self.counted[kind] = self.counted.get(kind, 0) + 1


def verify(stores: Stores, *, expected_head: tuple[int, str] | None = None) -> Verification:
    """Recompute every hash there is a record of.

    The ledger's chain (and whether it still holds `expected_head`, sequence and hash of an entry
    noted elsewhere); the evidence each decision stands on; every current lake file against its
    manifest's digest; every registered model's files; that MLflow holds every version that lineage
    or ledger tell of; the champion aliases.
    """
    from platform_assets.registry.lost_versions import loss_told, lost_versions

    found = Verification()
    entries = _ledger(stores, found, expected_head)
    _evidence(stores, found, entries)
    found.broken += list(_withdrawals(stores, entries))
    registered: dict[tuple[str, str], Manifest] = {}
    for table in stores.lake.tables():
        for partition in sorted(p.name for p in (table.folder / "manifests").iterdir() if p.is_dir()):
            found.broken += list(_partition(table, partition, found))
            if table.name.endswith("/registered_model"):
                for manifest in _readable(table, partition, found):
                    registered[(table.name, str(manifest.notes["version"]))] = manifest
    models: dict[str, dict[str, str]] = {}
    for (name, version), manifest in registered.items():
        found.count("registered models")
        lineage = _lineage(stores, name, manifest)
        if lineage is not None:  # else told already
            models.setdefault(name.split("/")[1], {})[version] = lineage["model_digest"]
            found.broken += list(_model(stores, name, version, lineage))
    confirmed = {entry.product for entry in entries if entry.kind == "confirm"}
    refused = {entry.product for entry in entries if entry.kind == "refusal"}
    for product in sorted(confirmed | refused | set(models)):
        gone = lost_versions(stores, product, models.get(product, {}))
        if gone:
            found.broken.append(loss_told(stores, product, gone))
        found.broken += list(_without_lineage(stores, product, entries, registered))
        if product in confirmed:
            found.count("champion aliases")
            found.broken += list(_alias(stores, product, entries, gone))
    return found


def _ledger(stores: Stores, found: Verification, expected: tuple[int, str] | None) -> list[Entry]:
    try:
        entries = stores.ledger.verified()
    except PlatformError as error:
        found.broken.append(str(error))
        return []
    found.counted["ledger entries"] = len(entries)
    found.head = (entries[-1].sequence, entries[-1].hash) if entries else None
    if expected is not None:
        held = {entry.sequence: entry.hash for entry in entries}.get(expected[0])
        if held != expected[1]:
            found.broken.append(
                f"{stores.ledger.folder}: entry {expected[0]} is {held or 'not there'}, noted elsewhere was "
                f"{expected[1]}; the ledger was rewritten. Restore it from a copy"
            )
    return entries


def _evidence(stores: Stores, found: Verification, entries: list[Entry]) -> None:
    """Every decision's gates must be on record; evidence is content-named by the decision."""
    for entry in entries:
        if entry.kind not in ("intent", "refusal"):
            continue
        version = str(entry.body.get("to") or entry.body.get("version"))
        for gate in entry.body.get("gates", ()):
            if gate["key"] == "approval":
                continue
            found.count("gate decisions")
            subject = f"products/{entry.product}/promotion"
            kept = stores.evidence.history(f"gate/{gate['key']}", subject, version)
            if not any(
                e.versions.get("evidence") == gate["evidence_id"] and str(e.verdict) == gate["verdict"]
                for e in kept
            ):
                found.broken.append(
                    f"ledger entry {entry.sequence}: gate {gate['key']} of {entry.product} version {version} "
                    f"stands on evidence {gate['evidence_id']}, which {stores.evidence.root} does not hold "
                    f"any more; restore it from a copy"
                )


def _withdrawals(stores: Stores, entries: list[Entry]) -> Iterator[str]:
    """Each names one earlier waiver or approval by number and hash; no promotion stands on what was gone."""
    given: dict[object, Entry] = {}
    gone: set[object] = set()
    for entry in entries:
        where = f"{stores.ledger.folder}: ledger entry {entry.sequence}"
        if entry.kind in GIVEN:
            given[entry.sequence] = entry
        elif entry.kind == WITHDRAWAL:
            number = entry.body.get("entry")
            if number not in given or given[number].hash != entry.body.get("hash") or number in gone:
                yield (
                    f"{where} withdraws entry {number} ({entry.body.get('hash')}), which is no standing "
                    f"waiver or approval; this library did not write it"
                )
            gone.add(number)
        elif entry.kind == "intent":
            answers = {n for gate in entry.body.get("gates", ()) for n in gate.get("answers", ())}
            for number in sorted(answers):
                if number in gone or number not in given:
                    why = "was withdrawn before" if number in gone else "is no waiver or approval before it"
                    yield (
                        f"{where} promotes {entry.product} version {entry.body.get('to')} by entry {number}, "
                        f"which {why}; decide again on another version"
                    )


def _partition(table: Table, partition: str, found: Verification) -> Iterator[str]:
    try:
        manifest = table.manifest(partition)
        if manifest is None:
            if table.history(partition):
                yield (
                    f"{table.folder / 'manifests' / partition}: none of its versions is the present one; run "
                    f"again to build the partition"
                )
            return
        found.count("lake files")
        digest = _content_digest(table, manifest)
    except (LakeError, OSError, ValueError) as error:
        yield str(error)
        return
    if digest != manifest.digest:
        yield (
            f"{table.folder / manifest.file}: holds {digest}, its manifest says {manifest.digest}; the file "
            f"was changed. Delete {table.folder / 'manifests' / partition / 'current'} and run again"
        )


def _content_digest(table: Table, manifest: Manifest) -> str:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from platform_assets.lake.digest import canonical, table_digest

    path = table.path(manifest)
    try:
        if path.suffix == ".json":
            return document_digest(json.loads(path.read_bytes()))
        return table_digest(canonical(pq.read_table(path, partitioning=None), manifest.key))
    except (pa.ArrowException, OSError, ValueError) as error:
        current = table.folder / "manifests" / manifest.partition / "current"
        raise LakeError(f"{path}: cannot be read ({error}); delete {current} and run again") from None


def _readable(table: Table, partition: str, found: Verification) -> list[Manifest]:
    try:
        return table.history(partition)
    except LakeError as error:
        if str(error) not in found.broken:  # `_partition` tells it when it is the current one
            found.broken.append(str(error))
        return []


def _lineage(stores: Stores, name: str, manifest: Manifest) -> dict[str, Any] | None:
    try:
        return stores.lake.table(name).document_of(manifest)
    except (LakeError, ValueError):
        return None


def _model(stores: Stores, name: str, version: str, lineage: dict[str, Any]) -> Iterator[str]:
    from platform_assets.training.model_artifact import artifact_digest

    folder = stores.home.root / lineage["artifact_path"]
    digest = artifact_digest(folder) if folder.is_dir() else "gone"
    if digest != lineage["artifact_digest"]:
        yield (
            f"{folder}: the model of {name.split('/')[1]} version {version} is {digest}, registered was "
            f"{lineage['artifact_digest']}; restore the folder from a copy, or materialize "
            f"{name.split('/')[1]}/training_run again under the Python and packages it was saved "
            f"with, which puts the same model back"
        )


def _without_lineage(
    stores: Stores, product: str, entries: list[Entry], registered: Collection[tuple[str, str]]
) -> Iterator[str]:
    from platform_assets.registry.lost_versions import told_versions

    table = stores.lake.table(product_table(product, "registered_model"))
    known = {version for name, version in registered if name == table.name}
    missing = sorted(told_versions(entries, product) - known, key=int)
    if missing:
        yield (
            f"{table.folder}: holds no lineage of version {', '.join(missing)} of {product}, which the "
            f"ledger tells of; restore the folder from a copy"
        )


def _alias(stores: Stores, product: str, entries: list[Entry], lost: list[str]) -> Iterator[str]:
    from platform_assets.registry.alias_move import Alias, agrees, foreign, last_confirmed

    confirmed = last_confirmed([entry for entry in entries if entry.product == product])
    if confirmed is not None and confirmed.body["to"] in lost:
        return  # its alias went with it, and comes back with it
    holder = Alias(stores, product).holder()
    if not agrees(holder, confirmed):
        yield foreign(product, holder, confirmed)
