"""DuckDB in process, with bounded memory, nothing downloaded and nothing left behind."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb

MEMORY_LIMIT = "2GB"


@contextlib.contextmanager
def duckdb_engine(memory_limit: str = MEMORY_LIMIT) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection that spills to a temporary folder, which goes with it.

    Row order is not kept: who needs an order asks for it.
    """
    import duckdb

    with tempfile.TemporaryDirectory(prefix="platform-duckdb-") as folder:
        connection = duckdb.connect(
            config={
                "memory_limit": memory_limit,
                "temp_directory": folder,
                "preserve_insertion_order": False,
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
            }
        )
        try:
            connection.execute("SET enable_progress_bar = false")  # drawn in notebooks and one-liners
            connection.execute("SET TimeZone = 'UTC'")
            connection.execute("SET parquet_metadata_cache = true")
            yield connection
        finally:
            connection.close()


def parquet_files(paths: Sequence[str]) -> str:
    """Parquet files as something that may follow FROM; columns are matched by name."""
    names = ", ".join("'" + path.replace("'", "''") + "'" for path in paths)
    return f"read_parquet([{names}], hive_partitioning = false, union_by_name = false)"


def column_types(engine: duckdb.DuckDBPyConnection, relation: str) -> dict[str, str]:
    """DuckDB's type of each column of what may follow FROM."""
    found = engine.execute(f"DESCRIBE SELECT * FROM {relation}").fetchall()
    return {row[0]: row[1] for row in found}
