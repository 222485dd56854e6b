"""Parquet files that are written whole or not at all."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from platform_assets.errors import SourceError
from platform_assets.lake.atomic_files import exclusive_lock, half_written
from platform_assets.offline_store.source_files import SourceFiles, is_glob, parquet_paths

if TYPE_CHECKING:
    import pyarrow as pa

ROWS_IN_A_FILE = 5_000_000


def write_rows(rows: pa.RecordBatchReader, target: Path) -> None:
    """Write a stream to `target`, in place of what is there.

    That is a file if it is named `.parquet` and no folder is there, else a folder. What was there stays
    when the write fails.
    """
    if target.suffix == ".parquet" and not target.is_dir():
        with half_written(target) as temporary:
            write_file(rows, temporary)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    new = target.with_name(f".{target.name}.{uuid.uuid4().hex}.tmp")
    old = target.with_name(f".{target.name}.{uuid.uuid4().hex}.old.tmp")
    try:
        write_folder(rows, new)
        if target.exists():
            target.replace(old)
        new.replace(target)
    finally:
        if old.exists() and not target.exists():
            old.replace(target)
        for left in (new, old):
            left.unlink() if left.is_file() else shutil.rmtree(left, ignore_errors=True)


def write_file(rows: pa.RecordBatchReader, path: Path) -> None:
    """Write a stream as one file; one row group a batch."""
    import pyarrow.parquet as pq

    with pq.ParquetWriter(path, rows.schema, compression="zstd") as writer:
        for batch in rows:
            writer.write_batch(batch)


def write_folder(rows: pa.RecordBatchReader, folder: Path) -> list[Path]:
    """Write a stream as files of some million rows each, and at least one; returns them in order."""
    import pyarrow.parquet as pq

    folder.mkdir(parents=True)
    paths: list[Path] = []
    writer: pq.ParquetWriter | None = None
    written = ROWS_IN_A_FILE
    try:
        for batch in _at_least_one(rows):
            if written >= ROWS_IN_A_FILE:
                if writer is not None:
                    writer.close()
                paths.append(folder / f"part-{len(paths):05d}.parquet")
                writer, written = pq.ParquetWriter(paths[-1], rows.schema, compression="zstd"), 0
            assert writer is not None
            writer.write_batch(batch)
            written += batch.num_rows
    finally:
        if writer is not None:
            writer.close()
    return paths


def _at_least_one(rows: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa

    empty = True
    for batch in rows:
        empty = False
        yield batch
    if empty:
        yield pa.RecordBatch.from_pylist([], schema=rows.schema)


def append_to_source(files: SourceFiles, base: Path, table: pa.Table) -> None:
    """Add rows to a source after those that are there; columns must be those of the files.

    A file is written anew, a folder gets one more file. Raises SourceError when columns or types differ,
    or the source is a glob.
    """
    if is_glob(base):
        raise SourceError(
            f"{files.called}: is a pattern, so there is no one place to write to; declare the folder"
        )
    if base.is_dir():
        _add_file(files, base, table)
        return
    with exclusive_lock(base.with_name(f".{base.name}.lock")):
        import pyarrow as pa
        import pyarrow.parquet as pq

        with pq.ParquetFile(base) as there:
            schema = there.schema_arrow
            added = as_schema(table, schema, files.called)

            def batches() -> Iterator[pa.RecordBatch]:
                yield from there.iter_batches(batch_size=131_072)
                yield from added.to_batches(max_chunksize=131_072)

            with half_written(base) as temporary:
                write_file(pa.RecordBatchReader.from_batches(schema, batches()), temporary)


def _add_file(files: SourceFiles, folder: Path, table: pa.Table) -> None:
    import pyarrow.parquet as pq

    last = files.paths[-1]
    schema = pq.read_schema(last)
    partitions = files.partition_columns
    own = as_schema(
        table.drop_columns([n for n in partitions if n in table.column_names]), schema, files.called
    )
    missing = [name for name in partitions if name not in table.column_names]
    if missing:
        raise SourceError(f"{files.called}: the rows to write have no partition column {missing[0]!r}")
    for name in partitions:
        own = own.append_column(name, table.column(name))
    add_files(own, folder, partitions)


def add_files(table: pa.Table, folder: Path, partition_by: Sequence[str]) -> None:
    """Add rows to a folder in new files, below `column=value` folders for `partition_by`.

    The names sort by time of writing, after `part-...`: of equal rows those written last count.
    """
    import pyarrow.dataset as ds

    name = f"written-{datetime.now(UTC):%Y%m%dT%H%M%S%f}-{uuid.uuid4().hex[:8]}"
    hidden = folder / f".{name}.tmp"
    try:
        ds.write_dataset(
            table,
            base_dir=hidden,
            basename_template=f"{name}-{{i}}.parquet",
            format="parquet",
            partitioning=list(partition_by) or None,
            partitioning_flavor="hive" if partition_by else None,
        )
        for path in sorted(hidden.rglob("*.parquet")):
            target = folder / path.relative_to(hidden)
            target.parent.mkdir(parents=True, exist_ok=True)
            path.replace(target)
    finally:
        shutil.rmtree(hidden, ignore_errors=True)


def as_schema(table: pa.Table, schema: pa.Schema, called: str) -> pa.Table:
    """The rows with the columns of `schema`, in its order and types; SourceError when they do not fit."""
    import pyarrow as pa
    import pyarrow.compute as pc

    extra = [name for name in table.column_names if name not in schema.names]
    missing = [name for name in schema.names if name not in table.column_names]
    if extra or missing:
        told = [f"no column {name!r}" for name in missing] + [f"an unknown column {name!r}" for name in extra]
        raise SourceError(
            f"{called}: the rows to write have {', '.join(told)}; give the columns of the files"
        )
    columns = []
    for field in schema:
        column = table.column(field.name)
        # pandas holds times in nanoseconds whatever they were made from
        safe = not (pa.types.is_timestamp(field.type) and pa.types.is_timestamp(column.type))
        try:
            columns.append(pc.cast(column, field.type, safe=safe))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise SourceError(
                f"{called}: column {field.name!r} of the rows to write is {column.type}, and the files have "
                f"{field.type} ({error})"
            ) from error
    return pa.table(columns, schema=schema)


def parquet_rows(path: Path) -> pa.Table:
    """All rows of a file or a folder of Parquet files."""
    import pyarrow.parquet as pq

    return pq.read_table(parquet_paths(path))
