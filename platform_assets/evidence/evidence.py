"""Verdicts, and the evidence that binds them to exact versions."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from platform_assets.lake.atomic_files import append_numbered, numbered
from platform_assets.lake.digest import document_digest
from platform_assets.lake.lake import utc_now


class Verdict(StrEnum):
    """UNKNOWN (could not measure) is never a pass and is shown as loudly as FAILED."""

    PASSED = "PASSED"
    FAILED = "FAILED"
    UNKNOWN = "UNKNOWN"


def worst(verdicts: list[Verdict]) -> Verdict:
    """FAILED if any failed, else UNKNOWN if any is unknown or there is none, else PASSED."""
    if Verdict.FAILED in verdicts:
        return Verdict.FAILED
    if not verdicts or Verdict.UNKNOWN in verdicts:
        return Verdict.UNKNOWN
    return Verdict.PASSED


@dataclass(frozen=True)
class Evidence:
    """A verdict on a subject, bound to the versions it was measured on.

    `kind` is what was measured (contract, parity, drift, leakage, ...); `subject` the lake table
    or product; `partition` a day or "" for the whole; `versions` what it holds for: digests, code
    versions, model version. `measured` and `limits` are plain numbers and strings.
    """

    kind: str
    subject: str
    verdict: Verdict
    reason: str
    versions: Mapping[str, str]
    partition: str = ""
    measured: Mapping[str, Any] = field(default_factory=dict)
    limits: Mapping[str, Any] = field(default_factory=dict)
    run_id: str = ""
    created_at: str = field(default_factory=utc_now)

    @property
    def id(self) -> str:
        """Digest over everything but time and run: equal findings share it."""
        return document_digest(
            {**dataclasses.asdict(self), "created_at": "", "run_id": "", "verdict": str(self.verdict)}
        )[:16]

    def holds_for(self, versions: Mapping[str, str]) -> bool:
        """Whether this was measured on exactly these versions."""
        return dict(self.versions) == dict(versions)

    def mismatch(self, versions: Mapping[str, str]) -> list[str]:
        """Names of the versions that differ, for a reason a person can read."""
        names = {*self.versions, *versions}
        return sorted(name for name in names if self.versions.get(name) != versions.get(name))


@dataclass(frozen=True)
class EvidenceStore:
    """Append-only evidence in the lake: <root>/<kind>/<subject>/<partition or _>/000001.json."""

    root: Path

    def record(self, evidence: Evidence) -> Evidence:
        """Append, unless the newest one of the same subject says exactly the same."""
        latest = self.latest(evidence.kind, evidence.subject, evidence.partition)
        if latest is not None and latest.id == evidence.id:
            return latest
        content = (json.dumps(dataclasses.asdict(evidence), indent=1, sort_keys=True) + "\n").encode()
        append_numbered(self._folder(evidence.kind, evidence.subject, evidence.partition), lambda _: content)
        return evidence

    def latest(self, kind: str, subject: str, partition: str = "") -> Evidence | None:
        """The newest evidence, or None. Evidence that cannot be read is UNKNOWN, never skipped."""
        files = numbered(self._folder(kind, subject, partition))
        return _read(files[-1], kind, subject, partition) if files else None

    def history(self, kind: str, subject: str, partition: str = "") -> list[Evidence]:
        """All evidence of one subject, oldest first."""
        return [
            _read(path, kind, subject, partition) for path in numbered(self._folder(kind, subject, partition))
        ]

    def partitions(self, kind: str, subject: str) -> list[str]:
        """Partitions for which there is evidence."""
        folder = self.root / kind / subject
        return sorted(p.name for p in folder.iterdir() if p.is_dir()) if folder.is_dir() else []

    def _folder(self, kind: str, subject: str, partition: str) -> Path:
        return self.root / kind / subject / (partition or "_")


def _read(path: Path, kind: str, subject: str, partition: str) -> Evidence:
    try:
        data = json.loads(path.read_bytes())
        data["verdict"] = Verdict(data["verdict"])
        return Evidence(**data)
    except (ValueError, TypeError, KeyError) as error:
        return Evidence(kind, subject, Verdict.UNKNOWN, f"{path.name} cannot be read: {error}", {}, partition)
