"""Which data files nothing needs any more: a plan, and its execution. Manifests are never removed.

Manifests are the record of what was made from what, and small; the files they name are large. So
every question an auditor asks keeps its answer, and only the rows of superseded versions go.
"""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from platform_assets.errors import Blocked
from platform_assets.lake.atomic_files import TEMPORARY
from platform_assets.lake.lake import Table
from platform_assets.lake.manifest import Manifest
from platform_assets.stores import Stores

KEEP_DAYS = 30
SETTLED = timedelta(days=1)
"""Files younger than this may belong to a run that is still at work."""

Key = tuple[str, str, str]


@dataclass(frozen=True)
class Garbage:
    """One file or folder that can go: where, why, and its bytes."""

    path: Path
    table: str
    reason: str
    size_bytes: int


def garbage(stores: Stores, *, keep_days: int = KEEP_DAYS, now: datetime | None = None) -> list[Garbage]:
    """Everything in the lake and among the saved models that can go.

    Kept are: current versions and the newest of each partition; versions of the last `keep_days`
    days; every version of a registered model with all it was made from, back to the raw rows; what
    each online state was filled from; every contract that was in force; and every version of the raw
    days behind a current training set.
    Raises Blocked for less than one day, LakeError for a damaged manifest: then nothing is known.
    """
    if keep_days < 1:
        raise Blocked(
            "--keep-days: at least 1, since a run that is at work reads what was current when it began"
        )
    now = now or datetime.now(UTC)
    since = (now - timedelta(days=keep_days)).strftime("%Y-%m-%dT%H:%M:%S")
    manifests = {table.name: _all(table) for table in stores.lake.tables()}
    kept = needed(
        [m for ms in manifests.values() for m in ms],
        current={
            (m.table, m.partition, m.sequence)
            for table in stores.lake.tables()
            for m in table.current().values()
        },
        since=since,
    )
    settled = (now - SETTLED).timestamp()
    found: list[Garbage] = []
    for table in stores.lake.tables():
        known = {m.file for m in manifests[table.name]}
        wanted = {m.file for m in manifests[table.name] if (m.table, m.partition, m.digest) in kept}
        for path in sorted((table.folder / "data").rglob("*")):
            name = path.relative_to(table.folder).as_posix()
            if not path.is_file() or path.suffix == TEMPORARY or name in wanted:
                continue
            if path.stat().st_mtime > settled:
                continue
            reason = "superseded" if name in known else "never finished: no manifest names it"
            found.append(Garbage(path, table.name, reason, path.stat().st_size))
    found += _models(stores, manifests, kept, settled)
    found += _left_over(stores, settled)
    return found


def needed(manifests: Iterable[Manifest], *, current: set[tuple[str, str, int]], since: str) -> set[Key]:
    """(table, partition, digest) of all that must stay. Pure.

    `current` holds (table, partition, sequence) of what counts now; `since` is ISO 8601. A cause of
    a parity difference is looked for in the raw rows that the online state was filled from; what a
    training set knows in hindsight, in all that was ever known of its raw days.
    """
    by_key: dict[Key, list[Manifest]] = defaultdict(list)
    newest: dict[tuple[str, str], Manifest] = {}
    for manifest in manifests:
        by_key[(manifest.table, manifest.partition, manifest.digest)].append(manifest)
        place = (manifest.table, manifest.partition)
        if place not in newest or newest[place].sequence < manifest.sequence:
            newest[place] = manifest
    kept: set[Key] = set()
    ancestors: list[Key] = []
    training_sets: list[Key] = []
    for key, versions in by_key.items():
        is_current = any((m.table, m.partition, m.sequence) in current for m in versions)
        if any(_is_registration(m) for m in versions) or (is_current and key[0].startswith("online/")):
            ancestors.append(key)
        if is_current and key[0].endswith("/training_set"):
            training_sets.append(key)
        if key[0].startswith("contracts/"):
            kept.add(key)  # small, and evidence names them
        if is_current or any(m.created_at >= since or newest[(m.table, m.partition)] is m for m in versions):
            kept.add(key)
    kept |= _with_inputs(ancestors, by_key)
    days = {(table, day) for table, day, _ in _with_inputs(training_sets, by_key) if table.startswith("raw/")}
    return kept | {key for key in by_key if key[:2] in days}


def _with_inputs(keys: Iterable[Key], by_key: Mapping[Key, list[Manifest]]) -> set[Key]:
    """The keys, and everything they were made from, directly or through others."""
    found: set[Key] = set()
    pending = list(keys)
    while pending:
        key = pending.pop()
        if key in found:
            continue
        found.add(key)
        for manifest in by_key[key]:
            pending += [
                (table, partition, digest)
                for table, parts in manifest.inputs.items()
                for partition, digest in parts.items()
                if (table, partition, digest) in by_key
            ]
    return found


def remove(found: Iterable[Garbage]) -> int:
    """Remove what was found; the bytes that were freed. What is gone already counts nothing."""
    import shutil

    freed = 0
    for item in found:
        with contextlib.suppress(FileNotFoundError):
            if item.path.is_dir():
                shutil.rmtree(item.path)
            else:
                item.path.unlink()
            freed += item.size_bytes
    return freed


def _is_registration(manifest: Manifest) -> bool:
    return manifest.table.endswith("/registered_model")


def _all(table: Table) -> list[Manifest]:
    folder = table.folder / "manifests"
    partitions = sorted(path.name for path in folder.iterdir() if path.is_dir())
    return [manifest for partition in partitions for manifest in table.history(partition)]


def _models(
    stores: Stores, manifests: dict[str, list[Manifest]], kept: set[Key], settled: float
) -> list[Garbage]:
    """Saved models of training runs that can go, and of attempts that never became one."""
    runs = [m for name, ms in manifests.items() if name.endswith("/training_run") for m in ms]
    wanted = {m.notes["artifact_path"] for m in runs if (m.table, m.partition, m.digest) in kept}
    # whatever the ledger names as a champion's stays, also should its manifests be lost
    wanted |= {str(e.body["artifact_path"]) for e in stores.ledger.entries() if e.body.get("artifact_path")}
    found = []
    for folder in sorted((stores.home.mlflow / "artifacts").glob("*/*/artifacts/model")):
        name = folder.relative_to(stores.home.root).as_posix()
        if name in wanted or folder.stat().st_mtime > settled:
            continue
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        table = f"models/{folder.parents[2].name}"
        found.append(Garbage(folder, table, "no registered or current training run names it", size))
    return found


def _left_over(stores: Stores, settled: float) -> list[Garbage]:
    """Temporary files of processes that were killed."""
    roots = (
        stores.home.lake,
        stores.home.mlflow,
        stores.home.reports,
        stores.home.locks,
        stores.home.dagster,
    )
    return [
        Garbage(path, "left over", "its process was killed", path.stat().st_size)
        for root in roots
        for path in sorted(root.rglob(f".*{TEMPORARY}"))
        if path.stat().st_mtime <= settled
    ]
