"""The rows that features are asked for: an entity frame, checked, as columns for the join."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from platform_assets.errors import DeclarationError, SourceError, UnknownName

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

EVENT_TIMESTAMP = "event_timestamp"  # Feast's name for it
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CONVERSION = "pandas.to_datetime(column, utc=True)"
_FIX = f"give the entity frame one time zone: {_CONVERSION}"


@dataclass(frozen=True)
class EntityRows:
    """An entity frame as it was given, and its times in microseconds since 1970 (null where it has none)."""

    given: pd.DataFrame | pa.Table
    event_timestamp: str
    at: pa.ChunkedArray

    @property
    def columns(self) -> list[str]:
        """The names of the frame's columns."""
        return _names(self.given)

    def bounds(self) -> tuple[datetime, datetime]:
        """The first and the last time; twice 1970 when there is none, for Feast asks for two times."""
        import pyarrow.compute as pc

        found = pc.min_max(self.at).as_py()
        first, last = (timedelta(microseconds=found[end] or 0) for end in ("min", "max"))
        return _EPOCH + first, _EPOCH + last

    def key(self, name: str, file_type: str, called: str) -> pa.ChunkedArray:
        """A join key, in a type that compares with `file_type`, DuckDB's type of the key in the files."""
        return _comparable(_column(self.given, name), name, file_type, called)

    def table(self) -> pa.Table:
        """The frame in Arrow."""
        import pyarrow as pa

        if isinstance(self.given, pa.Table):
            return self.given
        return pa.table({name: _column(self.given, name) for name in self.columns})


def entity_rows(given: Any, keys: Iterable[str]) -> EntityRows:
    """An entity frame (pandas, Arrow, or what exports an Arrow stream) that has `keys` and a time.

    The time is `event_timestamp`, or else the only column of times. Times without a zone are UTC.
    Raises SourceError when a column is missing, doubled or of no use.
    """
    frame = _frame(given)
    names = _names(frame)
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise SourceError(f"entity frame: column {doubled[0]!r} is there {names.count(doubled[0])} times")
    for key in keys:
        if key not in names:
            raise SourceError(f"entity frame: join key: {UnknownName.among('column', key, names)}")
    event_timestamp = _event_timestamp(frame)
    return EntityRows(frame, event_timestamp, _moments(frame, event_timestamp))


def _frame(given: Any) -> Any:
    import pandas as pd
    import pyarrow as pa

    if isinstance(given, str):
        raise SourceError(
            "entity frame: is a string, and this offline store takes no SQL; run the query and pass its rows "
            "as a pandas DataFrame or an Arrow table"
        )
    if isinstance(given, (pd.DataFrame, pa.Table)):
        return given
    if hasattr(given, "__arrow_c_stream__"):
        return pa.table(given)
    raise SourceError(f"entity frame: is a {type(given).__name__}; pass a pandas DataFrame or an Arrow table")


def _names(frame: Any) -> list[str]:
    import pyarrow as pa

    return list(frame.column_names if isinstance(frame, pa.Table) else frame.columns)


def _column(frame: Any, name: str) -> pa.ChunkedArray:
    import pyarrow as pa

    if isinstance(frame, pa.Table):
        return frame.column(name)
    try:
        found = pa.Array.from_pandas(frame[name])
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise SourceError(
            f"entity frame: column {name!r} holds values of more than one type ({error}); make them one, or "
            "leave the column out"
        ) from error
    return found if isinstance(found, pa.ChunkedArray) else pa.chunked_array([found])


def _event_timestamp(frame: Any) -> str:
    import pandas as pd
    import pyarrow as pa

    names = _names(frame)
    if EVENT_TIMESTAMP in names:
        return EVENT_TIMESTAMP
    if isinstance(frame, pa.Table):
        times = [field.name for field in frame.schema if pa.types.is_timestamp(field.type)]
    else:
        times = [name for name in names if pd.api.types.is_datetime64_any_dtype(frame[name])]
    if len(times) != 1:
        many = f"{len(times)} columns of times ({', '.join(times)})" if times else "no column of times"
        raise SourceError(
            f"entity frame: has no column {EVENT_TIMESTAMP!r} and {many}; name the one to join at "
            f"{EVENT_TIMESTAMP!r}"
        )
    return str(times[0])


