"""Owners: a team, or somebody's e-mail address. A person is always an e-mail address."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, WithJsonSchema

_PATTERN = r"^(team:[\w .-]+|[^@\s]+@[^@\s]+\.[^@\s]+)$"


_PERSON = r"^[^@\s:]+@[^@\s]+\.[^@\s]+$"


def check_owner(owner: str) -> str:
    """The owner as it is; ValueError with the forms expected."""
    if re.match(_PATTERN, owner) is None:
        raise ValueError(f"expected team:<name> or an e-mail address, not {owner!r}")
    return owner


def check_person(person: str) -> str:
    """The person as it is; ValueError for a team: who answers for something has one name."""
    if re.match(_PERSON, person) is None:
        raise ValueError(f"expected a person's e-mail address, not {person!r}")
    return person


Person = Annotated[str, AfterValidator(check_person), WithJsonSchema({"type": "string", "pattern": _PERSON})]
Owner = Annotated[str, AfterValidator(check_owner), WithJsonSchema({"type": "string", "pattern": _PATTERN})]
