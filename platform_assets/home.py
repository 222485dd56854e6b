"""Everything a run writes lives under one home; deleting it is a full reset."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

HOME_VARIABLE = "PLATFORM_HOME"
ONLINE_VARIABLE = "PLATFORM_ONLINE_STORE"


@dataclass(frozen=True)
class Home:
    """Where the lake, Dagster, MLflow, Feast and the reports live.

    `online` is the URL of the Redis server that holds online values; empty: an SQLite file in the home.

    >>> Home.at("/tmp/h").lake.name
    'lake'
    """

    root: Path
    online: str = ""

    @classmethod
    def at(cls, root: str | os.PathLike[str], online: str = "") -> Home:
        """The home rooted at a folder, which need not exist yet."""
        return cls(Path(root).expanduser().resolve(), online)

    @classmethod
    def from_environment(cls) -> Home:
        """`PLATFORM_HOME`, else `.platform` in the present folder; and `PLATFORM_ONLINE_STORE`."""
        root = os.environ.get(HOME_VARIABLE) or Path.cwd() / ".platform"
        return cls.at(root, os.environ.get(ONLINE_VARIABLE, ""))

    @property
    def lake(self) -> Path:
        return self.root / "lake"

    @property
    def dagster(self) -> Path:
        return self.root / "dagster"

    @property
    def mlflow(self) -> Path:
        return self.root / "mlflow"

    @property
    def feast(self) -> Path:
        return self.root / "feast"

    @property
    def reports(self) -> Path:
        return self.root / "reports"

    @property
    def locks(self) -> Path:
        return self.root / "locks"
