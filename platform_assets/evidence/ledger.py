"""The ledger: append-only, hash-chained, one file an entry; wiping an asset does not touch it.

`head.json` names the newest entry, so that entries missing at the end are noticed too. Whoever can
write to the folder can rewrite all of it: keep the head that `platform-assets verify` prints elsewhere.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from platform_assets.errors import LakeError
from platform_assets.lake.atomic_files import create_once, exclusive_lock, numbered, write_atomically
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


def to_the_second(moment: str) -> str:
    """A moment of the ledger as people read it.

    >>> to_the_second("2026-01-31T14:05:00.123456Z")
    '2026-01-31T14:05:00Z'
    """
    return f"{moment[:19]}Z"


@dataclass(frozen=True)
class Ledger:
    """One chain of entries in a folder."""

    folder: Path

    def append(
        self,
        kind: str,
        product: str,
        actor: str,
        body: Mapping[str, Any],
        *,
        check: Callable[[Sequence[Entry]], object] | None = None,
    ) -> Entry:
        """Add an entry at the end; writers at once are put in one order.

        `check` is given all entries before it and raises when it must not be added; no other entry
        comes between the look and this one.
        """
        while True:
            last = self._last(check)
            entry = Entry(
                sequence=(last.sequence if last else 0) + 1,
                kind=kind,
                product=product,
                actor=actor,
                at=max(utc_now(), last.at if last else ""),
                body=json.loads(json.dumps(body)),
                previous=last.hash if last else START,
            ).sealed()
            content = (json.dumps(asdict(entry), indent=1, sort_keys=True) + "\n").encode()
            if create_once(self.folder / f"{entry.sequence:06d}.json", content):
                self._note_head(entry)
                return entry

    def _last(self, check: Callable[[Sequence[Entry]], object] | None) -> Entry | None:
        if check is not None:
            chain = self.verified()
            check(chain)
            return chain[-1] if chain else None
        entries = numbered(self.folder)
        return self._read(entries[-1]) if entries else None

    def now(self) -> str:
        """The present moment, and never before the newest entry: a clock may have been set back."""
        files = numbered(self.folder)
        return max(utc_now(), self._read(files[-1]).at if files else "")

    @property
    def head(self) -> tuple[int, str] | None:
        """Sequence and hash of the newest entry, as noted when it was written; None before the first."""
        path = self.folder / "head.json"
        try:
            noted = json.loads(path.read_bytes())
            return int(noted["sequence"]), str(noted["hash"])
        except FileNotFoundError:
            return None
        except (ValueError, TypeError, KeyError) as error:
            raise LakeError(f"{path}: cannot be read ({error}); restore the ledger from a copy") from None

    def _note_head(self, entry: Entry) -> None:
        with exclusive_lock(self.folder / ".head.lock"):
            noted = self.head
            if noted is None or noted[0] < entry.sequence:
                content = json.dumps({"sequence": entry.sequence, "hash": entry.hash}) + "\n"
                write_atomically(self.folder / "head.json", content.encode())

    def entries(self, product: str | None = None, kind: str | None = None) -> list[Entry]:
        """Entries in order, of one product or kind if asked. Raises LakeError on a broken chain."""
        return [
            entry
            for entry in self.verified()
            if (product is None or entry.product == product) and (kind is None or entry.kind == kind)
        ]

    def verified(self) -> list[Entry]:
        """All entries, the chain of hashes checked; LakeError names the first file that breaks it."""
        noted = self.head  # before the entries: one that is written meanwhile is not missing
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
        if noted is not None and (len(chain) < noted[0] or chain[noted[0] - 1].hash != noted[1]):
            raise LakeError(
                f"{self.folder}: the ledger's chain of hashes ends at entry {len(chain)}, but entry "
                f"{noted[0]} ({noted[1]}) was written; entries were removed. Restore the ledger from a copy."
            )
        return chain

    @staticmethod
    def _read(path: Path) -> Entry:
        try:
            return Entry(**json.loads(path.read_bytes()))
        except (ValueError, TypeError) as error:
            raise LakeError(
                f"{path}: ledger entry cannot be read ({error}); restore it from a copy"
            ) from None
