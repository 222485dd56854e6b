"""A manifest: what one partition holds, where it came from, and why."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from platform_assets.errors import LakeError
from platform_assets.lake.digest import document_digest


@dataclass(frozen=True)
class Manifest:
    """One version of one partition.

    `digest` is over content only; `sequence` counts the versions of the partition from 1;
    `inputs` names what it was made from: table -> partition -> digest; `file` is relative to the
    table's folder; `created_at` is ISO 8601 in UTC.
    """

    table: str
    partition: str
    sequence: int
    digest: str
    rows: int
    size_bytes: int
    file: str
    code_version: str
    inputs: Mapping[str, Mapping[str, str]]
    cause: str
    run_id: str
    created_at: str
    schema: tuple[tuple[str, str], ...] = ()
    key: tuple[str, ...] = ()
    notes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def inputs_digest(self) -> str:
        """One digest over all inputs."""
        return document_digest({table: dict(parts) for table, parts in self.inputs.items()})

    def is_made_from(self, code_version: str, inputs: Mapping[str, Mapping[str, str]]) -> bool:
        """Whether building again from these inputs with this code would repeat this version."""
        return self.code_version == code_version and self.inputs_digest == document_digest(
            {table: dict(parts) for table, parts in inputs.items()}
        )

    def to_json(self) -> bytes:
        """Readable JSON, stable for equal manifests."""
        # a field a line: json's own indentation is written in Python and ten times slower
        names = sorted(field.name for field in dataclasses.fields(self))
        lines = (f' "{name}": {json.dumps(getattr(self, name), sort_keys=True)}' for name in names)
        return ("{\n" + ",\n".join(lines) + "\n}\n").encode()

    @classmethod
    def read(cls, path: Path) -> Manifest:
        """Read a manifest; LakeError names the file when it is damaged."""
        try:
            data = json.loads(path.read_bytes())
            data["schema"] = tuple((name, kind) for name, kind in data["schema"])
            data["key"] = tuple(data["key"])
            return cls(**data)
        except (ValueError, TypeError, KeyError) as error:
            raise LakeError(
                f"{path}: damaged manifest ({error}); delete this file to rebuild its partition"
            ) from None
