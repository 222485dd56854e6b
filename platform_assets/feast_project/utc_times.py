"""Timestamps of tables as the lake keeps them: microseconds in UTC."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa


def utc_type() -> pa.DataType:
    """Microseconds in UTC."""
    import pyarrow as pa

    return pa.timestamp("us", tz="UTC")


def in_utc(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Timestamps in UTC; without a zone they are UTC already. What is finer than microseconds is cut off."""
    import pyarrow as pa
    import pyarrow.compute as pc

    micros = pc.CastOptions(pa.timestamp("us", tz=column.type.tz), allow_time_truncate=True)
    return column.cast(options=micros).cast(utc_type())
