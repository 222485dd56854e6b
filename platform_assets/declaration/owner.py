"""Owners: a team, or somebody's e-mail address."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, WithJsonSchema

_PATTERN = r"^(team:[\w .-]+|[^@\s]+@[^@\s]+\.[^@\s]+)$"


def check_owner(owner: str) -> str:
    """The owner as it is; ValueError with the forms expected."""
    if re.match(_PATTERN, owner) is None:
        raise ValueError(f"expected team:<name> or an e-mail address, not {owner!r}")
    return owner


Owner = Annotated[str, AfterValidator(check_owner), WithJsonSchema({"type": "string", "pattern": _PATTERN})]
