"""A view that is declared in SQL: run a day at a time, over that day and its reach, and nothing else.

The squad's SELECT runs in a DuckDB of its own, without files, network, extensions, settings or Python's
variables. Of each day it sees the rows of [midnight - reach, next midnight), so what it looks back at is
what is declared, however many days are built together. Its rows are checked: one for each source row.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Collection, Iterator
from datetime import date
from typing import TYPE_CHECKING

from platform_assets.declaration.duration import microseconds
from platform_assets.declaration.entity import AnyEntity
from platform_assets.declaration.feature_view import FeatureView
from platform_assets.declaration.source import Source
from platform_assets.declaration.view_sql_text import SOURCE
from platform_assets.errors import DeclarationError
from platform_assets.features.engine import MEMORY_LIMIT, column_types
from platform_assets.features.moments import between
from platform_assets.features.reach import DAY
from platform_assets.features.sql_text import quoted
from platform_assets.vocabulary import AVAILABLE_AT

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

Run = Callable[["pa.Table", str], "pa.Table"]
"""Runs a SELECT over raw rows, in which SOURCE stands for them."""


def sql_view_rows(
    engine: duckdb.DuckDBPyConnection,
    source: Source,
    entity: AnyEntity,
    view: FeatureView,
    relation: str,
    days: Collection[str],
    *,
    run: Run | None = None,
) -> pa.Table:
    """Feature rows of the days, columns as `view_sql` has them. `relation` holds the raw rows in reach.

    `run` is DuckDB unless another engine is to do it. Raises DeclarationError for a SELECT that cannot be
    run, lacks a column, or gives anything but one row with its own keys and time for each source row.
    """
    import pyarrow as pa

    assert view.sql is not None
    assert view.reach is not None
    columns = ", ".join(quoted(name, "duckdb") for name in (*source.column_names, AVAILABLE_AT))
    event = quoted(source.event_timestamp, "duckdb")
    kind = column_types(engine, relation)[source.event_timestamp]
    found = []
    for day in sorted(days) or [source.start.isoformat()]:
        begin = (date.fromisoformat(day) - date(1970, 1, 1)).days * DAY
        # so written that files of other days are skipped by their statistics
        seen = " AND ".join(between(event, kind, begin - microseconds(view.reach), begin + DAY - 1))
        raw = engine.sql(f"SELECT {columns} FROM {relation} WHERE {seen}").to_arrow_table()
        rows = _checked(source, entity, view, raw, _run(view, raw, run or run_isolated), begin)
        found.append(rows if days else rows.slice(0, 0))
    return pa.concat_tables(found)


def check_sql_view(source: Source, entity: AnyEntity, view: FeatureView) -> None:
    """Raise DeclarationError unless the SELECT can be run and gives what is needed: tried on no rows."""
    import pyarrow as pa

    assert view.sql is not None
    types = {
        "int64": pa.int64(),
        "float64": pa.float64(),
        "string": pa.string(),
        "bool": pa.bool_(),
        "timestamp": pa.timestamp("us"),
    }
    columns = {column.name: pa.array([], types[column.type]) for column in source.columns}
    raw = pa.table({**columns, AVAILABLE_AT: pa.array([], pa.timestamp("us"))})
    _checked(source, entity, view, raw, _run(view, raw, run_isolated), 0)


def _run(view: FeatureView, raw: pa.Table, run: Run) -> pa.Table:
    assert view.sql is not None
    try:
        return run(raw, view.sql)
    except Exception as error:  # each engine has its own tree of errors
        told = str(error).strip().splitlines()[0]
        raise DeclarationError(f"feature view {view.name!r}: its sql cannot be run: {told}") from error


def run_isolated(raw: pa.Table, text: str) -> pa.Table:
    """The SELECT over the raw rows, in a DuckDB that can reach nothing else; raises what DuckDB raises."""
    with _isolated() as engine:
        engine.register("source_rows", raw)
        engine.execute("SET enable_external_access = false")
        engine.execute("SET lock_configuration = true")
        return engine.sql(text.replace(SOURCE, "source_rows")).to_arrow_table()


@contextlib.contextmanager
def _isolated() -> Iterator[duckdb.DuckDBPyConnection]:
    import duckdb

    with tempfile.TemporaryDirectory(prefix="platform-duckdb-") as folder:
        engine = duckdb.connect(
            config={
                "memory_limit": MEMORY_LIMIT,
                "temp_directory": folder,
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
                "python_enable_replacements": False,
            }
        )
        try:
            engine.execute("SET enable_progress_bar = false")
            engine.execute("SET TimeZone = 'UTC'")
            yield engine
        finally:
            engine.close()


def _checked(
    source: Source, entity: AnyEntity, view: FeatureView, raw: pa.Table, declared: pa.Table, begin: int
) -> pa.Table:
    """The day's rows with their features, once it is sure that each source row has exactly one."""
    import pyarrow as pa

    keys = source.primary_key
    named = dict.fromkeys((*keys, *entity.join_keys, source.event_timestamp))
    lacking = [name for name in (*named, *view.feature_names) if name not in declared.column_names]
    if lacking:
        raise DeclarationError(
            f"feature view {view.name!r}: its sql gives no column {', '.join(lacking)}; it gives "
            f"{', '.join(declared.column_names)}. Primary key, join keys, event timestamp and every feature "
            f"are needed"
        )
    for name in view.feature_names:
        kind = declared.schema.field(name).type
        if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_temporal(kind):
            raise DeclarationError(
                f"feature view {view.name!r}: its sql gives {kind} for feature {name}; a feature is a "
                f"number: compute one from it, or CAST it"
            )
    with _isolated() as engine:
        engine.register("raw_rows", raw)
        engine.register("declared", declared)
        same = " AND ".join(
            f"raw_rows.{quoted(name, 'duckdb')} IS NOT DISTINCT FROM declared.{quoted(name, 'duckdb')}"
            for name in named
        )
        distinct = ", ".join(quoted(name, "duckdb") for name in keys)
        matched, different = engine.sql(
            f"SELECT (SELECT count(*) FROM raw_rows JOIN declared ON {same}), "
            f"(SELECT count(*) FROM (SELECT DISTINCT {distinct} FROM declared))"
        ).fetchall()[0]
        if not raw.num_rows == declared.num_rows == matched == different:
            raise DeclarationError(
                f"feature view {view.name!r}: its sql gives {declared.num_rows} rows for {raw.num_rows} "
                f"source rows, {different} different primary keys, and {matched} rows with the key, "
                f"entity and time of a source row; it must give exactly one for each"
            )
        kept = ", ".join(f"raw_rows.{quoted(name, 'duckdb')}" for name in (*named, AVAILABLE_AT))
        features = ", ".join(
            f"CAST(declared.{quoted(f.name, 'duckdb')} AS {'BIGINT' if f.type == 'int64' else 'DOUBLE'}) "
            f"AS {quoted(f.name, 'duckdb')}"
            for f in view.features
        )
        moment = f"epoch_us(raw_rows.{quoted(source.event_timestamp, 'duckdb')})"
        return engine.sql(
            f"SELECT {kept}, {features} FROM raw_rows JOIN declared ON {same} "
            f"WHERE {moment} >= {begin} AND {moment} < {begin + DAY}"
        ).to_arrow_table()
