"""Peak resident memory of one program, as Linux counts it from the program's start.

`ru_maxrss` outlives exec: a child would report its parent's size at the fork when that was larger.
"""

from __future__ import annotations

from pathlib import Path


def peak_mib(process: int | None = None) -> float:
    """Largest resident size so far, in MiB, of this process or of one by its number; 0 of one that ended."""
    status = Path(f"/proc/{process or 'self'}/status").read_text()
    return sum(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1024
