"""Rows that share a primary key, treated as the source declares."""

from __future__ import annotations

from typing import TYPE_CHECKING

from platform_assets.declaration.source import Source
from platform_assets.errors import SourceError
from platform_assets.raw.masking import shown

if TYPE_CHECKING:
    import pyarrow as pa


def without_duplicates(rows: pa.Table, source: Source, place: str) -> pa.Table:
    """Rows with one per primary key, in their order.

    `keep_first` and `keep_last` go by the order of files and rows, `drop_identical` leaves out
    repetitions of a whole row. What then still shares a key is a SourceError.
    """
    if source.duplicates in ("keep_first", "keep_last"):
        return _one_of(rows, source.primary_key, "min" if source.duplicates == "keep_first" else "max")
    if source.duplicates == "drop_identical":
        rows = _one_of(rows, source.column_names, "min")
    left = _one_of(rows, source.primary_key, "min").num_rows
    if left == rows.num_rows:
        return rows
    counted = rows.group_by(list(source.primary_key), use_threads=False).aggregate([([], "count_all")])
    first = next(row for row in counted.to_pylist() if row["count_all"] > 1)
    key = ", ".join(f"{name}={shown(first[name], source.column(name))}" for name in source.primary_key)
    again = " and differ" if source.duplicates == "drop_identical" else ""
    raise SourceError(
        f"{place}: {rows.num_rows - left} of {rows.num_rows} rows repeat another row's primary key{again}; "
        f"the first is {key}; correct the rows, or declare `duplicates` (now {source.duplicates})"
    )


def _one_of(rows: pa.Table, names: tuple[str, ...], which: str) -> pa.Table:
    import numpy as np
    import pyarrow as pa

    position = "\0position"  # no column of a file is called so
    numbered = rows.select(list(names)).append_column(position, pa.array(np.arange(rows.num_rows)))
    kept = numbered.group_by(list(names)).aggregate([(position, which)]).column(f"{position}_{which}")
    return rows if len(kept) == rows.num_rows else rows.take(np.sort(kept.to_numpy()))
