"""Digests over content: same rows, same digest, whatever the file looks like."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa


def canonical(table: pa.Table, key: Sequence[str]) -> pa.Table:
    """The rows sorted by `key`, timestamps as UTC microseconds without zone, strings and numbers wide.

    Raises ValueError when `key` does not identify every row.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    columns = []
    for field in table.schema:
        column = table.column(field.name)
        if pa.types.is_timestamp(field.type):
            column = column.cast(pa.timestamp("us", tz=field.type.tz)).cast(pa.timestamp("us"))
        elif pa.types.is_floating(field.type):
            # -0.0 and 0.0 are one value, and so are all NaNs
            column = pc.add(column.cast(pa.float64()), 0.0)
        elif pa.types.is_integer(field.type):
            column = column.cast(pa.int64())
        elif pa.types.is_dictionary(field.type) or pa.types.is_large_string(field.type):
            column = column.cast(pa.string())
        columns.append(column)
    typed = pa.table(columns, names=table.column_names)
    ordered = typed.sort_by([(name, "ascending") for name in key]).combine_chunks() if key else typed
    if key and ordered.num_rows > 1:
        same = None
        for name in key:
            column = ordered.column(name)
            equal = pc.equal(column.slice(1), column.slice(0, len(column) - 1))
            same = equal if same is None else pc.and_(same, equal)
        doubled = pc.sum(same).as_py() or 0
        if doubled:
            raise ValueError(f"{doubled} rows share a key ({', '.join(key)}) with another row")
    return ordered


def table_digest(ordered: pa.Table) -> str:
    """32 hex digits over names, types and values of a table that `canonical` returned."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    digest = hashlib.sha256()
    digest.update(str(ordered.num_rows).encode())
    for field in ordered.schema:
        digest.update(f"|{field.name}:{field.type}|".encode())
        column = ordered.column(field.name).combine_chunks()
        if isinstance(column, pa.ChunkedArray):
            column = column.chunk(0) if column.num_chunks else pa.array([], field.type)
        if column.null_count:
            digest.update(np.packbits(column.is_null().to_numpy(zero_copy_only=False)).tobytes())
        else:
            digest.update(bytes(-(-len(column) // 8)))  # the same bits, without looking at each row
        if pa.types.is_string(field.type) or pa.types.is_binary(field.type):
            filled = pc.fill_null(column, "" if pa.types.is_string(field.type) else b"")
            digest.update(pc.binary_length(filled).to_numpy(zero_copy_only=False).astype("<i8").tobytes())
            digest.update(
                "".join(filled.to_pylist()).encode()
                if pa.types.is_string(field.type)
                else b"".join(filled.to_pylist())
            )
        elif pa.types.is_nested(field.type):
            digest.update(json.dumps(column.to_pylist(), sort_keys=True, default=str).encode())
        else:
            if pa.types.is_timestamp(field.type):
                column = column.cast(pa.int64())
            elif pa.types.is_boolean(field.type):
                column = column.cast(pa.int8())
            filled = pc.fill_null(column, 0) if column.null_count else column
            values = filled.to_numpy(zero_copy_only=False)
            if values.dtype.kind == "f" and (odd := np.isnan(values)).any():
                values = np.where(odd, np.float64("nan"), values)
            little = np.ascontiguousarray(values).astype(values.dtype.newbyteorder("<"), copy=False)
            digest.update(little.data)
    return digest.hexdigest()[:32]


def document_digest(payload: Any) -> str:
    """32 hex digits over the canonical JSON of plain data."""
    text = json.dumps(payload, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def digest_of_digests(inputs: Mapping[str, str]) -> str:
    """One digest over many named ones, such as all raw days that reach some rows."""
    return document_digest(dict(inputs))
