"""Which code and which packages made something."""

from __future__ import annotations

import functools
import hashlib
from importlib import metadata
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent


@functools.cache
def code_version() -> str:
    """Version of this library and sixteen digits over its Python files: `0.1.0+1f2e...`."""
    digest = hashlib.sha256()
    for path in sorted(PACKAGE.rglob("*.py"), key=lambda p: p.relative_to(PACKAGE).as_posix()):
        digest.update(path.relative_to(PACKAGE).as_posix().encode())
        digest.update(path.read_bytes())
    return f"{metadata.version('platform-assets')}+{digest.hexdigest()[:16]}"


@functools.cache
def lock_digest() -> str:
    """Sixteen digits over the names and versions of every installed distribution.

    What is installed, not what a file promises: a lock file beside a changed environment proves
    nothing. The project itself is left out: its code has its own version.
    """
    installed = sorted(
        {
            f"{dist.metadata['Name']}=={dist.version}"
            for dist in metadata.distributions()
            if dist.metadata["Name"] != "platform-assets"
        }
    )
    return hashlib.sha256("\n".join(installed).encode()).hexdigest()[:16]
