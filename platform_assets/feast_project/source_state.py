"""A source as it is now: its rows, its newest one, its files; and what makes it unusable, told at once.

Feast reads on over all of these: a timestamp without a zone beside one with a zone shifts rows by hours,
of two rows with equal keys and times one wins by chance, and a row without a key is never found.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from platform_assets.errors import SourceError, UnknownName
from platform_assets.feast_project.feast_errors import store_told
from platform_assets.feast_project.open_project import OpenProject
from platform_assets.feast_project.snapshot import Source, View
from platform_assets.lake.digest import document_digest
from platform_assets.lake.manifest import Manifest
from platform_assets.vocabulary import feast_table

if TYPE_CHECKING:
    import pyarrow as pa

STATE = "state"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class SourceState:
    """Times are ISO 8601 in UTC; `copies` are rows that repeat another; `fingerprint` is over the content."""

    rows: int
    files: int
    oldest: str
    newest: str
    copies: int
    fingerprint: str


def source_state(opened: OpenProject, source: Source) -> SourceState:
    """Look at every row of a source once.

    Raises SourceError, naming the file and the column, for: no file or no row, a missing column, a
    timestamp that is no timestamp, time zones that differ between files, null keys or timestamps, and
    rows that share keys and times and differ in their values.
    """
    views = [view for view in opened.snapshot.views if view.source == source.name]
    if source.type == "FileSource":
        files = source_files(opened, source)
        if files is not None:
            return _of_files(source, views, files)
    return _of_rows(source, views, _pulled(opened, source, views))


def keep_source_state(
    opened: OpenProject, source: Source, *, cause: str, run_id: str = ""
) -> tuple[SourceState, Manifest]:
    """Look at a source and keep what was seen in the lake; raises as `source_state` does."""
    state = source_state(opened, source)
    table = opened.stores.lake.table(feast_table(opened.name, "sources", source.name))
    manifest = table.write_document(
        STATE, asdict(state), code_version="1", inputs={}, cause=cause, run_id=run_id
    )
    return state, manifest


def source_files(opened: OpenProject, source: Source) -> list[Path] | None:
    """The Parquet files of a source on this machine; None when it lies elsewhere."""
    if "://" in source.path and not source.path.startswith("file://"):
        return None
    path = Path(source.path.removeprefix("file://"))
    path = path if path.is_absolute() else opened.repo / path
    if path.is_dir():
        files = sorted(found for found in path.rglob("*.parquet") if found.is_file())
    elif any(sign in str(path) for sign in "*?["):
        files = sorted(found for found in Path(path.anchor).glob(str(path.relative_to(path.anchor))))
    else:
        files = [path] if path.is_file() else []
    if not files:
        raise SourceError(
            f"source {source.name!r}: no Parquet file at {path}; write it, or correct `path=` in the "
            f"Feast repository"
        )
    return files


def _of_files(source: Source, views: Sequence[View], files: Sequence[Path]) -> SourceState:
    import duckdb
    import pyarrow as pa
    import pyarrow.parquet as pq

    schemas: dict[Path, pa.Schema] = {}
    for path in files:
        try:
            schemas[path] = pq.read_schema(path)
        except (pa.ArrowException, OSError) as error:
            raise SourceError(f"{path}: cannot be read as Parquet ({error}); write it again") from None
    _check_schemas(source, views, schemas)
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        listed = ", ".join(_text(str(path)) for path in files)
        connection.execute(
            f"CREATE VIEW source AS SELECT * FROM read_parquet([{listed}], union_by_name = true)"
        )
        counted = _counted(connection, source, views, files[0] if len(files) == 1 else files[0].parent)
    return SourceState(**counted, files=len(files), fingerprint=_bytes_digest(files))


def _of_rows(source: Source, views: Sequence[View], rows: pa.Table) -> SourceState:
    import duckdb

    _check_schemas(source, views, {Path(source.name): rows.schema})
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.register("source", rows)
        counted = _counted(connection, source, views, Path(source.name))
    return SourceState(**counted, files=0, fingerprint=document_digest(counted))


def _pulled(opened: OpenProject, source: Source, views: Sequence[View]) -> pa.Table:
    """All rows of a source that only its offline store can read."""
    feast_source = opened.feast.get_data_source(source.name)
    with store_told(opened.offline_store, "see that it can be reached, then run again"):
        return opened.feast.provider.offline_store.pull_all_from_table_or_query(
            config=opened.feast.config,
            data_source=feast_source,
            join_key_columns=sorted({_stored(source, key) for view in views for key in view.join_keys}),
            feature_name_columns=sorted({_stored(source, f.name) for view in views for f in view.features}),
            timestamp_field=source.timestamp_field,
            created_timestamp_column=source.created_timestamp_column or None,
            start_date=EPOCH,
            end_date=datetime.now(UTC) + timedelta(days=1),
        ).to_arrow()


def _check_schemas(source: Source, views: Sequence[View], schemas: dict[Path, pa.Schema]) -> None:
    import pyarrow as pa

    times = [name for name in (source.timestamp_field, source.created_timestamp_column) if name]
    keys = sorted({_stored(source, key) for view in views for key in view.join_keys})
    features = sorted({_stored(source, f.name) for view in views for f in view.features})
    for path, schema in schemas.items():
        for name in (*times, *keys, *features):
            if name not in schema.names:
                kind = "timestamp column" if name in times else "column"
                near = UnknownName.among(kind, name, schema.names)
                raise SourceError(f"{path}: {near} (source {source.name!r} of the Feast repository)")
        for name in times:
            if not pa.types.is_timestamp(schema.field(name).type):
                raise SourceError(
                    f"{path}: column {name!r} is {schema.field(name).type}, not a timestamp; write it as "
                    f"one, in UTC"
                )
    zones: dict[str, str] = {}
    for path, schema in schemas.items():
        for name in times:
            zones.setdefault(str(schema.field(name).type.tz), f"{name} in {path.name}")
    if len(zones) > 1:
        told = "; ".join(f"{'no zone' if zone == 'None' else zone}: {at}" for zone, at in zones.items())
        raise SourceError(
            f"source {source.name!r} has mixed time zones in {next(iter(schemas)).parent} ({told}); write "
            f"all timestamps in UTC"
        )


def _counted(connection: Any, source: Source, views: Sequence[View], where: Path) -> dict[str, Any]:
    time = _name(source.timestamp_field)
    keys = sorted({_stored(source, key) for view in views for key in view.join_keys})
    nulls = [source.timestamp_field, *keys]
    counted = ", ".join(f"count(*) - count({_name(name)})" for name in nulls)
    # asked for as numbers: DuckDB needs pytz to hand out a timestamp with a zone. The cast is for nanoseconds
    rows, oldest, newest, *missing = connection.execute(
        f"SELECT count(*), epoch_us(min({time})::TIMESTAMPTZ), epoch_us(max({time})::TIMESTAMPTZ), {counted} "
        f"FROM source"
    ).fetchone()
    if not rows:
        raise SourceError(f"{where}: source {source.name!r} has no rows")
    for name, count in zip(nulls, missing, strict=True):
        if count:
            raise SourceError(f"{where}: {count} of {rows} rows have no {name!r}; leave them out, or fill it")
    copies = 0
    for key in dict.fromkeys(tuple(_stored(source, k) for k in view.join_keys) for view in views):
        copies = max(copies, _repeated(connection, source, key, rows, where))
    return {"rows": rows, "oldest": _iso(oldest), "newest": _iso(newest), "copies": copies}


def _repeated(connection: Any, source: Source, keys: Sequence[str], rows: int, where: Path) -> int:
    """Rows that repeat another; SourceError when two with equal keys and times have different values."""
    times = [name for name in (source.timestamp_field, source.created_timestamp_column) if name]
    same = ", ".join(_name(name) for name in (*keys, *times))
    copies, conflicts = connection.execute(
        f"SELECT coalesce(sum(n - 1), 0), count(*) FILTER (WHERE values > 1) FROM (SELECT count(*) AS n, "
        f"count(DISTINCT hash(source)) AS values FROM source GROUP BY {same} HAVING count(*) > 1)"
    ).fetchone()
    if conflicts:
        raise SourceError(
            f"{where}: {conflicts} times two or more of {rows} rows share {', '.join((*keys, *times))} and "
            f"differ in their values; which of them counts is chance. Keep one, or give them a "
            f"created_timestamp_column"
        )
    return int(copies)


def _stored(source: Source, name: str) -> str:
    """The column of the source behind a name that Feast maps."""
    return next((column for column, mapped in source.field_mapping.items() if mapped == name), name)


def _bytes_digest(files: Sequence[Path]) -> str:
    found = {}
    for path in files:
        with path.open("rb") as handle:
            found[path.name] = hashlib.file_digest(handle, "sha256").hexdigest()
    return document_digest(found)


def _iso(microseconds: int) -> str:
    return (EPOCH + timedelta(microseconds=microseconds)).isoformat()


def _name(column: str) -> str:
    return '"' + column.replace('"', '""') + '"'


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
