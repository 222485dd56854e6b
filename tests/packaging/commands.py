"""Running a command to its end, as somebody at a shell would."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]


def succeed(*command: str, cwd: Path, **variables: str) -> str:
    """Run a command to its end; its output, or an AssertionError with all it said."""
    done = subprocess.run(command, cwd=cwd, env={**os.environ, **variables}, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
    return done.stdout
