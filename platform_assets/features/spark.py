"""The same feature view on Spark, from the same declaration and the same SELECT."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from platform_assets.declaration.feature_view import AnyEntity, FeatureView
from platform_assets.declaration.source import Source
from platform_assets.features.window_sql import view_sql

if TYPE_CHECKING:
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
    import pyarrow as pa

    session.read.parquet(*raw_paths).createOrReplaceTempView("raw_rows_in")
    query = view_sql(source, entity, view, relation="raw_rows_in", dialect="spark", days=sorted(set(days)))
    rows = session.sql(query).toArrow()
    columns = [
        column.cast(pa.timestamp("us", tz=column.type.tz)).cast(pa.timestamp("us"))
        if pa.types.is_timestamp(column.type)
        else column
        for column in rows.columns
    ]
    return pa.table(columns, names=rows.column_names)
