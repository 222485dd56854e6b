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
from platform_assets.feast_project.snapshot import Field, Source, View
from platform_assets.lake.digest import document_digest
from platform_assets.lake.manifest import Manifest
from platform_assets.offline_store.source_files import (
    files_root,
    parquet_paths,
    parquet_relation,
    partition_columns,
)
from platform_assets.vocabulary import feast_table

if TYPE_CHECKING:
    import pyarrow as pa

STATE = "state"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
WHOLE = ("Int32", "Int64")
NUMBERS = (*WHOLE, "Float32", "Float64", "Bool")


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
    timestamp that is no timestamp, a feature of another type than is declared, time zones that differ
    between files, null keys or timestamps, and rows that share keys and times and differ in their features.
    """
    views = [view for view in opened.views if view.source == source.name]
    if source.type == "FileSource":
        base = source_base(opened, source)
        if base is not None:
            return _of_files(source, views, base)
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


def source_base(opened: OpenProject, source: Source) -> Path | None:
    """The file, folder or glob of a source on this machine; None when it lies elsewhere."""
    path = source.path.removeprefix("file://")
    return None if "://" in path else opened.repo / path


def _of_files(source: Source, views: Sequence[View], base: Path) -> SourceState:
    import duckdb
    import pyarrow as pa
    import pyarrow.parquet as pq

    paths = parquet_paths(base)
    if not paths:
        raise SourceError(
            f"source {source.name!r}: no Parquet file at {base}; write it, or correct `path=` in the "
            f"Feast repository"
        )
    schemas: dict[Path, pa.Schema] = {}
    for path in paths:
        try:
            schemas[Path(path)] = pq.read_schema(path)
        except (pa.ArrowException, OSError) as error:
            raise SourceError(f"{path}: cannot be read as Parquet ({error}); write it again") from None
    _check_schemas(source, views, schemas, partition_columns(base, paths))
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(f"CREATE VIEW source AS SELECT * FROM {parquet_relation(base, paths)}")
        counted = _counted(connection, source, views, base)
    return SourceState(**counted, files=len(paths), fingerprint=_bytes_digest(files_root(base), paths))


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


def _check_schemas(
    source: Source, views: Sequence[View], schemas: dict[Path, pa.Schema], of_folders: Sequence[str] = ()
) -> None:
    import pyarrow as pa

    times = [name for name in (source.timestamp_field, source.created_timestamp_column) if name]
    keys = sorted({_stored(source, key) for view in views for key in view.join_keys})
    features = sorted({_stored(source, f.name) for view in views for f in view.features})
    for path, schema in schemas.items():
        for name in (*times, *keys, *features):
            if name not in schema.names and (name in times or name not in of_folders):
                kind = "timestamp column" if name in times else "column"
                near = UnknownName.among(kind, name, schema.names)
                raise SourceError(f"{path}: {near} (source {source.name!r} of the Feast repository)")
        for name in times:
            if not pa.types.is_timestamp(schema.field(name).type):
                raise SourceError(
                    f"{path}: column {name!r} is {schema.field(name).type}, not a timestamp; write it as "
                    f"one, in UTC"
                )
        for view in views:
            for feature in view.features:
                _check_type(source, view, feature, path, schema)
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


def _check_type(source: Source, view: View, feature: Field, path: Path, schema: pa.Schema) -> None:
    """Text for a number, or a number for text: Feast stores what it can make of it, or stops halfway."""
    import pyarrow as pa

    column = _stored(source, feature.name)
    if column not in schema.names:
        return
    kind = schema.field(column).type
    text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    number = pa.types.is_integer(kind) or pa.types.is_floating(kind)
    if (text and feature.type in NUMBERS) or (number and feature.type == "String"):
        raise SourceError(
            f"{path}: column {column!r} is {kind}, and feature view {view.name!r} declares it {feature.type}"
            f"; declare it with the type that the source has"
        )


def _refuse_fractions(connection: Any, source: Source, views: Sequence[View], rows: int, where: Path) -> None:
    """Whole numbers in a column of doubles are common (pandas, with nulls); a fraction would be cut off."""
    whole = {
        _stored(source, f.name): v.name for v in views if v.online for f in v.features if f.type in WHOLE
    }
    types = {name: kind for name, kind, *_ in connection.execute("DESCRIBE source").fetchall()}
    for name, view in whole.items():
        if types.get(name) not in ("FLOAT", "DOUBLE"):
            continue
        (found,) = connection.execute(
            f"SELECT count(*) FROM source WHERE {_name(name)} <> trunc({_name(name)})"
        ).fetchone()
        if found:
            raise SourceError(
                f"{where}: {found} of {rows} rows have a fraction in {name!r}, which feature view {view!r} "
                f"declares a whole number: the online store would cut it off; declare Float64"
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
    _refuse_fractions(connection, source, views, rows, where)
    copies = 0
    features: dict[tuple[str, ...], set[str]] = {}
    for view in views:
        key = tuple(_stored(source, name) for name in view.join_keys)
        features.setdefault(key, set()).update(_stored(source, f.name) for f in view.features)
    for key, values in features.items():
        copies = max(copies, _repeated(connection, source, key, sorted(values), rows, where))
    return {"rows": rows, "oldest": _iso(oldest), "newest": _iso(newest), "copies": copies}


def _repeated(
    connection: Any, source: Source, keys: Sequence[str], features: Sequence[str], rows: int, where: Path
) -> int:
    """Rows that repeat another; SourceError when two with equal keys and times have different features."""
    times = [name for name in (source.timestamp_field, source.created_timestamp_column) if name]
    same = ", ".join(_name(name) for name in (*keys, *times))
    values = ", ".join(_name(name) for name in features) or "0"
    copies, conflicts = connection.execute(
        f"SELECT coalesce(sum(n - 1), 0), count(*) FILTER (WHERE values > 1) FROM (SELECT count(*) AS n, "
        f"count(DISTINCT hash({values})) AS values FROM source GROUP BY {same} HAVING count(*) > 1)"
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


def _bytes_digest(root: Path, paths: Sequence[str]) -> str:
    """Over the files' contents, each under its path below the folder: partitions repeat their names."""
    found = {}
    for path in paths:
        file = Path(path)
        below = file.relative_to(root).as_posix() if root.is_dir() else file.name
        with file.open("rb") as handle:
            found[below] = hashlib.file_digest(handle, "sha256").hexdigest()
    return document_digest(found)


def _iso(microseconds: int) -> str:
    return (EPOCH + timedelta(microseconds=microseconds)).isoformat()


def _name(column: str) -> str:
    return '"' + column.replace('"', '""') + '"'
