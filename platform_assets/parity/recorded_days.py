"""A lake table read in given versions of its days instead of the current ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from platform_assets.lake.lake import Table


@dataclass(frozen=True)
class RecordedDays(Table):
    """Reads the version of each day that has its digest; LakeError when that version is gone."""

    recorded: Mapping[str, str] = field(default_factory=dict)

    def paths(self, partitions: Iterable[str]) -> list[str]:
        """Data files of the recorded versions."""
        return [str(self.path(self.version(name, self.recorded[name]))) for name in partitions]
