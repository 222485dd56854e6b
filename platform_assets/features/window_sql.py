"""A declared feature view as one SELECT, for DuckDB or Spark."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta

from platform_assets.declaration.entity import AnyEntity
from platform_assets.declaration.expression import Node
from platform_assets.declaration.expression_types import KIND_OF_TYPE
from platform_assets.declaration.feature import COUNTS, Feature
from platform_assets.declaration.feature_view import FeatureView
from platform_assets.declaration.source import Source
from platform_assets.errors import DeclarationError
from platform_assets.features.expression_sql import ExpressionSql
from platform_assets.features.raw_values import RawValues
from platform_assets.features.reach import ranges
from platform_assets.features.sql_text import Dialect, number_literal, quoted
from platform_assets.features.window_aggregates import NUMERIC, WindowAggregates, is_exact
from platform_assets.features.window_frames import WindowFrames
from platform_assets.vocabulary import AVAILABLE_AT

NAN = "CAST('NaN' AS DOUBLE)"


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

    A null is left out of every function of a column, as in SQL; so is a NaN in a column declared nullable,
    and a row of which `where` is not true. A window without values has the declared `empty`, else 0 for a
    count and null for the rest. A row without one of its join keys belongs to nobody: its windows are empty.
    Columns with a `scale` and whole numbers are summed as integers and divided once, so results are
    equal to the last bit on every engine.

    Raises DeclarationError for a column that cannot be added up, and for what a dialect cannot do.
    """
    if view.sql is not None:
        raise DeclarationError(f"feature view {view.name!r} is declared in sql; it is no SELECT over windows")
    return _ViewQuery.of(source, entity, view, dialect, partition_by or ()).sql(relation, days)


def summands_sql(
    source: Source, entity: AnyEntity, view: FeatureView, *, relation: str, summed: Mapping[str, Feature]
) -> str:
    """One SELECT of what prefix sums over a view's windows are made of, a row for each row of `relation`.

    Columns out: join keys, `_us` (event timestamp in microseconds), and one whole number for each feature
    in `summed` by the name given there: the number that `view_sql` adds up, or 0 where there is only
    something to count; null where the value is absent or `where` is not true.
    """
    return _ViewQuery.of(source, entity, view).summands(relation, summed)


def windowless_sql(
    source: Source, entity: AnyEntity, view: FeatureView, *, relation: str, days: Iterable[str]
) -> str:
    """What `view_sql` selects of the row itself, `_us`, and columns that `derived_sql` will need.

    It keeps the order of `relation`.
    """
    return _ViewQuery.of(source, entity, view).windowless(relation, days)


def derived_sql(source: Source, entity: AnyEntity, view: FeatureView, *, relation: str) -> str:
    """The derived features alone, from a relation that has all others of the view; it keeps their order."""
    others = frozenset(feature.name for feature in view.features if not feature.is_derived)
    return replace(_ViewQuery.of(source, entity, view), given=others).derived(relation)


