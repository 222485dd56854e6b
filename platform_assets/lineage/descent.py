"""What was made from what, as manifests recorded it: never guessed from what is there now."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator

from platform_assets.lake.lake import Lake
from platform_assets.lake.manifest import Manifest

Name = tuple[str, str, str]


def descent(lake: Lake, roots: Iterable[Name]) -> list[Manifest]:
    """Every version of every partition that was made from the roots, directly or through others.

    A root is (table, partition, digest). Nearest first; each manifest once.
    """
    made_from: dict[Name, list[Manifest]] = defaultdict(list)
    for table in lake.tables():
        for partition in _all_partitions(lake, table.name):
            for manifest in table.history(partition):
                for name in _inputs(manifest):
                    made_from[name].append(manifest)
    found: dict[Name, Manifest] = {}
    pending = deque(roots)
    asked: set[Name] = set()
    while pending:
        name = pending.popleft()
        if name in asked:
            continue
        asked.add(name)
        for manifest in made_from.get(name, ()):
            found.setdefault((manifest.table, manifest.partition, str(manifest.sequence)), manifest)
            pending.extend(_names(manifest))
    return list(found.values())


def _all_partitions(lake: Lake, table: str) -> list[str]:
    folder = lake.table(table).folder / "manifests"
    return sorted(path.name for path in folder.iterdir() if path.is_dir())


def _inputs(manifest: Manifest) -> Iterator[Name]:
    for table, partitions in manifest.inputs.items():
        for partition, digest in partitions.items():
            yield (table, partition, "" if _is_version(table) else digest)


def _names(manifest: Manifest) -> Iterator[Name]:
    """By what others may name it: by content, and a registered model also by its version number."""
    yield (manifest.table, manifest.partition, manifest.digest)
    if _is_version(manifest.table):
        yield (manifest.table, str(manifest.notes["version"]), "")


def _is_version(table: str) -> bool:
    return table.endswith("/registered_model")
