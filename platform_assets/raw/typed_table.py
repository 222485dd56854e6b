"""Rows as a source declares them: types are checked, never guessed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from platform_assets.declaration.source import Column, Source
from platform_assets.errors import SourceError
from platform_assets.raw.masking import shown
from platform_assets.raw.typed_values import CONVERTERS, scaled

if TYPE_CHECKING:
    import pyarrow as pa


def arrow_type(column: Column) -> pa.DataType:
    """The arrow type that a declared type is stored as; timestamps are UTC microseconds without zone."""
    import pyarrow as pa

    kinds: dict[str, Callable[[], Any]] = {
        "int64": pa.int64, "float64": pa.float64, "string": pa.string, "bool": pa.bool_,
        "timestamp": lambda: pa.timestamp("us"),
    }  # fmt: skip
    return kinds[column.type]()


def typed_table(found: pa.Table, source: Source, place: str, *, columns: tuple[str, ...] = ()) -> pa.Table:
    """The declared columns of `found` in declared order and type; further columns are left out.

    Text is read as the declared type (an empty text is no value), whole numbers stored as floats as
    integers, timestamps with a zone as UTC. `columns` takes some of the declared columns only.
    Raises SourceError naming the place, column, number of rows, first bad value and the fix.
    """
    import pyarrow as pa

    wanted = [source.column(name) for name in columns or source.column_names]
    check_columns(found.column_names, source, place)
    arrays = [typed_column(found.column(column.name), column, place) for column in wanted]
    return pa.table(arrays, schema=pa.schema([(column.name, arrow_type(column)) for column in wanted]))


def check_columns(names: list[str], source: Source, place: str) -> None:
    """Raise SourceError unless every declared column is there, once."""
    missing = [name for name in source.column_names if name not in names]
    if missing:
        raise SourceError(
            f"{place}: missing column{'s' * (len(missing) > 1)} {', '.join(missing)} (found: "
            f"{', '.join(names[:20]) or 'none'}); add to the file, or take out of source {source.name!r}"
        )
    twice = [name for name in source.column_names if names.count(name) > 1]
    if twice:
        raise SourceError(f"{place}: column {twice[0]} stands twice in the file; keep one of them")


def typed_column(found: pa.ChunkedArray, column: Column, place: str) -> pa.Array:
    """One column in its declared type; SourceError when a value does not fit or is missing."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_dictionary(found.type):
        found = found.cast(found.type.value_type)
    values = pa.concat_arrays(found.chunks) if found.num_chunks else pa.array([], found.type)
    if pa.types.is_large_string(values.type) or pa.types.is_string_view(values.type):
        values = values.cast(pa.string())
    if pa.types.is_string(values.type):
        # text files cannot tell an empty text from no value
        values = pc.if_else(pc.equal(pc.utf8_trim_whitespace(values), ""), None, values)
    if pa.types.is_floating(values.type):
        values = pc.if_else(pc.is_nan(values), None, values)
    if pa.types.is_null(values.type):
        converted: pa.Array = pa.nulls(len(values), arrow_type(column))
        bad: pa.Array = pa.array([False] * len(values), pa.bool_())
    else:
        converter = CONVERTERS[column.type]
        text = pc.utf8_trim_whitespace(values) if pa.types.is_string(values.type) else values
        result = converter(values if column.type == "string" else text)
        if result is None:
            raise SourceError(
                f"{place}: column {column.name} holds {values.type} in all {len(values)} rows, declared "
                f"{column.type}; convert the file or declare the column's type as it is"
            )
        converted, bad = result
    _refuse(
        values, bad, column, place, f"not {_WANTED[column.type]}", "correct the rows or the declared type"
    )
    if converted.null_count and not column.nullable:
        raise SourceError(
            f"{place}: column {column.name} has no value in {converted.null_count} of {len(converted)} rows; "
            f"fill them in, or declare the column nullable"
        )
    if column.scale is not None:
        converted, bad = scaled(converted, values.type, column.scale)
        _refuse(
            values, bad, column, place, f"finer than the {column.scale} decimals declared",
            "round the values or change the declared scale",
        )  # fmt: skip
    return converted


_WANTED = {
    "int64": "a whole number", "float64": "a finite number", "string": "text",
    "bool": "true or false", "timestamp": "a time such as 2018-04-01T13:45:00",
}  # fmt: skip


def _refuse(values: pa.Array, bad: pa.Array, column: Column, place: str, what: str, fix: str) -> None:
    import pyarrow.compute as pc

    count = pc.sum(bad).as_py() or 0
    if count:
        first = shown(values[pc.index(bad, True).as_py()].as_py(), column)
        raise SourceError(
            f"{place}: column {column.name} (declared {column.type}): {count} of {len(values)} rows are "
            f"{what}, the first is {first!r}; {fix}"
        )