def _moments(frame: Any, name: str) -> pa.ChunkedArray:
    import pyarrow as pa
    import pyarrow.compute as pc

    if not isinstance(frame, pa.Table) and frame[name].dtype == object:
        _refuse_mixed_zones(name, frame[name])
    moments = _column(frame, name)
    kind = moments.type
    if pa.types.is_null(kind):
        return pa.chunked_array([pa.nulls(len(moments), pa.int64())])
    if pa.types.is_date(kind):
        moments = moments.cast(pa.timestamp("s"))
    elif not pa.types.is_timestamp(kind):
        raise SourceError(f"entity frame: column {name!r} is {kind}, not a time; {_CONVERSION} makes it one")
    # microseconds as numbers: no time zone and no unit can get between the two sides
    whole = pc.cast(moments, pa.timestamp("us", tz=moments.type.tz), safe=False)
    return pc.cast(whole, pa.int64())


def _refuse_mixed_zones(name: str, values: pd.Series) -> None:
    zones: dict[str, int] = {}
    for value in values.dropna():
        if isinstance(value, datetime):
            zone = "none" if value.tzinfo is None else str(value.tzinfo)
        elif isinstance(value, date):
            zone = "none"
        else:
            raise SourceError(
                f"entity frame: column {name!r} holds a {type(value).__name__} ({value!r}), not a time; "
                f"{_CONVERSION} makes it one"
            )
        zones[zone] = zones.get(zone, 0) + 1
    if len(zones) > 1:
        told = ", ".join(f"{zone} ({count} rows)" for zone, count in sorted(zones.items()))
        raise SourceError(f"entity frame: column {name!r} mixes time zones: {told}; {_FIX}")


def _comparable(key: pa.ChunkedArray, name: str, file_type: str, called: str) -> pa.ChunkedArray:
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_dictionary(key.type):
        key = key.cast(key.type.value_type)
    wanted = _family(file_type)
    if pa.types.is_null(key.type):
        return pa.chunked_array([pa.nulls(len(key), pa.string() if wanted == "string" else pa.int64())])
    found = _arrow_family(key.type)
    if pa.types.is_floating(key.type) and wanted == "whole number":
        try:
            # pandas turns whole numbers beside a missing one into doubles
            return pc.cast(pc.if_else(pc.is_nan(key), None, key), pa.int64())
        except pa.ArrowInvalid as error:
            raise SourceError(
                f"entity frame: join key {name!r} holds fractions, and {called} has {file_type} ({error})"
            ) from error
    if found != wanted and {found, wanted} != {"whole number", "fraction"} and "other" not in (found, wanted):
        raise SourceError(
            f"entity frame: join key {name!r} is {key.type}, and {called} has {file_type}; "
            "give both sides one type"
        )
    return key


def _family(duckdb_type: str) -> str:
    if duckdb_type.removeprefix("U") in ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT"):
        return "whole number"
    if duckdb_type in ("FLOAT", "DOUBLE") or duckdb_type.startswith("DECIMAL"):
        return "fraction"
    return {"VARCHAR": "string", "BOOLEAN": "boolean", "BLOB": "bytes", "DATE": "date"}.get(
        duckdb_type, "other"
    )


def _arrow_family(kind: pa.DataType) -> str:
    import pyarrow as pa

    families = {
        "whole number": (pa.types.is_integer,),
        "fraction": (pa.types.is_floating, pa.types.is_decimal),
        "string": (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view),
        "boolean": (pa.types.is_boolean,),
        "bytes": (
            pa.types.is_binary,
            pa.types.is_large_binary,
            pa.types.is_fixed_size_binary,
            pa.types.is_binary_view,
        ),
        "date": (pa.types.is_date,),
    }
    return next((name for name, checks in families.items() if any(is_(kind) for is_ in checks)), "other")


def refuse_taken(names: Iterable[str], features: Iterable[str]) -> None:
    """Raise DeclarationError when a feature would have the name of a column of the frame, or twice."""
    taken = set(names)
    for name in features:
        if name in taken:
            raise DeclarationError(
                f"feature {name!r}: a column of that name is in the entity frame or among the features "
                "already; ask for full_feature_names, or rename the column"
            )
        taken.add(name)
