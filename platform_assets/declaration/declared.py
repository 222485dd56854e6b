"""What every declaration shares: strict, frozen, and with a fingerprint."""

from __future__ import annotations

import hashlib
import json
from typing import Any, get_args

from pydantic import BaseModel, ConfigDict, model_validator

NAME_LENGTH = 60
"""Characters of a name that becomes a tag of Dagster, which takes 63."""


class Declared(BaseModel):
    """A declaration refuses unknown fields and never changes after it was read."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=(), allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _no_flag_for_a_number(cls, values: Any) -> Any:
        """`train_days: yes` is true in YAML, and true would be taken for 1."""
        for name, value in values.items() if isinstance(values, dict) else ():
            if isinstance(value, bool) and name in cls.model_fields:
                annotation = cls.model_fields[name].annotation
                kinds = set(get_args(annotation) or (annotation,)) - {type(None)}
                if kinds <= {int, float}:
                    kind = "a number" if float in kinds else "a whole number"
                    raise ValueError(f"{name}: expected {kind}, not {flag_told(value)}")
        return values

    def fingerprint(self, *leave_out: str) -> str:
        """Sixteen hex digits over the declaration's canonical JSON.

        `leave_out` names top-level fields that do not change what is computed
        (descriptions, owners).
        """
        payload: dict[str, Any] = self.model_dump(mode="json")
        for name in leave_out:
            payload.pop(name, None)
        return fingerprint_of(payload)


def flag_told(value: bool) -> str:
    """How a flag is told where none is expected: the person may have written a word."""
    words = "yes and on" if value else "no and off"
    return f"{str(value).lower()} (as YAML reads {words}, too)"


def fingerprint_of(payload: Any) -> str:
    """Sixteen hex digits over the canonical JSON of plain data."""
    text = json.dumps(payload, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
