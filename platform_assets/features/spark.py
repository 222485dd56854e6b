"""The same feature view on Spark, from the same declaration and the same SELECT."""

from __future__ import annotations

import contextlib
import functools
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from platform_assets.declaration.feature_view import AnyEntity, FeatureView
from platform_assets.declaration.source import Source
from platform_assets.declaration.view_sql_text import SOURCE
from platform_assets.features.engine import duckdb_engine, parquet_files
from platform_assets.features.sql_view import sql_view_rows
from platform_assets.features.window_sql import view_sql

if TYPE_CHECKING:
    import numpy.typing as npt
    import pyarrow as pa
    from pyspark.sql import SparkSession


@contextlib.contextmanager
def local_spark(cores: int = 2, memory: str = "1g") -> Iterator[SparkSession]:
    """A small Spark in this process: UTC, no web page, nothing left behind."""
    from pyspark.sql import SparkSession

    with tempfile.TemporaryDirectory(prefix="platform-spark-") as folder:
        session = (
            SparkSession.builder.master(f"local[{cores}]")
            .appName("platform-assets")
            .config("spark.driver.memory", memory)
            .config("spark.driver.host", "127.0.0.1")
            .config("spark.driver.bindAddress", "127.0.0.1")
            .config("spark.local.dir", folder)
            .config("spark.sql.warehouse.dir", f"{folder}/warehouse")
            .config("spark.sql.session.timeZone", "UTC")
            .config("spark.sql.shuffle.partitions", str(2 * cores))
            .config("spark.ui.enabled", "false")
            .config("spark.ui.showConsoleProgress", "false")
            .getOrCreate()
        )
        session.sparkContext.setLogLevel("ERROR")
        try:
            yield session
        finally:
            session.stop()


def compute_features_on_spark(
    session: SparkSession,
    source: Source,
    entity: AnyEntity,
    view: FeatureView,
    raw_paths: Sequence[str],
    days: Iterable[str],
) -> pa.Table:
    """What `compute_features` returns, computed by Spark; timestamps as UTC microseconds without zone."""
    if view.sql is not None:
        with duckdb_engine() as engine:
            relation = parquet_files(raw_paths)
            run = functools.partial(_run, session)
            return sql_view_rows(engine, source, entity, view, relation, set(days), run=run)
    session.read.parquet(*raw_paths).createOrReplaceTempView("raw_rows_in")
    query = view_sql(source, entity, view, relation="raw_rows_in", dialect="spark", days=sorted(set(days)))
    return _without_zones(session.sql(query).toArrow())


def sql_view_on_spark(
    source: Source, entity: AnyEntity, view: FeatureView, raw: pa.Table, rows: pa.Table
) -> dict[str, npt.NDArray[Any]]:
    """Features of `rows`, which are among the raw rows, of a view in SQL; float64 with NaN for null."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    moments = rows.column(source.event_timestamp)
    days = pc.strftime(moments, "%Y-%m-%d").unique().to_pylist()
    with tempfile.TemporaryDirectory(prefix="platform-spark-") as folder, local_spark() as session:
        pq.write_table(raw, path := f"{folder}/raw.parquet")
        found = compute_features_on_spark(session, source, entity, view, [path], days)
    keys = list(source.primary_key)
    numbered = rows.select(keys).append_column("_row", pa.array(range(rows.num_rows)))
    found = numbered.join(found, keys).sort_by("_row")
    return {name: found.column(name).cast(pa.float64()).to_numpy() for name in view.feature_names}


def _run(session: SparkSession, raw: pa.Table, text: str) -> pa.Table:
    """A squad's SELECT over raw rows on Spark, where files cannot be named in place of tables."""
    import pyarrow.parquet as pq

    with tempfile.TemporaryDirectory(prefix="platform-spark-") as folder:
        pq.write_table(raw, path := f"{folder}/raw.parquet")
        session.conf.set("spark.sql.runSQLOnFiles", "false")
        session.conf.set("spark.sql.ansi.enabled", "true")
        session.conf.set("spark.sql.ansi.doubleQuotedIdentifiers", "true")  # as DuckDB reads them
        session.read.parquet(path).createOrReplaceTempView("source_rows")
        return _without_zones(session.sql(text.replace(SOURCE, "source_rows")).toArrow())


def _without_zones(rows: pa.Table) -> pa.Table:
    import pyarrow as pa

    columns = [
        column.cast(pa.timestamp("us", tz=column.type.tz)).cast(pa.timestamp("us"))
        if pa.types.is_timestamp(column.type)
        else column
        for column in rows.columns
    ]
    return pa.table(columns, names=rows.column_names)
