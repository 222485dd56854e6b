"""As-of join: to each row the newest feature row that was known at its time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from platform_assets.declaration.duration import microseconds
from platform_assets.errors import DeclarationError, LakeError
from platform_assets.features.as_of_sql import ROWS, AskedRows, AsOfTable, prepare
from platform_assets.features.engine import column_types, duckdb_engine, parquet_files

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa


@dataclass(frozen=True)
class AsOfView:
    """Feature rows to join: Parquet files, each sorted by the primary key of the raw rows.

    `join_keys`, `event_timestamp` and `available_at` are columns of the files. A feature row older
    than `ttl` at a row's time is not used (exactly as old still is); None sets no limit.
    """

    name: str
    paths: tuple[str, ...]
    join_keys: tuple[str, ...]
    event_timestamp: str
    available_at: str
    features: tuple[str, ...]
    ttl: timedelta | None


def as_of_join(rows: pa.Table, views: Sequence[AsOfView], *, event_timestamp: str) -> pa.Table:
    """The same rows in the same order, with the features of each view added.

    At a row's time t a feature row is usable when its event timestamp and its availability are both
    at or before t. The usable one with the newest event timestamp is taken; of equal timestamps the
    one that became available last, then the last by file and row in it. A row without a key or time,
    and one with nothing usable within `ttl`, gets nulls.

    `rows` needs `event_timestamp` and each view's join keys. Raises DeclarationError when a column
    is missing or a feature's name is taken, LakeError if a row were lost or doubled.
    """
    _check_names(rows, views, event_timestamp)
    import pyarrow as pa

    moments = rows.column(event_timestamp)
    # microseconds as numbers: no time zone and no unit can get between the two sides
    at = moments.cast(pa.timestamp("us", tz=moments.type.tz)).cast(pa.int64())
    names = [*dict.fromkeys(name for view in views for name in view.join_keys)]
    with duckdb_engine() as engine:
        tables = [_table(engine, view, names) for view in views]
        found = found_features(engine, at, [rows.column(name) for name in names], tables).read_all()
    for name in found.column_names:
        rows = rows.append_column(name, found.column(name))
    return rows


def found_features(
    engine: duckdb.DuckDBPyConnection,
    at: pa.ChunkedArray,
    keys: Sequence[pa.ChunkedArray],
    tables: Sequence[AsOfTable],
) -> pa.RecordBatchReader:
    """Features of all tables as a stream, one row for each of `at` and in that order.

    `at` are microseconds since 1970; `tables` name `keys` as `key_0`, `key_1`, ... The engine must live
    until the stream has ended. Reading raises LakeError if a row were lost or doubled.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    bounds = pc.min_max(at).as_py()
    names = [f"key_{number}" for number in range(len(keys))]
    row = pa.array(np.arange(len(at), dtype=np.int64))
    engine.register(ROWS, pa.table([row, at, *keys], names=["_row", "_at", *names]))
    # without any time no feature row is used, whatever is read
    query = prepare(engine, tables, AskedRows(len(at), bounds["min"] or 0, bounds["max"] or 0))
    found = engine.sql(query).to_arrow_reader()
    schema = pa.schema(list(found.schema)[1:])
    return pa.RecordBatchReader.from_batches(schema, _each_once(found, len(at), schema))


def _each_once(found: pa.RecordBatchReader, rows: int, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """The batches without their row ids, which must be 0 ... rows-1."""
    import numpy as np
    import pyarrow as pa

    seen = 0
    for batch in found:
        ids = batch.column(0).to_numpy()
        if not np.array_equal(ids, np.arange(seen, seen + len(ids))):
            break
        seen += len(ids)
        yield pa.record_batch(batch.columns[1:], schema=schema)
    else:
        if seen == rows:
            return
    raise LakeError(
        f"as-of join: {rows} rows went in and did not come out each once, in order (right up to row {seen}); "
        "this is a fault of the join, keep the inputs and report it"
    )


def _table(engine: duckdb.DuckDBPyConnection, view: AsOfView, names: Sequence[str]) -> AsOfTable:
    relation = parquet_files(view.paths)
    types = column_types(engine, relation)
    return AsOfTable(
        relation=relation,
        keys=tuple((f"key_{names.index(name)}", name) for name in view.join_keys),
        event_timestamp=view.event_timestamp,
        event_type=types[view.event_timestamp],
        known=view.available_at,
        known_type=types[view.available_at],
        as_known_then=True,
        features=tuple((name, name) for name in view.features),
        ttl=None if view.ttl is None else microseconds(view.ttl),
    )


def _check_names(rows: pa.Table, views: Sequence[AsOfView], event_timestamp: str) -> None:
    taken = set(rows.column_names)
    for view in views:
        if not view.paths:
            raise LakeError(f"feature view {view.name!r}: no feature files were given; build its days first")
        for name in (event_timestamp, *view.join_keys):
            if name not in rows.column_names:
                raise DeclarationError(
                    f"as-of join with feature view {view.name!r}: the rows have no column {name!r}; "
                    f"they have {', '.join(rows.column_names)}"
                )
        for name in view.features:
            if name in taken:
                raise DeclarationError(
                    f"as-of join with feature view {view.name!r}: a column {name!r} is there already; "
                    "rename the feature, or leave the column out of the rows"
                )
            taken.add(name)
