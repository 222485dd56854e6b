"""The ledger: append-only, hash-chained, one file an entry; wiping an asset does not touch it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from platform_assets.errors import LakeError
from platform_assets.lake.atomic_files import create_once, numbered
from platform_assets.lake.digest import document_digest
from platform_assets.lake.lake import utc_now

START = "0" * 32


@dataclass(frozen=True)
class Entry:
    """One entry: what was decided, by whom, when; `hash` covers everything above it in the chain."""

    sequence: int
    kind: str
    product: str
    actor: str
    at: str
    body: Mapping[str, Any]
    previous: str
    hash: str = ""

    def sealed(self) -> Entry:
        """The same entry with its hash."""
        return Entry(**{**asdict(self), "hash": self.computed_hash()})

    def computed_hash(self) -> str:
        """Hash over all fields but the hash itself."""
        return document_digest({name: value for name, value in asdict(self).items() if name != "hash"})


@dataclass(frozen=True)
class Ledger:
    """One chain of entries in a folder."""

    folder: Path

    def append(self, kind: str, product: str, actor: str, body: Mapping[str, Any]) -> Entry:
        """Add an entry at the end; writers at once are put in one order."""
        while True:
            entries = numbered(self.folder)
            last = self._read(entries[-1]) if entries else None
            entry = Entry(
                sequence=(last.sequence if last else 0) + 1,
                kind=kind,
                product=product,
                actor=actor,
                at=utc_now(),
                body=json.loads(json.dumps(body)),
                previous=last.hash if last else START,
            ).sealed()
            content = (json.dumps(asdict(entry), indent=1, sort_keys=True) + "\n").encode()
            if create_once(self.folder / f"{entry.sequence:06d}.json", content):
                return entry

    def entries(self, product: str | None = None, kind: str | None = None) -> list[Entry]:
        """Entries in order, of one product or kind if asked. Raises LakeError on a broken chain."""
        return [
            entry
            for entry in self.verified()
            if (product is None or entry.product == product) and (kind is None or entry.kind == kind)
        ]

    def verified(self) -> list[Entry]:
        """All entries, the chain of hashes checked; LakeError names the first file that breaks it."""
        chain: list[Entry] = []
        previous = START
        for number, path in enumerate(numbered(self.folder), start=1):
            entry = self._read(path)
            if entry.sequence != number or entry.previous != previous or entry.hash != entry.computed_hash():
                raise LakeError(
                    f"{path}: the ledger's chain of hashes is broken here; an entry was "
                    f"changed or removed. Restore the ledger from a copy."
                )
            chain.append(entry)
            previous = entry.hash
        return chain

    @staticmethod
    def _read(path: Path) -> Entry:
        try:
            return Entry(**json.loads(path.read_bytes()))
        except (ValueError, TypeError) as error:
            raise LakeError(
                f"{path}: ledger entry cannot be read ({error}); restore it from a copy"
            ) from None
