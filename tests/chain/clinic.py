"""A clinic's product in a folder of its own, and the command line against it."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from platform_assets.home import Home
from platform_assets.stores import Stores


@dataclass(frozen=True)
class Clinic:
    """A product folder with data, and a home."""

    folder: Path
    home: Path

    @property
    def defs(self) -> Path:
        return self.folder / "defs.yaml"

    @property
    def data(self) -> Path:
        return self.folder / "feature_repo" / "data"

    @property
    def stores(self) -> Stores:
        return Stores.at(Home.at(self.home))

    def environment(self, **more: str) -> dict[str, str]:
        """Variables of a process on this home."""
        return {**os.environ, "PLATFORM_HOME": str(self.home), "PYTHONWARNINGS": "ignore", **more}

    def command(self, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        """Run the command line to its end, in the home's folder."""
        return subprocess.run(
            [sys.executable, "-m", "platform_assets", *arguments],
            cwd=self.folder,
            env=self.environment(**more),
            capture_output=True,
            text=True,
        )

    def run(self, **more: str) -> subprocess.CompletedProcess[str]:
        """`platform-assets run` on this product."""
        return self.command("run", "--product", str(self.defs), **more)

    def digests(self) -> dict[str, dict[str, str]]:
        """Current digests of every table that is the same in every undisturbed run."""
        tables = [
            "raw/appointments",
            "features/patient_history",
            "features/clinic_load",
            "products/clinic_no_shows/training_set",
            "products/clinic_no_shows/training_run",
            "products/clinic_no_shows/evaluation_report",
            "products/clinic_no_shows/predictions",
        ]
        return {name: self.stores.lake.table(name).digests() for name in tables}
