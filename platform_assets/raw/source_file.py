"""One file of a source: what it holds, as it stands there, and digests of it."""

from __future__ import annotations

import hashlib
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from platform_assets.errors import SourceError

if TYPE_CHECKING:
    import pyarrow as pa

_SETTLED_NS = 1_000_000_000


@dataclass(frozen=True)
class Stamp:
    """What the file system says of a file; it moves whenever the content is written again."""

    path: Path
    size: int
    modified: int
    changed: int
    node: int

    @classmethod
    def of(cls, path: Path) -> Stamp:
        """The present stamp of a file; SourceError when the file is gone."""
        try:
            stat = path.stat()
        except OSError as error:
            raise SourceError(f"{path}: cannot be read ({error.strerror}); is it still there?") from None
        return cls(path, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino)

    @property
    def settled(self) -> bool:
        """Whether a second write would show: clocks of file systems tick in milliseconds."""
        return time.time_ns() - max(self.modified, self.changed) > _SETTLED_NS


_digests: dict[Stamp, str] = {}


def file_digest(path: Path) -> str:
    """SHA-256 over the bytes of a file, computed once for as long as its stamp stays."""
    stamp = Stamp.of(path)
    known = _digests.get(stamp)
    if known is not None:
        return known
    try:
        with path.open("rb") as handle:
            digest = hashlib.file_digest(handle, "sha256").hexdigest()
    except OSError as error:
        raise SourceError(f"{path}: cannot be read ({error.strerror}); check its permissions") from None
    if stamp.settled:
        _digests[stamp] = digest
    return digest


def read_file(path: Path, file_format: str, columns: tuple[str, ...]) -> pa.Table:
    """Those of `columns` that the file has, as stored; of a text file, everything as text.

    Raises SourceError when the file cannot be read in that format.
    """
    import pyarrow as pa

    try:
        return _read_csv(path, columns) if file_format == "csv" else _read_parquet(path, columns)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise SourceError(
            f"{path}: cannot be read as {file_format} ({_without_values(error)}); is the copy whole, and is "
            f"the declared format right? Replace the file, or set `format` (PLATFORM_SOURCE_FORMAT)"
        ) from None


def _read_parquet(path: Path, columns: tuple[str, ...]) -> pa.Table:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        names = [name for name in file.schema_arrow.names if name in columns]
        return file.read(columns=names).select(_once(names))


def _read_csv(path: Path, columns: tuple[str, ...]) -> pa.Table:
    import pyarrow as pa
    from pyarrow import csv

    with csv.open_csv(path) as reader:
        names = _once([name for name in reader.schema.names if name in columns])
    convert = csv.ConvertOptions(
        column_types={name: pa.string() for name in names},
        include_columns=names,
        strings_can_be_null=False,
    )
    if not names:  # no include_columns means all of them to arrow
        return pa.table({})
    return csv.read_csv(path, convert_options=convert)


def _once(names: list[str]) -> list[str]:
    return list(dict.fromkeys(names))


def _without_values(error: BaseException) -> str:
    """Arrow's first line up to where it quotes a row: rows may hold what must not be shown."""
    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    return re.split(r"(?<=got \d): |(?<=got \d\d): |: '", text, maxsplit=1)[0][:200]


def rows_digest(rows: pa.Table) -> str:
    """SHA-256 over names, types and values of rows in their order, whatever file they stand in."""
    digest = hashlib.sha256(str(rows.num_rows).encode())
    for field in rows.schema:
        digest.update(f"|{field.name}:{field.type}|".encode())
        for part in _plain_bytes(rows.column(field.name).combine_chunks()):
            digest.update(part)
    return digest.hexdigest()


def _plain_bytes(values: Any) -> list[bytes | memoryview]:
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    if isinstance(values, pa.ChunkedArray):  # older arrow hands back chunks
        values = pa.concat_arrays(values.chunks) if values.num_chunks else pa.array([], values.type)
    kind = values.type
    missing = np.packbits(values.is_null().to_numpy(zero_copy_only=False)).tobytes()
    if pa.types.is_string(kind):
        filled = pc.fill_null(values, "")
        ends = np.frombuffer(filled.buffers()[1], dtype=np.int32)[filled.offset :][: len(filled) + 1]
        data = filled.buffers()[2]
        body = memoryview(data)[int(ends[0]) : int(ends[-1])] if data is not None and len(ends) else b""
        return [missing, np.diff(ends).tobytes(), body]
    if pa.types.is_timestamp(kind) or pa.types.is_date64(kind):
        values = values.cast(pa.int64())
    elif pa.types.is_boolean(kind):
        values = values.cast(pa.int8())
    elif not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        return [missing, repr(values.to_pylist()).encode()]
    return [missing, pc.fill_null(values, 0).to_numpy(zero_copy_only=False).tobytes()]
