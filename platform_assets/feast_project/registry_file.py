"""A registry kept in a file, looked at before Feast does: damaged, or of a version nobody here can read.

Feast itself checks neither: it parses what it can and goes on with the rest.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from platform_assets.errors import DeclarationError

if TYPE_CHECKING:
    from feast.repo_config import RepoConfig

KNOWN_VERSIONS = ("1",)


def registry_path(config: RepoConfig) -> Path | None:
    """Where the registry's file lies; None for SQL, remote and cloud registries."""
    text = str(config.registry.path)
    if str(config.registry.registry_type) != "file" or "://" in text:
        return None
    path = Path(text)
    return path if path.is_absolute() else Path(config.repo_path or ".") / path


def check_registry_file(config: RepoConfig) -> None:
    """DeclarationError unless the registry's file is missing or of a known version."""
    path = registry_path(config)
    if path is None or not path.exists():
        return
    from feast.protos.feast.core.Registry_pb2 import Registry
    from google.protobuf.message import DecodeError

    registry = Registry()
    try:
        registry.ParseFromString(path.read_bytes())
    except DecodeError:
        raise DeclarationError(
            f"{path}: damaged, this is no Feast registry; restore it, or delete it and materialize the "
            f"registry asset (what was materialized online is known to the lake and recorded again)"
        ) from None
    found = registry.registry_schema_version
    if found not in KNOWN_VERSIONS:
        raise DeclarationError(
            f"{path}: registry of version {found or 'none'!r}; this Feast reads "
            f"{', '.join(KNOWN_VERSIONS)}. Upgrade Feast here, or use the version that wrote it"
        )
