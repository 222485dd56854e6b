"""One day of a source into the lake, with the time at which each row was known."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from platform_assets.declaration.declared import fingerprint_of
from platform_assets.declaration.source import Source
from platform_assets.errors import SourceError
from platform_assets.lake.manifest import Manifest
from platform_assets.raw.source_reader import SourceReader
from platform_assets.stores import Stores
from platform_assets.vocabulary import AVAILABLE_AT, raw_table

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa


def raw_code_version(source: Source) -> str:
    """Sixteen digits over what a source's declaration says about the content of its rows."""
    return fingerprint_of(
        {
            "columns": [
                column.model_dump(mode="json", exclude={"description", "masked"}) for column in source.columns
            ],
            "primary_key": source.primary_key,
            "event_timestamp": source.event_timestamp,
            "available_at": source.available_at,
            "duplicates": source.duplicates,
        }
    )


def ingest_day(
    stores: Stores, source: Source, reader: SourceReader, day: str, *, cause: str, run_id: str
) -> Manifest:
    """Make a day of the source the current version of its raw partition.

    `_available_at` is the declared column, else the event timestamp. Where the day was there before,
    rows that did not change keep theirs, and changed or new ones get the present moment: nobody knew
    them earlier. The same content and declaration give the present manifest without reading a row.
    Raises SourceError, and writes nothing, when the day cannot be taken in.
    """
    table = stores.lake.table(raw_table(source.name))
    token = reader.token(day)
    inputs = {"source": {day: token}}
    version = raw_code_version(source)
    present = table.manifest(day)
    if present is not None:
        table.path(present)  # told here when the file behind the manifest is gone
        if present.is_made_from(version, inputs):
            return present
    rows = reader.read(day)
    if reader.token(day) != token:
        raise SourceError(
            f"source {source.name!r}, day {day}: changed while it was read; run again once it is complete"
        )
    available = _declared_availability(rows, source)
    notes: dict[str, Any] = {}
    if present is not None:
        import pyarrow.parquet as pq

        before = pq.read_table(table.path(present), partitioning=None)
        available, notes = _arrival(rows, before, available, source, present.created_at)
    return table.write(
        day,
        rows.append_column(AVAILABLE_AT, available),
        key=source.primary_key,
        code_version=version,
        inputs=inputs,
        cause=cause,
        run_id=run_id,
        notes=notes,
    )


def _declared_availability(rows: pa.Table, source: Source) -> pa.Array:
    import pyarrow.compute as pc

    moments = rows.column(source.event_timestamp)
    if source.available_at:
        moments = pc.coalesce(rows.column(source.available_at), moments)
    return moments.combine_chunks()


def _arrival(
    rows: pa.Table, before: pa.Table, available: pa.Array, source: Source, written: str
) -> tuple[pa.Array, dict[str, Any]]:
    """Availability of rows of a day that was there before, and how many are new, changed and gone.

    What is new arrived now, and not before the rows it follows were `written`: clocks are set back.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    found = _position_in(rows, before, source.primary_key)
    matched = found >= 0
    same = matched.copy()
    old = before.take(pa.array(np.where(matched, found, 0))) if before.num_rows else None
    for name in source.column_names:
        if old is not None and name in before.column_names:  # a column declared since corrects nothing
            same &= _equal(rows.column(name), old.column(name))
    arrived = max(datetime.now(UTC), datetime.fromisoformat(written))
    now = pa.scalar(arrived.replace(tzinfo=None), pa.timestamp("us"))
    if old is not None and AVAILABLE_AT in before.column_names:
        available = pc.if_else(pa.array(same), old.column(AVAILABLE_AT).combine_chunks(), now)
    elif rows.num_rows:
        available = pa.array([now.as_py()] * rows.num_rows, pa.timestamp("us"))
    notes = {
        "new_rows": int((~matched).sum()),
        "changed_rows": int((matched & ~same).sum()),
        "removed_rows": before.num_rows - int(matched.sum()),
    }
    return available, notes


def _position_in(rows: pa.Table, before: pa.Table, key: tuple[str, ...]) -> npt.NDArray[np.int64]:
    """For each row, where the row of the same key stands in `before`; -1 where it does not."""
    import numpy as np
    import pyarrow as pa

    both = pa.concat_tables([before.select(list(key)), rows.select(list(key))], promote_options="permissive")
    numbers = np.zeros(both.num_rows, dtype=np.int64)
    for name in key:
        codes = (
            both.column(name).combine_chunks().dictionary_encode(null_encoding="encode").indices.to_numpy()
        )
        _, numbers = np.unique(numbers * (int(codes.max(initial=0)) + 1) + codes, return_inverse=True)
    position = np.full(int(numbers.max(initial=-1)) + 1, -1, dtype=np.int64)
    position[numbers[: before.num_rows]] = np.arange(before.num_rows)
    return position[numbers[before.num_rows :]]


def _equal(new: Any, old: Any) -> npt.NDArray[np.bool_]:
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        old = old.cast(new.type)
    except pa.ArrowException:
        return np.zeros(len(new), dtype=bool)
    equal = pc.fill_null(pc.equal(new, old), False)
    both_missing = pc.and_(pc.is_null(new), pc.is_null(old))
    return np.asarray(pc.or_(equal, both_missing))
