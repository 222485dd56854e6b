"""Whether a Feast view holds exactly the rows it should, byte by byte."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from platform_assets.online.feast_bytes import Blob
from platform_assets.online.online_backend import OnlineBackend, Rows


@dataclass(frozen=True)
class Held:
    """What a view holds beside what it should: counts of rows."""

    expected: int
    missing: int
    extra: int
    changed: int

    @property
    def exactly(self) -> bool:
        return not (self.missing or self.extra or self.changed)

    def told(self) -> str:
        """In words.

        >>> Held(10, 1, 0, 2).told()
        '1 of 10 rows missing, 0 of nobody, 2 changed'
        """
        return (
            f"{self.missing} of {self.expected} rows missing, {self.extra} of nobody, {self.changed} changed"
        )


def held(backend: OnlineBackend, view: str, *parts: Rows) -> Held:
    """Compare everything that a view holds with what it should. A view that is not there holds nothing."""
    features = list(dict.fromkeys(name for rows in parts for name in rows.values))
    wanted = dict(_lines(features, parts))
    expected, extra, changed = len(wanted), 0, 0
    for keys, values in backend.scan(view, features):
        for key, *found in zip(keys, *(values[name] for name in features), strict=True):
            should = wanted.pop(key, None)
            extra += should is None
            changed += should is not None and should != tuple(found)
    return Held(expected, len(wanted), extra, changed)


def is_held(backend: OnlineBackend, view: str, *parts: Rows) -> bool:
    """Whether a view holds exactly these rows; False as well when it cannot be read."""
    try:
        return held(backend, view, *parts).exactly
    except Exception:  # each kind of store has its own; whatever it is, writing again tells or heals it
        return False


def _lines(features: list[str], parts: tuple[Rows, ...]) -> Iterator[tuple[bytes, tuple[Blob, ...]]]:
    for rows in parts:
        nothing: list[Blob] = [None] * len(rows)
        columns = [rows.values.get(name, nothing) for name in features]
        yield from zip(rows.keys, zip(*columns, strict=True), strict=True)
