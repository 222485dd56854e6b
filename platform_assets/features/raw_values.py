"""Columns of a raw row as windows and expressions read them, in SQL."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from platform_assets.declaration.expression_types import KIND_OF_TYPE, Kind
from platform_assets.declaration.feature import Feature
from platform_assets.declaration.source import Column, Source
from platform_assets.features.expression_sql import ExpressionSql
from platform_assets.features.sql_text import Dialect, is_finite, micros, quoted, without_nan


@dataclass
class RawValues:
    """Collects the expressions on a raw row that a query needs, each under a name of its own."""

    source: Source
    dialect: Dialect
    named: dict[str, str] = field(default_factory=dict)  # expression on a raw row -> name

    def name(self, expression: str) -> str:
        return self.named.setdefault(expression, f"_v{len(self.named)}")

    def where(self, feature: Feature, expression: str) -> str:
        """The expression, null for a row that the feature's `where` leaves out."""
        if feature.condition is None:
            return expression
        condition = ExpressionSql(self.dialect, self.kinds, self.operand).render(feature.condition)
        return f"CASE WHEN {condition} THEN {expression} END"

    @property
    def kinds(self) -> dict[str, Kind]:
        return {column.name: KIND_OF_TYPE[column.type] for column in self.source.columns}

    def present(self, name: str) -> str:
        """A column, NaN read as null where nulls are allowed."""
        column, text = self.source.column(name), self.quoted(name)
        return without_nan(text, self.dialect) if column.type == "float64" and column.nullable else text

    def exact(self, column: Column) -> str:
        """A column as numbers to add up: whole ones wherever the declaration allows it."""
        expression = self.present(column.name)
        if column.scale is not None:
            return f"CAST(round({expression} * {10**column.scale}) AS BIGINT)"
        return f"CAST({expression} AS BIGINT)" if column.type != "float64" else expression

    def operand(self, name: str) -> str:
        """A column in an expression: NaN is null, and a scaled one is the double nearest to its decimal."""
        column, text = self.source.column(name), self.quoted(name)
        if column.type != "float64":
            return text
        if column.scale is None:
            return without_nan(text, self.dialect)
        unit = 10**column.scale
        decimal = f"CAST(CAST(round({text} * {unit}) AS BIGINT) AS DOUBLE) / {unit}"
        return f"CASE WHEN {is_finite(text, self.dialect)} THEN {decimal} END"

    def moment(self) -> str:
        """The event timestamp in microseconds."""
        return micros(self.quoted(self.source.event_timestamp), self.dialect)

    def rank(self, keys: Iterable[str]) -> str:
        """Places of rows within the keys: by event timestamp, then by primary key."""
        order = ", ".join((self.moment(), *(self.quoted(name) for name in self.source.primary_key)))
        parts = ", ".join(self.quoted(name) for name in keys)
        return f"row_number() OVER (PARTITION BY {parts} ORDER BY {order})"

    def quoted(self, name: str) -> str:
        return quoted(name, self.dialect)
