"""How much memory one computation may take: half of what the machine or its container has, at most 5 GiB."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

LARGEST_BUDGET = 5 * 2**30
# what a container may use: cgroup version 2, version 1
LIMIT_FILES = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


def memory_budget(limit_files: tuple[Path, ...] = LIMIT_FILES) -> int:
    """Bytes that one computation may take by estimate."""
    sizes = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for path in limit_files:
        with contextlib.suppress(OSError, ValueError):  # no such file, or "max"
            sizes.append(int(path.read_text()))
    return min(LARGEST_BUDGET, min(sizes) // 2)