@dataclass(frozen=True)
class _ViewQuery:
    """Writes the features, while what they need of rows and of windows is collected for the inner SELECTs."""

    source: Source
    view: FeatureView
    dialect: Dialect
    kept: tuple[str, ...]
    join_keys: tuple[str, ...]
    raw: RawValues
    frames: WindowFrames
    given: frozenset[str] = frozenset()  # features that are columns of the relation

    @classmethod
    def of(
        cls,
        source: Source,
        entity: AnyEntity,
        view: FeatureView,
        dialect: Dialect = "duckdb",
        partition_by: Sequence[str] = (),
    ) -> _ViewQuery:
        names = [*partition_by, *source.primary_key, *entity.join_keys, source.event_timestamp, AVAILABLE_AT]
        frames = WindowFrames((*partition_by, *entity.join_keys), source.primary_key, dialect)
        kept = tuple(dict.fromkeys(names))
        return cls(source, view, dialect, kept, entity.join_keys, RawValues(source, dialect), frames)

    def sql(self, relation: str, days: Iterable[str] | None) -> str:
        kept = ", ".join(self.quoted(name) for name in self.kept)
        features = [f"{self.feature(f)} AS {self.quoted(f.name)}" for f in self.view.features]
        values = [f"{expression} AS {name}" for expression, name in self.raw.named.items()]
        windows = [f"{expression} AS {name}" for expression, name in self.frames.named.items()]
        passed_on = [kept, "_us", *self.raw.named.values()]
        return "\n".join(
            [
                f"SELECT {kept},",
                "  " + ",\n  ".join(features),
                "FROM (",
                "  SELECT " + ",\n    ".join([*passed_on, *windows]),
                "  FROM (SELECT " + ", ".join([kept, f"{self.raw.moment()} AS _us", *values]),
                f"    FROM {relation}) AS raw_rows",
                ") AS windows",
                *([f"WHERE {_within(days)}"] if days is not None else []),
            ]
        )

    def summands(self, relation: str, summed: Mapping[str, Feature]) -> str:
        keys = [self.quoted(name) for name in self.join_keys]
        numbers = [f"{self.summand(feature)} AS {name}" for name, feature in summed.items()]
        return f"SELECT {', '.join([*keys, f'{self.raw.moment()} AS _us', *numbers])} FROM {relation}"

    def summand(self, feature: Feature) -> str:
        if feature.column is None:
            return self.raw.where(feature, "0")
        column = self.source.column(feature.column)
        if is_exact(column) and column.type in NUMERIC:
            return self.raw.where(feature, self.raw.exact(column))
        return self.raw.where(feature, f"CASE WHEN {self.raw.present(column.name)} IS NOT NULL THEN 0 END")

    def windowless(self, relation: str, days: Iterable[str]) -> str:
        derived = [feature for feature in self.view.features if feature.is_derived]
        needed = [name for f in derived for name in f.names if name not in self.view.feature_names]
        kept = [self.quoted(name) for name in dict.fromkeys((*self.kept, *needed))]
        own = [f for f in self.view.features if not f.is_window and not f.is_derived]
        rows = [f"{self.feature(f)} AS {self.quoted(f.name)}" for f in own]
        values = [f"{expression} AS {name}" for expression, name in self.raw.named.items()]
        inner = ", ".join([*kept, f"{self.raw.moment()} AS _us", *values])
        outer = ", ".join([*kept, "_us", *rows])
        return f"SELECT {outer} FROM (SELECT {inner} FROM {relation}) AS raw_rows WHERE {_within(days)}"

    def derived(self, relation: str) -> str:
        made = [f for f in self.view.features if f.is_derived]
        features = ", ".join(f"{self.feature(f)} AS {self.quoted(f.name)}" for f in made)
        values = "".join(f", {expression} AS {name}" for expression, name in self.raw.named.items())
        return f"SELECT {features} FROM (SELECT *{values} FROM {relation}) AS rows_and_windows"

    def feature(self, feature: Feature) -> str:
        """The feature over the names of the middle SELECT, in its declared type."""
        if feature.name in self.given:
            return self.quoted(feature.name)
        if feature.is_window:
            value = self.window_value(feature)
        elif feature.formula is not None:
            value = self.made_of_others(feature, feature.formula)
        elif feature.function == "weekend":
            moment = self.quoted(self.source.event_timestamp)
            value = f"isodow({moment}) >= 6" if self.dialect == "duckdb" else f"weekday({moment}) >= 5"
        elif feature.function == "hour_at_most":
            value = f"hour({self.quoted(self.source.event_timestamp)}) <= {feature.hour}"
        else:
            value = self.raw.name(self.raw.present(self.aggregates.number(feature).name))
        return f"CAST({value} AS {'BIGINT' if feature.type == 'int64' else 'DOUBLE'})"

    def window_value(self, feature: Feature) -> str:
        """A window feature, also for a window without values and for a row that belongs to nobody."""
        value = self.aggregates.value(feature)
        if feature.function in COUNTS:
            empty = int(feature.empty or 0)
            value = f"CASE WHEN {self.has_key} THEN {value} ELSE 0 END" if self.key_may_be_missing else value
            return f"coalesce(nullif({value}, 0), {empty})" if empty else value
        value = f"CASE WHEN {self.has_key} THEN {value} END" if self.key_may_be_missing else value
        return value if feature.empty is None else f"coalesce({value}, {feature.empty!r})"

    def made_of_others(self, feature: Feature, formula: Node) -> str:
        """A ratio or an expression, over columns of the row and the features it names."""
        others = {other.name: other for other in self.view.features_of(feature)}
        kinds = self.raw.kinds | {name: KIND_OF_TYPE[other.type] for name, other in others.items()}

        def operand(name: str) -> str:
            if name not in others:
                return self.raw.name(self.raw.operand(name))
            value = self.feature(others[name])
            return value if others[name].type == "int64" else f"nullif({value}, {NAN})"

        value = ExpressionSql(self.dialect, kinds, operand).render(formula)
        return value if feature.empty is None else f"coalesce({value}, {number_literal(feature.empty)})"

    @property
    def aggregates(self) -> WindowAggregates:
        return WindowAggregates(self.source, self.view, self.raw, self.frames)

    @property
    def key_may_be_missing(self) -> bool:
        return any(self.source.column(name).nullable for name in self.join_keys)

    @property
    def has_key(self) -> str:
        return " AND ".join(f"{self.quoted(name)} IS NOT NULL" for name in self.join_keys)

    def quoted(self, name: str) -> str:
        return quoted(name, self.dialect)


def _within(days: Iterable[str]) -> str:
    """Rows of these days; no day at all keeps no row."""
    parts = [
        f"_us >= {_start(first)} AND _us < {_start(last) + 86_400_000_000}" for first, last in ranges(days)
    ]
    return " OR ".join(f"({part})" for part in parts) or "1 = 0"


def _start(day: str) -> int:
    began = datetime.combine(date.fromisoformat(day), datetime.min.time(), UTC)
    return (began - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
