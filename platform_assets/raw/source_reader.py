"""Where raw rows come from: one face for files and for the generator."""

from __future__ import annotations

import glob
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from platform_assets.declaration.source import Source, check_pattern
from platform_assets.errors import SourceError

if TYPE_CHECKING:
    import pyarrow as pa

LOCATION_VARIABLE = "PLATFORM_SOURCE"
FORMAT_VARIABLE = "PLATFORM_SOURCE_FORMAT"
PATTERN_VARIABLE = "PLATFORM_SOURCE_PATTERN"
_FORMATS = ("parquet", "csv")


class SourceReader(Protocol):
    """Days and rows of a source; only days from its declared start to before its end exist."""

    def days(self) -> dict[str, str]:
        """Days there are, each with a token that changes when the day's content changes. Cheap."""
        ...

    def token(self, day: str) -> str:
        """The same token for one day only; SourceError when there is no such day."""
        ...

    def read(self, day: str) -> pa.Table:
        """Rows of that day alone, in declared columns and types, one per primary key.

        Raises SourceError naming file, column, number of rows and the fix.
        """
        ...


def open_source(source: Source, folder: Path, environ: Mapping[str, str]) -> SourceReader:
    """The reader of a source declared in `folder`, without touching any data.

    `PLATFORM_SOURCE=<folder or file>` in `environ` takes the place of what is declared, with
    `PLATFORM_SOURCE_FORMAT` and `PLATFORM_SOURCE_PATTERN` where they differ too; a relative one is
    seen from the present folder. Raises SourceError when a setting is not one of those possible.
    """
    from platform_assets.raw.folder_source import FolderSource
    from platform_assets.raw.generator_source import GeneratorSource

    given = environ.get(LOCATION_VARIABLE)
    if not given and source.kind == "generator":
        return GeneratorSource(source)
    place = Path(given).expanduser().resolve() if given else (folder / (source.location or ".")).resolve()
    file_format = environ.get(FORMAT_VARIABLE) or source.format
    pattern = environ.get(PATTERN_VARIABLE) or source.pattern
    try:
        check_pattern(pattern)
    except ValueError as error:
        raise SourceError(f"{PATTERN_VARIABLE}: {error}") from None
    if place.is_file():
        if not environ.get(FORMAT_VARIABLE) and place.suffix.lstrip(".").lower() in _FORMATS:
            file_format = place.suffix.lstrip(".").lower()
        place, pattern = place.parent, glob.escape(place.name)
    if file_format not in _FORMATS:
        raise SourceError(f"{FORMAT_VARIABLE}: expected {' or '.join(_FORMATS)}, not {file_format!r}")
    return FolderSource(source, place, pattern, file_format)
