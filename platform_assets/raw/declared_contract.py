"""A data contract: a suite and an expected volume, as file and source declare them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from platform_assets.declaration.source import Source, Volume
from platform_assets.lake.digest import document_digest
from platform_assets.raw.suite import SUITE_NAME, VOLUME_NAME, Suite, no_suite, suite_of

CONTRACT_FORMAT = 1
"""Raise it when the same suite and rows may get another verdict."""


@dataclass(frozen=True)
class Contract:
    """What is asked of every day of a source.

    `content` is the suite's JSON as it was written, None when there is none to read; `masked` names
    the columns whose values no finding shows.
    """

    suite: Suite
    content: Any
    volume: Volume
    masked: tuple[str, ...]

    @property
    def version(self) -> str:
        """32 hex digits over the suite, the expected volume and what is masked; layout does not count."""
        return document_digest(
            {
                "format": CONTRACT_FORMAT,
                "suite": self.content,
                "volume": self.volume.model_dump(mode="json"),
                "masked": list(self.masked),
            }
        )

    @property
    def checks(self) -> list[tuple[str, str, str]]:
        """Name, severity and text of everything that is asked, the expected volume last.

        A suite that cannot be read is one critical check of its own, so that it is seen.
        """
        asked = [(e.name, e.severity, e.description) for e in self.suite.expectations]
        if self.suite.problem:
            asked = [(SUITE_NAME, "critical", "The contract can be read")]
        return [*asked, (VOLUME_NAME, self.volume.severity, _volume_text(self.volume))]


def declared_contract(source: Source, suite_path: Path) -> Contract:
    """The contract as it is declared; never raises.

    One that cannot be read asks nothing, says why in `suite.problem`, and gives the verdict UNKNOWN.
    """
    content: Any = None
    try:
        content = json.loads(suite_path.read_text(encoding="utf-8"))
        suite = suite_of(content, str(suite_path))
    except OSError as error:
        suite = Suite(problem=f"{suite_path}: the contract cannot be read ({error.strerror})")
    except ValueError as error:
        suite = Suite(problem=no_suite(str(suite_path), error))
    return Contract(suite, content, source.volume, masked_columns(source))


def masked_columns(source: Source) -> tuple[str, ...]:
    """Columns whose values are never shown."""
    return tuple(column.name for column in source.columns if column.masked)


def _volume_text(volume: Volume) -> str:
    return (
        f"Rows of a day are {volume.at_least:g} to {volume.at_most:g} times the median of the "
        f"{volume.neighbours} nearest other days"
    )
