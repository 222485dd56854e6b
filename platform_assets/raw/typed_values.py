"""Arrow values into a declared type, with a mask of those that do not fit; nothing is rounded silently."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

_WHOLE = r"^[+-]?[0-9]{1,19}(\.0*)?$"
_NUMBER = r"^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?$"
_MOMENT = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?)?"
_ZONE = r"(Z|[+-][0-9]{2}:?[0-9]{2})$"
_EXACT_IN_FLOAT = 2**53

Converted = tuple["pa.Array", "pa.Array"]
"""Values of the declared type, and a mask of those that could not be converted."""


def _cast_good(values: pa.Array, good: pa.Array, target: pa.DataType) -> Converted:
    """Cast what is good; what is neither good nor missing is bad."""
    import pyarrow.compute as pc

    good = pc.fill_null(good, False)
    bad = pc.and_(pc.invert(good), values.is_valid())
    return pc.if_else(good, values, None).cast(target, safe=False), bad


def _integers(values: pa.Array) -> Converted | None:
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = values.type
    if pa.types.is_uint64(kind):
        return _cast_good(values, pc.less_equal(values, pa.scalar(2**63 - 1, pa.uint64())), pa.int64())
    if pa.types.is_integer(kind):
        return _cast_good(values, values.is_valid(), pa.int64())
    if pa.types.is_floating(kind):
        wide = values.cast(pa.float64())
        whole = pc.and_(pc.equal(pc.floor(wide), wide), pc.less(pc.abs(wide), float(_EXACT_IN_FLOAT)))
        return _cast_good(wide, whole, pa.int64())
    if pa.types.is_string(kind):
        matches = pc.match_substring_regex(values, _WHOLE)
        digits = pc.replace_substring_regex(pc.if_else(matches, values, None), r"^\+|\.0*$", "")
        try:
            return _cast_good(digits, pc.fill_null(matches, False), pa.int64())[0], pc.and_(
                pc.invert(pc.fill_null(matches, False)), values.is_valid()
            )
        except pa.ArrowInvalid:  # nineteen digits can be too large
            return _one_by_one(values, int, pa.int64())
    return None


def _floats(values: pa.Array) -> Converted | None:
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = values.type
    if pa.types.is_integer(kind):
        wide = values.cast(pa.int64()) if not pa.types.is_uint64(kind) else values
        exact = pc.less_equal(wide.cast(pa.float64(), safe=False), float(_EXACT_IN_FLOAT))
        return _cast_good(wide, exact, pa.float64())
    if pa.types.is_decimal(kind):
        return _cast_good(values, values.is_valid(), pa.float64())
    if pa.types.is_floating(kind):
        return _cast_good(values, pc.is_finite(values), pa.float64())
    if pa.types.is_string(kind):
        matches = pc.fill_null(pc.match_substring_regex(values, _NUMBER), False)
        cast, bad = _cast_good(pc.replace_substring_regex(values, r"^\+", ""), matches, pa.float64())
        finite = pc.fill_null(pc.is_finite(cast), True)  # 1e999 reads as infinite
        return pc.if_else(finite, cast, None), pc.or_(bad, pc.invert(finite))
    return None


def _texts(values: pa.Array) -> Converted | None:
    import pyarrow as pa

    return _cast_good(values, values.is_valid(), pa.string()) if pa.types.is_string(values.type) else None


def _booleans(values: pa.Array) -> Converted | None:
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_boolean(values.type):
        return _cast_good(values, values.is_valid(), pa.bool_())
    if pa.types.is_integer(values.type):
        return _cast_good(values, pc.is_in(values, pa.array([0, 1], values.type)), pa.bool_())
    if pa.types.is_string(values.type):
        lower = pc.utf8_lower(values)
        return _cast_good(lower, pc.is_in(lower, pa.array(["true", "false", "1", "0"])), pa.bool_())
    return None


def _moments(values: pa.Array) -> Converted | None:
    import pyarrow as pa
    import pyarrow.compute as pc

    kind, target = values.type, pa.timestamp("us")
    if pa.types.is_timestamp(kind):
        # the wall clock of a zoned arrow timestamp is already stored as UTC; below microseconds is cut off
        return _cast_good(values.cast(pa.timestamp(kind.unit)), values.is_valid(), target)
    if pa.types.is_date(kind):
        return _cast_good(values, values.is_valid(), target)
    if not pa.types.is_string(kind):
        return None
    shaped = pc.fill_null(pc.match_substring_regex(values, _MOMENT + "$"), False)
    zoned = pc.fill_null(pc.match_substring_regex(values, _MOMENT + _ZONE), False)
    try:
        plain, _bad = _cast_good(values, shaped, target)
        with_zone, _bad = _cast_good(values, zoned, pa.timestamp("us", tz="UTC"))
        bad = pc.and_(pc.invert(pc.or_(shaped, zoned)), values.is_valid())
        return pc.coalesce(plain, with_zone.cast(target)), bad
    except pa.ArrowInvalid:  # looks like a time and is none, such as 30 February
        return _one_by_one(values, _moment, target)


def _moment(text: str) -> datetime:
    read = datetime.fromisoformat(text)
    return read if read.tzinfo is None else read.astimezone(UTC).replace(tzinfo=None)


def _one_by_one(values: pa.Array, read: Callable[[str], Any], target: pa.DataType) -> Converted:
    """Slow, and only for a column that is going to be refused."""
    import pyarrow as pa

    def tried(value: str | None) -> Any:
        try:
            return None if value is None else pa.scalar(read(value), target).as_py()
        except (ValueError, OverflowError, pa.ArrowInvalid):
            return None

    texts = values.to_pylist()
    found = [tried(text) for text in texts]
    bad = [text is not None and value is None for text, value in zip(texts, found, strict=True)]
    return pa.array(found, target), pa.array(bad, pa.bool_())


def scaled(values: pa.Array, stored: pa.DataType, scale: int) -> Converted:
    """Each value as the double nearest to its decimal number, so that scaled sums are exact integers."""
    import pyarrow as pa
    import pyarrow.compute as pc

    units = pc.multiply(values, 10.0**scale)
    whole = pc.round(units)
    # doubles carry 53 bits, single floats 24: what the file could not hold better is not a mistake
    allowed = pc.add(pc.multiply(pc.abs(units), 2.0**-22 if pa.types.is_float32(stored) else 2.0**-50), 1e-9)
    bad = pc.fill_null(pc.greater(pc.abs(pc.subtract(units, whole)), allowed), False)
    return pc.divide(whole, 10.0**scale), bad


CONVERTERS: dict[str, Callable[[Any], Converted | None]] = {
    "int64": _integers,
    "float64": _floats,
    "string": _texts,
    "bool": _booleans,
    "timestamp": _moments,
}
"""By declared type; None when arrow's type can never be read as the declared one."""
