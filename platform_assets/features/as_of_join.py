"""As-of join: to each row the newest feature row that was known at its time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from platform_assets.declaration.duration import microseconds
from platform_assets.errors import DeclarationError, LakeError
from platform_assets.features.engine import duckdb_engine, parquet_files

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa


@dataclass(frozen=True)
class AsOfView:
    """Feature rows to join: Parquet files, each sorted by the primary key of the raw rows.

    `join_keys`, `event_timestamp` and `available_at` are columns of the files. A feature row older
    than `ttl` at a row's time is not used (exactly as old still is); None sets no limit.
    """

    name: str
    paths: tuple[str, ...]
    join_keys: tuple[str, ...]
    event_timestamp: str
    available_at: str
    features: tuple[str, ...]
    ttl: timedelta | None


def as_of_join(rows: pa.Table, views: Sequence[AsOfView], *, event_timestamp: str) -> pa.Table:
    """The same rows in the same order, with the features of each view added.

    At a row's time t a feature row is usable when its event timestamp and its availability are both
    at or before t. The usable one with the newest event timestamp is taken; of equal timestamps the
    one that became available last, then the last by file and row in it. A row without a key or time,
    and one with nothing usable within `ttl`, gets nulls.

    `rows` needs `event_timestamp` and each view's join keys. Raises DeclarationError when a column
    is missing or a feature's name is taken, LakeError if a row were lost or doubled.
    """
    _check_names(rows, views, event_timestamp)
    with duckdb_engine() as engine:
        for view in views:
            found = _joined(engine, rows, view, event_timestamp)
            for name in view.features:
                rows = rows.append_column(name, found.column(name))
    return rows


def _joined(
    engine: duckdb.DuckDBPyConnection, rows: pa.Table, view: AsOfView, event_timestamp: str
) -> pa.Table:
    """The view's features, one row for each of `rows` and in their order."""
    import numpy as np
    import pyarrow as pa

    moments = rows.column(event_timestamp)
    left = pa.table(
        {
            "_row": pa.array(np.arange(rows.num_rows, dtype=np.int64)),
            **dict(zip(_keys(view), (rows.column(name) for name in view.join_keys), strict=True)),
            # microseconds as numbers: no time zone and no unit can get between the two sides
            "_at": moments.cast(pa.timestamp("us", tz=moments.type.tz)).cast(pa.int64()),
        }
    )
    engine.register("as_of_rows", left)
    engine.execute(_feature_rows(view))
    late, tied = engine.execute(
        "SELECT (SELECT count(*) FROM feature_rows WHERE _known > _event),"
        f" (SELECT count(*) FROM (SELECT 1 FROM feature_rows GROUP BY {', '.join(_keys(view))}, _event"
        " HAVING count(*) > 1))"
    ).fetchall()[0]
    result = engine.sql(_with_late_rows(view) if late else _all_on_time(view, bool(tied))).to_arrow_table()
    engine.unregister("as_of_rows")
    return _in_order(result, rows.num_rows, view)


def _feature_rows(view: AsOfView) -> str:
    """Feature rows as a table; `_file` and `_line` say where each came from."""
    features = "".join(f", {_quoted(name)}" for name in view.features)
    keys = ", ".join(
        f"{_quoted(name)} AS {key}" for name, key in zip(view.join_keys, _keys(view), strict=True)
    )
    present = " AND ".join(f"{key} IS NOT NULL" for key in _keys(view))
    return f"""
        CREATE OR REPLACE TEMP TABLE feature_rows AS
        SELECT {keys}, epoch_us({_quoted(view.event_timestamp)}) AS _event,
               epoch_us({_quoted(view.available_at)}) AS _known, file_index AS _file, file_row_number AS _line
               {features}
        FROM {parquet_files(view.paths)}
        WHERE {present} AND _known IS NOT NULL"""


