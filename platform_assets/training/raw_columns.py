"""Columns of raw rows that a training set does not hold, by the very raw versions it was made from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from platform_assets.declaration.source import Source
from platform_assets.errors import LakeError
from platform_assets.stores import Stores
from platform_assets.vocabulary import raw_table

if TYPE_CHECKING:
    import pyarrow as pa


def raw_columns(
    stores: Stores,
    source: Source,
    raw: Mapping[str, str],
    days: Sequence[str],
    rows: pa.Table,
    columns: Sequence[str],
) -> dict[str, pa.ChunkedArray]:
    """Columns for `rows`, in their order; `raw` maps days to the digests meant, `days` are those of the rows.

    Raises LakeError when a version is gone or a row is in none of them.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not columns:
        return {}
    table, key, parts = stores.lake.table(raw_table(source.name)), list(source.primary_key), []
    for day in days:
        if day not in raw:
            raise LakeError(f"the lineage names no raw rows of {day}")
        path = table.path(table.version(day, raw[day]))
        parts.append(pq.read_table(path, columns=[*dict.fromkeys((*key, *columns))], partitioning=None))
    position = pa.array(np.arange(rows.num_rows))
    joined = (
        rows.select(key)
        .append_column("_position", position)
        .join(pa.concat_tables(parts), key, join_type="inner")
        .sort_by("_position")
    )
    if joined.num_rows != rows.num_rows:
        raise LakeError(f"{rows.num_rows - joined.num_rows} of the rows are not in {table.name}")
    return {name: joined.column(name) for name in columns}
