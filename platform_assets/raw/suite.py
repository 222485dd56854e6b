"""The suite of a data contract as its file says it, read without Great Expectations."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from platform_assets.declaration.source import Source
from platform_assets.lake.digest import document_digest

CONTRACT_FORMAT = 1
"""Raise it when the same suite and rows may get another verdict."""

VOLUME_NAME = "expected_volume"
SUITE_NAME = "suite"


@dataclass(frozen=True)
class Expectation:
    """One expectation of a suite; `name` identifies it, letters, digits and underscores only."""

    name: str
    type: str
    severity: str
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    description: str = ""

    @property
    def column(self) -> str:
        """The column it is about, or several joined by commas; empty for a whole table."""
        names = [self.kwargs.get(key) for key in ("column", "column_A", "column_B")]
        return ", ".join([str(n) for n in names if n] or [str(n) for n in self.kwargs.get("column_list", ())])


@dataclass(frozen=True)
class Suite:
    """Expectations in order, or the reason why the file cannot be read."""

    expectations: tuple[Expectation, ...] = ()
    problem: str = ""


def read_suite(path: Path) -> Suite:
    """Read a suite file; never raises, since a contract that cannot be read has the verdict UNKNOWN."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        found = tuple(_expectation(item) for item in data["expectations"])
    except OSError as error:
        return Suite(problem=f"{path}: the contract cannot be read ({error.strerror})")
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        return Suite(
            problem=f"{path}: not a Great Expectations suite ({error!r}); "
            f"expected JSON with a list `expectations`"
        )
    if not found:
        return Suite(problem=f"{path}: the contract holds no expectation")
    return Suite(_with_names(found))


def expectation_names(source: Source, suite_path: Path) -> list[tuple[str, str, str]]:
    """Name, severity and text of every check of a contract, the expected volume last.

    A suite that cannot be read is one critical check of its own, so that it is seen.
    """
    suite = read_suite(suite_path)
    checks = [(e.name, e.severity, e.description) for e in suite.expectations]
    if suite.problem:
        checks = [(SUITE_NAME, "critical", "The contract can be read")]
    return [*checks, (VOLUME_NAME, source.volume.severity, volume_text(source))]


def volume_text(source: Source) -> str:
    """What the expected volume asks, in words."""
    volume = source.volume
    return (
        f"Rows of a day are {volume.at_least:g} to {volume.at_most:g} times the median of the "
        f"{volume.neighbours} nearest other days"
    )


def contract_version(source: Source, suite_path: Path) -> str:
    """32 hex digits over the suite, the declared volume and what is masked; layout does not count."""
    try:
        suite: Any = json.loads(suite_path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        suite = None
    return document_digest(
        {
            "format": CONTRACT_FORMAT,
            "suite": suite,
            "volume": source.volume.model_dump(mode="json"),
            "masked": [column.name for column in source.columns if column.masked],
        }
    )


def _expectation(item: Mapping[str, Any]) -> Expectation:
    kwargs = dict(item.get("kwargs") or {})
    kind = str(item["type"])
    meta = item.get("meta") or {}
    # what does not say that it only warns is critical
    severity = "warning" if item.get("severity") in ("warning", "info") else "critical"
    made = Expectation("", kind, severity, kwargs, str(item.get("description") or ""))
    short = kind.removeprefix("expect_").removeprefix("column_values_to_").removeprefix("column_")
    name = str(meta.get("name") or "_".join(filter(None, (made.column.replace(", ", "_"), short))))
    text = made.description or f"{made.column}: {short.replace('_', ' ')}".removeprefix(": ")
    return Expectation(re.sub(r"[^A-Za-z0-9_]", "_", name), kind, severity, kwargs, text)


def _with_names(found: tuple[Expectation, ...]) -> tuple[Expectation, ...]:
    """The same expectations, a repeated name counted up: each has a verdict of its own."""
    taken = {VOLUME_NAME, SUITE_NAME}
    named = []
    for item in found:
        name, number = item.name, 2
        while name in taken:
            name, number = f"{item.name}_{number}", number + 1
        taken.add(name)
        named.append(Expectation(name, item.type, item.severity, item.kwargs, item.description))
    return tuple(named)