def _all_on_time(view: AsOfView, tied: bool) -> str:
    """Every feature row was known at its own time: one ASOF join on the event timestamp."""
    usable = "SELECT * FROM feature_rows"
    keys = ", ".join(_keys(view))
    if tied:
        usable = f"""
            SELECT * FROM feature_rows ANTI JOIN tied USING ({keys}, _event)
            UNION ALL BY NAME
            SELECT * FROM feature_rows SEMI JOIN tied USING ({keys}, _event)
            QUALIFY row_number() OVER (
                PARTITION BY {keys}, _event ORDER BY _known DESC, _file DESC, _line DESC) = 1"""
    return f"""
        WITH tied AS (SELECT {keys}, _event FROM feature_rows GROUP BY {keys}, _event HAVING count(*) > 1),
        usable AS ({usable})
        SELECT as_of_rows._row {_features(view, "usable")}
        FROM as_of_rows ASOF LEFT JOIN usable
        ON {_same_keys(view, "usable")} AND as_of_rows._at >= usable._event"""


def _with_late_rows(view: AsOfView) -> str:
    """A late feature row counts from when it was known, and only if it is the newest by then.

    Feature rows are numbered by preference; at each moment when one becomes usable, the highest
    number among those usable so far is the right one until the next such moment.
    """
    keys = ", ".join(_keys(view))
    return f"""
        WITH numbered AS (
            SELECT *, greatest(_event, _known) AS _usable_from,
                   row_number() OVER (ORDER BY _event, _known, _file, _line) AS _number
            FROM feature_rows),
        best AS (
            SELECT DISTINCT {keys}, _usable_from,
                   max(_number) OVER (PARTITION BY {keys} ORDER BY _usable_from) AS _number
            FROM numbered),
        chosen AS (
            SELECT as_of_rows._row, as_of_rows._at, best._number
            FROM as_of_rows ASOF LEFT JOIN best
            ON {_same_keys(view, "best")} AND as_of_rows._at >= best._usable_from)
        SELECT as_of_rows._row {_features(view, "numbered")}
        FROM chosen AS as_of_rows LEFT JOIN numbered USING (_number)"""


def _keys(view: AsOfView) -> list[str]:
    """Names of the join keys inside the query."""
    return [f"_key{number}" for number in range(len(view.join_keys))]


def _same_keys(view: AsOfView, other: str) -> str:
    return " AND ".join(f"as_of_rows.{key} = {other}.{key}" for key in _keys(view))


def _features(view: AsOfView, among: str) -> str:
    """The features of the chosen row, or null when it is too old."""
    names = [f"{among}.{_quoted(name)}" for name in view.features]
    if view.ttl is not None:
        oldest = f"as_of_rows._at - {microseconds(view.ttl)}"
        names = [f"CASE WHEN {among}._event >= {oldest} THEN {name} END" for name in names]
    return "".join(f", {value} AS {_quoted(name)}" for value, name in zip(names, view.features, strict=True))


def _in_order(result: pa.Table, rows: int, view: AsOfView) -> pa.Table:
    """Result rows by their row id, which must be 0 ... rows-1, each once."""
    import numpy as np
    import pyarrow as pa

    ids = result.column("_row").to_numpy()
    order = np.full(rows, -1, dtype=np.int64)
    if len(ids) == rows:
        order[ids] = np.arange(rows)
    if len(ids) != rows or (order < 0).any():
        raise LakeError(
            f"as-of join with feature view {view.name!r}: {rows} rows went in and {len(ids)} came out, not "
            "each row once; this is a fault of the join, keep the inputs and report it"
        )
    return result.take(pa.array(order))


def _check_names(rows: pa.Table, views: Sequence[AsOfView], event_timestamp: str) -> None:
    taken = set(rows.column_names)
    for view in views:
        if not view.paths:
            raise LakeError(f"feature view {view.name!r}: no feature files were given; build its days first")
        for name in (event_timestamp, *view.join_keys):
            if name not in rows.column_names:
                raise DeclarationError(
                    f"as-of join with feature view {view.name!r}: the rows have no column {name!r}; "
                    f"they have {', '.join(rows.column_names)}"
                )
        for name in view.features:
            if name in taken:
                raise DeclarationError(
                    f"as-of join with feature view {view.name!r}: a column {name!r} is there already; "
                    "rename the feature, or leave the column out of the rows"
                )
            taken.add(name)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
