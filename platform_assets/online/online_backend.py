"""What an online store must be able to do.

A backend writes and reads Feast's own layout, so that Feast reads what we write. It knows Feast views by
name and rows by their serialized entity key; what the rows mean is decided elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from platform_assets.home import Home
from platform_assets.online.feast_bytes import Blob

PROJECT = "platform_assets"


@dataclass(frozen=True)
class Rows:
    """Rows of one Feast view: serialized entity keys and, a feature, one serialized value for each.

    `moments` are event timestamps in microseconds since 1970, one for all rows or one each; `created`
    likewise, or None. `texts` holds what SQLite keeps beside a number or string for people.
    """

    keys: Sequence[bytes]
    values: Mapping[str, Sequence[bytes]]
    moments: Sequence[int] | int
    created: Sequence[int] | None = None
    texts: Mapping[str, Sequence[str | None]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.keys)


class OnlineBackend(Protocol):
    """Feast's layout in one kind of store."""

    @property
    def kind(self) -> str:
        """`sqlite` or `redis`."""

    def where(self) -> str:
        """Where it is, for people; holds no password."""

    def read(self, view: str, keys: Sequence[bytes], features: Sequence[str]) -> Mapping[str, Sequence[Blob]]:
        """Values by feature in the order of `keys`, all of one moment; None where there is none."""

    def scan(self, view: str, features: Sequence[str]) -> Iterator[tuple[list[bytes], dict[str, list[Blob]]]]:
        """Every row of a view, in chunks: keys, and values by feature."""

    def replace(self, view: str, rows: Rows, last: Rows | None = None) -> None:
        """Make `rows` all that the view holds; `last` is there only when all others are.

        Whoever reads single rows meanwhile finds older or newer ones, and none missing that both hold.
        """


def online_file(home: Home) -> Path:
    """Feast's SQLite file of online values."""
    return home.feast / "online.db"
