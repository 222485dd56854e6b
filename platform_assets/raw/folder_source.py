"""A folder of Parquet or CSV files as a source: many files a day, one a day, or one with all days."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from platform_assets.declaration.source import Source
from platform_assets.errors import SourceError
from platform_assets.lake.digest import document_digest
from platform_assets.raw.duplicates import without_duplicates
from platform_assets.raw.masking import shown
from platform_assets.raw.source_file import Stamp, file_digest, read_file, rows_digest
from platform_assets.raw.typed_table import check_columns, typed_column, typed_table

if TYPE_CHECKING:
    import pyarrow as pa

DAY = "{day}"
_DAY_MICROSECONDS = 86_400_000_000
_FILES_HELD = 2


@dataclass(frozen=True)
class _FileByDay:
    """Rows of one file that holds many days, brought together by day, and their digests."""

    rows: pa.Table
    spans: Mapping[str, tuple[int, int]]
    digests: Mapping[str, str]


class FolderSource:
    """Reads one day at a time; see `SourceReader` for what is promised."""

    def __init__(self, source: Source, folder: Path, pattern: str, file_format: str) -> None:
        self.source = source
        self.folder = folder
        self.pattern = pattern
        self.file_format = file_format
        self._held: OrderedDict[Stamp, _FileByDay] = OrderedDict()
        self._digests: dict[Stamp, Mapping[str, str]] = {}

    def days(self) -> dict[str, str]:
        """Days that the files hold, with a token each that moves when the day's content does."""
        digests: dict[str, list[str]] = {}
        for path, day in self._files():
            found = self._digests_by_day(path) if day is None else {day: file_digest(path)}
            for name, digest in found.items():
                digests.setdefault(name, []).append(digest)
        return {day: document_digest(digests[day]) for day in sorted(digests) if self.source.covers(day)}

    def token(self, day: str) -> str:
        """The token of one day; SourceError when the files do not hold it."""
        digests = []
        for path, its_day in self._files(day):
            if its_day == day:
                digests.append(file_digest(path))
            elif its_day is None and day in self._digests_by_day(path):
                digests.append(self._digests_by_day(path)[day])
        if not digests or not self.source.covers(day):
            raise self._no_such_day(day)
        return document_digest(digests)

    def read(self, day: str) -> pa.Table:
        """The day's rows in declared columns and types; SourceError when a row is not as declared."""
        import pyarrow as pa

        parts = []
        for path, its_day in self._files(day):
            if its_day == day:
                found = read_file(path, self.file_format, self.source.column_names)
                rows = typed_table(found, self.source, str(path))
                self._refuse_other_days(rows, day, path)
                parts.append(rows)
            elif its_day is None and day in self._digests_by_day(path):
                by_day = self._by_day(path)
                first, last = by_day.spans[day]
                found = by_day.rows.slice(first, last - first)
                parts.append(typed_table(found, self.source, f"{path}, day {day}"))
        if not parts or not self.source.covers(day):
            raise self._no_such_day(day)
        return without_duplicates(pa.concat_tables(parts), self.source, f"{self.folder}, day {day}")

    def _no_such_day(self, day: str) -> SourceError:
        return SourceError(
            f"{self.folder}: no file of pattern {self.pattern!r} holds day {day} of source "
            f"{self.source.name!r} (declared from {self.source.start} to {self.source.end or 'now'})"
        )

    def _files(self, only: str | None = None) -> list[tuple[Path, str | None]]:
        """Files in order of name, each with its day; None where a file may hold any day."""
        if not self.folder.is_dir():
            raise SourceError(
                f"{self.folder}: no such folder; correct `location` of source {self.source.name!r} "
                f"or PLATFORM_SOURCE"
            )
        if DAY not in self.pattern:
            found: list[tuple[Path, str | None]] = [
                (path, None) for path in sorted(self.folder.glob(self.pattern)) if path.is_file()
            ]
        else:
            shape = _shape(self.pattern)
            found = []
            for path in sorted(self.folder.glob(self.pattern.replace(DAY, only or "????-??-??"))):
                match = shape.fullmatch(path.relative_to(self.folder).as_posix())
                if match is not None and path.is_file():
                    found.append((path, _checked_day(match["day"], path)))
        if not found and only is None:
            there = sorted(path.name for path in self.folder.iterdir())
            more = f" and {len(there) - 3} more" if len(there) > 3 else ""
            raise SourceError(
                f"{self.folder}: no file of pattern {self.pattern!r} (the folder holds "
                f"{', '.join(there[:3]) or 'nothing'}{more}); "
                f"put files there or set `pattern` (PLATFORM_SOURCE_PATTERN)"
            )
        return found

    def _refuse_other_days(self, rows: pa.Table, day: str, path: Path) -> None:
        import numpy as np

        moments = rows.column(self.source.event_timestamp).to_numpy()
        other = np.flatnonzero(moments.astype("datetime64[D]") != np.datetime64(day))
        if len(other):
            name = self.source.event_timestamp
            first = shown(rows.column(name)[int(other[0])].as_py(), self.source.column(name))
            raise SourceError(
                f"{path}: {len(other)} of {rows.num_rows} rows have {name} on another day than {day} (UTC), "
                f"the first is {first}; put them in the file of their day, or declare a pattern without {DAY}"
            )

    def _digests_by_day(self, path: Path) -> Mapping[str, str]:
        stamp = Stamp.of(path)
        if stamp not in self._digests:
            digests = self._by_day(path).digests
            if not stamp.settled:
                return digests
            self._digests[stamp] = digests
        return self._digests[stamp]

    def _by_day(self, path: Path) -> _FileByDay:
        stamp = Stamp.of(path)
        held = self._held.get(stamp)
        if held is None:
            held = self._split(path)
            if stamp.settled:
                self._held[stamp] = held
                while len(self._held) > _FILES_HELD:
                    self._held.popitem(last=False)
        return held

    def _split(self, path: Path) -> _FileByDay:
        import numpy as np

        rows = read_file(path, self.file_format, self.source.column_names)
        check_columns(rows.column_names, self.source, str(path))
        name = self.source.event_timestamp
        moments = typed_column(rows.column(name), self.source.column(name), str(path))
        numbers = np.floor_divide(moments.cast("int64").to_numpy(), _DAY_MICROSECONDS)
        if len(numbers) and (np.diff(numbers) < 0).any():
            order = np.argsort(numbers, kind="stable")
            rows, numbers = rows.take(order), numbers[order]
        rows = rows.select(list(self.source.column_names)).combine_chunks()
        firsts = np.flatnonzero(np.diff(numbers, prepend=-(2**62)))
        lasts = [*firsts[1:].tolist(), len(numbers)]
        spans = {
            str(np.datetime64(int(numbers[first]), "D")): (int(first), int(last))
            for first, last in zip(firsts, lasts, strict=False)
        }
        digests = {
            day: rows_digest(rows.slice(a, b - a)) for day, (a, b) in spans.items() if self.source.covers(day)
        }
        return _FileByDay(rows, spans, digests)


def _shape(pattern: str) -> re.Pattern[str]:
    """A glob with {day} as a regular expression whose group `day` holds the day."""
    pieces = {"**/": "(?:.*/)?", "*": "[^/]*", "?": "[^/]", DAY: r"(?P<day>\d{4}-\d{2}-\d{2})"}
    text, seen = "", False
    for piece in re.split(r"(\*\*/|\*|\?|\{day\}|\[[^\]]*\])", pattern):
        if piece == DAY and seen:
            text += "(?P=day)"
        elif piece.startswith("["):
            text += "[^" + piece[2:] if piece.startswith("[!") else piece
        else:
            text += pieces.get(piece, re.escape(piece))
        seen = seen or piece == DAY
    return re.compile(text)


def _checked_day(day: str, path: Path) -> str:
    try:
        return date.fromisoformat(day).isoformat()
    except ValueError:
        raise SourceError(f"{path}: {day!r} in its name is no day; name it YYYY-MM-DD") from None
