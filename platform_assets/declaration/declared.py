"""What every declaration shares: strict, frozen, and with a fingerprint."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from pydantic import BaseModel, ConfigDict


class Declared(BaseModel):
    """A declaration refuses unknown fields and never changes after it was read."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    def fingerprint(self, *leave_out: str) -> str:
        """Sixteen hex digits over the declaration's canonical JSON.

        `leave_out` names top-level fields that do not change what is computed
        (descriptions, owners).
        """
        payload: dict[str, Any] = self.model_dump(mode="json")
        for name in leave_out:
            payload.pop(name, None)
        return fingerprint_of(payload)


def fingerprint_of(payload: Any) -> str:
    """Sixteen hex digits over the canonical JSON of plain data."""
    text = json.dumps(payload, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
