"""The suite of a data contract by its JSON, read without Great Expectations."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

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


def suite_of(content: Any, where: str) -> Suite:
    """A suite by its JSON; never raises, `where` is named in the problem when it is none."""
    try:
        found = tuple(_expectation(item) for item in content["expectations"])
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        return Suite(problem=no_suite(where, error))
    if not found:
        return Suite(problem=f"{where}: the contract holds no expectation")
    return Suite(_with_names(found))


def no_suite(where: str, error: Exception) -> str:
    """What is told of content that is no suite."""
    return f"{where}: not a Great Expectations suite ({error!r}); expected JSON with a list `expectations`"


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
