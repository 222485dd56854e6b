"""A declared feature view as one SELECT, for DuckDB or Spark.

Both dialects order by the event timestamp in whole microseconds, so that they share one frame:
(t-d-w, t-d] is `RANGE BETWEEN d+w-1 PRECEDING AND d PRECEDING`, open on the left because one
microsecond is left out, closed on the right, rows of equal timestamps seeing each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Literal

from platform_assets.declaration.duration import microseconds
from platform_assets.declaration.feature_view import AnyEntity, Feature, FeatureView
from platform_assets.declaration.source import Column, Source
from platform_assets.errors import DeclarationError
from platform_assets.features.reach import ranges
from platform_assets.vocabulary import AVAILABLE_AT

Dialect = Literal["duckdb", "spark"]
NUMERIC = ("int64", "float64", "bool")

# DuckDB finds the frame of every aggregate anew, so that a count and a sum over one frame cost twice.
# There both come out of one sum of (value + 2^88): the count stands above bit 88, the sum below. A sum of
# 64-bit numbers stays within +-2^87 up to 2^24 rows of the largest of them; 2^39 rows would overflow, loudly.
PACKED = 88


def view_sql(
    source: Source,
    entity: AnyEntity,
    view: FeatureView,
    *,
    relation: str,
    dialect: Dialect = "duckdb",
    days: Iterable[str] | None = None,
    partition_by: Sequence[str] | None = None,
) -> str:
    """One SELECT with a row for each row of `relation`, in no promised order.

    `relation` is anything that may follow FROM and has the source's columns and `_available_at`.
    Columns out: `partition_by`, primary key, join keys, event timestamp, `_available_at`, features.
    `days` keeps rows of those days only, after their windows have looked at every row there is.
    `partition_by` separates rows further (windows never look across its columns).

    This is the reading *as known now*: a window looks at every row of its time, also at those that
    became available later; `_available_at` is only handed on.

    A null is left out of sum, mean, min and max and of the count of a column, as in SQL; so is a NaN
    in a column declared nullable. A window without values has the declared `empty`, else 0 for a
    count and null for the rest. A row without one of its join keys belongs to nobody: its windows are empty.
    Columns with a `scale` and whole numbers are summed as integers and divided once, so results are
    equal to the last bit on every engine.

    Raises DeclarationError for a column that cannot be added up, and for what a dialect cannot do.
    """
    return _ViewQuery(source, entity, view, dialect, tuple(partition_by or ())).sql(relation, days)


def summands_sql(
    source: Source, entity: AnyEntity, view: FeatureView, *, relation: str, summed: Mapping[str, str]
) -> str:
    """One SELECT of what prefix sums over a view's windows are made of, a row for each row of `relation`.

    Columns out: join keys, `_us` (event timestamp in microseconds), and one whole number for each column in
    `summed` by the name given there: the number that `view_sql` adds up, or 0 where the column cannot be
    added up and is only counted; null where the value is absent.
    """
    return _ViewQuery(source, entity, view, "duckdb", ()).summands(relation, summed)


def windowless_sql(
    source: Source, entity: AnyEntity, view: FeatureView, *, relation: str, days: Iterable[str]
) -> str:
    """What `view_sql` selects without the window features, and `_us`; it keeps the order of `relation`."""
    return _ViewQuery(source, entity, view, "duckdb", ()).windowless(relation, days)


@dataclass
class _ViewQuery:
    """Collects the expressions of the two inner SELECTs while the features are written."""

    source: Source
    entity: AnyEntity
    view: FeatureView
    dialect: Dialect
    partition_by: tuple[str, ...]
    values: dict[str, str] = field(default_factory=dict)  # expression on a raw row -> name
    windows: dict[str, str] = field(default_factory=dict)  # expression over a window -> name

    def sql(self, relation: str, days: Iterable[str] | None) -> str:
        moment = self.source.event_timestamp
        names = [*self.partition_by, *self.source.primary_key, *self.entity.join_keys, moment, AVAILABLE_AT]
        kept = ", ".join(self.quoted(name) for name in dict.fromkeys(names))
        features = [f"{self.feature(f)} AS {self.quoted(f.name)}" for f in self.view.features]
        values = [f"{expression} AS {name}" for expression, name in self.values.items()]
        windows = [f"{expression} AS {name}" for expression, name in self.windows.items()]
        passed_on = [kept, "_us", *self.values.values()]
        micros = "epoch_us({})" if self.dialect == "duckdb" else "unix_micros(CAST({} AS TIMESTAMP))"
        return "\n".join(
            [
                f"SELECT {kept},",
                "  " + ",\n  ".join(features),
                "FROM (",
                "  SELECT " + ",\n    ".join([*passed_on, *windows]),
                "  FROM (SELECT "
                + ", ".join([kept, f"{micros.format(self.quoted(moment))} AS _us", *values]),
                f"    FROM {relation}) AS raw_rows",
                ") AS windows",
                *([f"WHERE {_within(days)}"] if days is not None else []),
            ]
        )

    def summands(self, relation: str, summed: Mapping[str, str]) -> str:
        moment = f"epoch_us({self.quoted(self.source.event_timestamp)}) AS _us"
        keys = [self.quoted(name) for name in self.entity.join_keys]
        numbers = [f"{self.summand(column)} AS {name}" for column, name in summed.items()]
        return f"SELECT {', '.join([*keys, moment, *numbers])} FROM {relation}"

    def windowless(self, relation: str, days: Iterable[str]) -> str:
        moment = self.source.event_timestamp
        names = dict.fromkeys([*self.source.primary_key, *self.entity.join_keys, moment, AVAILABLE_AT])
        kept = [self.quoted(name) for name in names]
        rows = [f"{self.feature(f)} AS {self.quoted(f.name)}" for f in self.view.features if not f.is_window]
        values = [f"{expression} AS {name}" for expression, name in self.values.items()]
        inner = ", ".join([*kept, f"epoch_us({self.quoted(moment)}) AS _us", *values])
        outer = ", ".join([*kept, "_us", *rows])
        return f"SELECT {outer} FROM (SELECT {inner} FROM {relation}) AS raw_rows WHERE {_within(days)}"

    def summand(self, name: str) -> str:
        column = self.source.column(name)
        if self.packs(column) and column.type in NUMERIC:
            return self.exact(column)
        return f"CASE WHEN {self.present(name)} IS NOT NULL THEN 0 END"

    def feature(self, feature: Feature) -> str:
        """The feature over the names of the middle SELECT, in its declared type."""
        if feature.is_window:
            value = self.window_value(feature)
        elif feature.function == "weekend":
            moment = self.quoted(self.source.event_timestamp)
            value = f"isodow({moment}) >= 6" if self.dialect == "duckdb" else f"weekday({moment}) >= 5"
        elif feature.function == "hour_at_most":
            value = f"hour({self.quoted(self.source.event_timestamp)}) <= {feature.hour}"
        else:
            assert feature.column is not None
            self.check_numeric(feature)
            value = self.value(self.present(feature.column))
        return f"CAST({value} AS {'BIGINT' if feature.type == 'int64' else 'DOUBLE'})"

    def window_value(self, feature: Feature) -> str:
        if feature.function == "count":
            column = feature.column and self.source.column(feature.column)
            counted = self.value(self.present(column.name)) if column and column.nullable else "*"
            packed = self.packed_beside(feature) if counted == "*" else None
            if packed is not None:
                value = f"coalesce({self.packed_count(feature, packed)}, 0)"
            else:
                value = self.over(feature, "count", counted)
            empty = f"{int(feature.empty)}" if feature.empty is not None else "0"
            if self.key_may_be_missing:
                value = f"CASE WHEN {self.has_key} THEN {value} ELSE 0 END"
            return value if empty == "0" else f"coalesce(nullif({value}, 0), {empty})"
        value = self.aggregate(feature)
        if self.key_may_be_missing:
            value = f"CASE WHEN {self.has_key} THEN {value} END"
        if feature.empty is not None:
            value = f"coalesce({value}, {feature.empty!r})"
        return value

    def aggregate(self, feature: Feature) -> str:
        """sum, mean, min or max; null when the window holds no value."""
        assert feature.column is not None
        self.check_numeric(feature)
        column = self.source.column(feature.column)
        unit = 10**column.scale if column.scale is not None else 1
        if feature.function == "mean" and self.packs(column):
            count = self.packed_count(feature, column)
            total = f"({self.packed(feature, column)} - {count} * CAST({2**PACKED} AS HUGEINT))"
            number = f"({count} * {unit})" if unit > 1 else count
            return f"CAST({total} AS DOUBLE) / {number}"
        value = self.value(self.exact(column))
        if feature.function in ("min", "max"):
            found = self.over(feature, feature.function, value)
            return f"CAST({found} AS DOUBLE) / {unit}" if unit > 1 else found
        total = self.over(feature, "sum", value)
        count = self.over(feature, "count", value if column.nullable else "*")
        if feature.function == "sum":
            amount = f"CAST({total} AS DOUBLE) / {unit}" if unit > 1 else f"CAST({total} AS DOUBLE)"
            # an own row taken off again leaves 0, not null
            return amount if not self.subtracts(feature) else f"CASE WHEN {count} > 0 THEN {amount} END"
        number = f"{count} * {unit}" if unit > 1 else count
        return f"CAST({total} AS DOUBLE) / nullif({number}, 0)"

    def exact(self, column: Column) -> str:
        """A raw column as numbers to add up: whole ones wherever the declaration allows it."""
        expression = self.present(column.name)
        if column.scale is not None:
            return f"CAST(round({expression} * {10**column.scale}) AS BIGINT)"
        return f"CAST({expression} AS BIGINT)" if column.type != "float64" else expression

    def packs(self, column: Column) -> bool:
        return self.dialect == "duckdb" and (column.scale is not None or column.type != "float64")

    def packed_beside(self, feature: Feature) -> Column | None:
        """A column without nulls whose mean over the same frame is asked for: it brings the count along."""
        for other in self.view.windows:
            same = all(
                getattr(other, name) == getattr(feature, name)
                for name in ("window", "delay", "include_current_row")
            )
            if same and other.function == "mean" and other.column is not None:
                column = self.source.column(other.column)
                if not column.nullable and self.packs(column):
                    return column
        return None

    def packed(self, feature: Feature, column: Column) -> str:
        """Count and sum of a column over the feature's frame in one number; null for an empty window."""
        shifted = f"CAST({self.exact(column)} AS HUGEINT) + CAST({2**PACKED} AS HUGEINT)"
        return self.over(feature, "sum", self.value(shifted))

    def packed_count(self, feature: Feature, column: Column) -> str:
        """The count; half a unit is added so that a negative sum does not borrow from it."""
        half = f"CAST({2 ** (PACKED - 1)} AS HUGEINT)"
        return f"CAST(({self.packed(feature, column)} + {half}) >> {PACKED} AS BIGINT)"

    def over(self, feature: Feature, function: str, value: str) -> str:
        """An aggregate over the feature's frame, by its name in the middle SELECT."""
        assert feature.window is not None
        delay, width = microseconds(feature.delay), microseconds(feature.window)
        end = f"{delay} PRECEDING" if delay else "CURRENT ROW"
        partition = ", ".join(self.quoted(name) for name in (*self.partition_by, *self.entity.join_keys))
        frame = f"PARTITION BY {partition} ORDER BY _us RANGE BETWEEN {delay + width - 1} PRECEDING AND {end}"
        without_own = not feature.include_current_row and not delay
        if without_own and self.dialect == "duckdb":
            frame += " EXCLUDE CURRENT ROW"
        expression = f"{function}({value}) OVER ({frame})"
        name = self.windows.setdefault(expression, f"_w{len(self.windows)}")
        if not self.subtracts(feature):
            return name
        if function in ("min", "max"):
            raise DeclarationError(
                f"feature view {self.view.name!r}: feature {feature.name!r}: Spark cannot take the current "
                f"row out of a {function}; compute this view on DuckDB, or include the current row"
            )
        own = {"count": f"(CASE WHEN {value} IS NULL THEN 0 ELSE 1 END)", "sum": f"coalesce({value}, 0)"}
        return f"({name} - {'1' if value == '*' else own[function]})"

    def subtracts(self, feature: Feature) -> bool:
        """Spark has no EXCLUDE CURRENT ROW, so there the own row is taken off again."""
        return self.dialect == "spark" and not feature.include_current_row and not feature.delay

    def present(self, name: str) -> str:
        """A raw column, NaN read as null where nulls are allowed."""
        column, quoted = self.source.column(name), self.quoted(name)
        if column.type == "float64" and column.nullable:
            # DuckDB 2.0 folds isnan() of a Parquet column to false: a file's smallest and largest value
            # leave NaN out. isfinite() it does not fold.
            finite = f"isfinite({quoted}) OR isinf({quoted})"
            is_nan = f"NOT ({finite})" if self.dialect == "duckdb" else f"isnan({quoted})"
            return f"CASE WHEN {is_nan} THEN NULL ELSE {quoted} END"
        return quoted

    def value(self, expression: str) -> str:
        return self.values.setdefault(expression, f"_v{len(self.values)}")

    def check_numeric(self, feature: Feature) -> None:
        assert feature.column is not None
        kind = self.source.column(feature.column).type
        if kind not in NUMERIC:
            raise DeclarationError(
                f"feature view {self.view.name!r}: feature {feature.name!r}: function {feature.function} "
                f"needs a number, and column {feature.column!r} is a {kind}"
            )

    @property
    def key_may_be_missing(self) -> bool:
        return any(self.source.column(name).nullable for name in self.entity.join_keys)

    @property
    def has_key(self) -> str:
        return " AND ".join(f"{self.quoted(name)} IS NOT NULL" for name in self.entity.join_keys)

    def quoted(self, name: str) -> str:
        if self.dialect == "spark":
            return "`" + name.replace("`", "``") + "`"
        return '"' + name.replace('"', '""') + '"'


def _within(days: Iterable[str]) -> str:
    """Rows of these days; no day at all keeps no row."""
    parts = [
        f"_us >= {_start(first)} AND _us < {_start(last) + 86_400_000_000}" for first, last in ranges(days)
    ]
    return " OR ".join(f"({part})" for part in parts) or "1 = 0"


def _start(day: str) -> int:
    began = datetime.combine(date.fromisoformat(day), datetime.min.time(), UTC)
    return (began - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
