"""Each window function as SQL over the collected values and frames of one query."""

from __future__ import annotations

from dataclasses import dataclass

from platform_assets.declaration.feature import Feature
from platform_assets.declaration.feature_view import FeatureView
from platform_assets.declaration.source import Column, Source
from platform_assets.errors import DeclarationError
from platform_assets.features.raw_values import RawValues
from platform_assets.features.sql_text import is_finite
from platform_assets.features.window_frames import WindowFrames

NUMERIC = ("int64", "float64", "bool")

# DuckDB finds the frame of every aggregate anew, so that a count and a sum over one frame cost twice.
# There both come out of one sum of (value + 2^88): the count stands above bit 88, the sum below. A sum of
# 64-bit numbers stays within +-2^87 up to 2^24 rows of the largest of them; 2^39 rows would overflow, loudly.
PACKED = 88


def is_exact(column: Column) -> bool:
    """Whether a column's values are whole numbers, as they are or times 10^scale."""
    return column.scale is not None or column.type != "float64"


@dataclass(frozen=True)
class WindowAggregates:
    """Window functions of one view; whole numbers stay whole until one division, or one root, at the end."""

    source: Source
    view: FeatureView
    raw: RawValues
    frames: WindowFrames

    def value(self, feature: Feature) -> str:
        """A window function; null, or 0 for a count, when the window holds no value."""
        if feature.function == "count":
            return self.count(feature)
        if feature.function == "distinct_count":
            return self.distinct_count(feature)
        if feature.function == "time_since_last":
            moment = self.raw.name(self.raw.where(feature, self.raw.moment()))
            return f"CAST(_us - {self.extreme(feature, 'max', moment)} AS DOUBLE) / 1000000"
        column = self.number(feature)
        unit = 10**column.scale if column.scale is not None else 1
        if feature.function == "mean" and self.packs(feature, column):
            return self.packed_mean(feature, column, unit)
        text = self.raw.where(feature, self.raw.exact(column))
        if feature.function == "stddev":
            return (
                self.exact_deviation(feature, text, unit)
                if is_exact(column)
                else self.deviation(feature, text)
            )
        value = self.raw.name(text)
        if feature.function in ("sum", "mean"):
            return self.sum_or_mean(feature, column, value, unit)
        if feature.function == "last":
            found = self.last(feature, value)
        else:
            found = self.extreme(feature, feature.function, value)
        return f"CAST({found} AS DOUBLE) / {unit}" if unit > 1 else found

    def count(self, feature: Feature) -> str:
        column = feature.column and self.source.column(feature.column)
        counted = "*"
        if column and column.nullable:
            counted = self.raw.name(self.raw.where(feature, self.raw.present(column.name)))
        elif feature.where is not None:
            counted = self.raw.name(self.raw.where(feature, "1"))
        packed = self.packed_beside(feature) if counted == "*" else None
        if packed is not None:
            return f"coalesce({self.packed_count(feature, packed)}, 0)"
        return self.frames.total(feature, "count", counted)

    def distinct_count(self, feature: Feature) -> str:
        column = self.source.column(feature.column or "")
        check_countable(self.view, feature, column)
        text = self.raw.exact(column) if column.type in NUMERIC else self.raw.present(column.name)
        value = self.raw.name(self.raw.where(feature, text))
        if self.frames.dialect == "duckdb":
            return self.frames.over(feature, f"count(DISTINCT {value})")
        different = f"collect_set({value})"
        if not self.frames.splits(feature):
            return f"size({self.frames.over(feature, different)})"
        return f"size(array_distinct(concat({', '.join(self.frames.pieces(feature, different))})))"

    def sum_or_mean(self, feature: Feature, column: Column, value: str, unit: int) -> str:
        counted = value if column.nullable or feature.where is not None else "*"
        count = self.frames.total(feature, "count", counted)
        if self.frames.splits(feature) and not is_exact(column):
            # taking a double off a sum again would leave its rounding behind
            parts = self.frames.pieces(feature, f"sum({value})")
            total = "(" + " + ".join(f"coalesce({part}, CAST(0 AS DOUBLE))" for part in parts) + ")"
        else:
            total = self.frames.total(feature, "sum", value)
        if feature.function == "sum":
            amount = f"CAST({total} AS DOUBLE) / {unit}" if unit > 1 else f"CAST({total} AS DOUBLE)"
            # an own row taken off again leaves 0, not null
            return amount if not self.frames.splits(feature) else f"CASE WHEN {count} > 0 THEN {amount} END"
        number = f"{count} * {unit}" if unit > 1 else count
        return f"CAST({total} AS DOUBLE) / nullif({number}, 0)"

    def extreme(self, feature: Feature, function: str, value: str) -> str:
        if not self.frames.splits(feature):
            return self.frames.over(feature, f"{function}({value})")
        chosen = "least" if function == "min" else "greatest"  # both leave nulls out
        return f"{chosen}({', '.join(self.frames.pieces(feature, f'{function}({value})'))})"

    def last(self, feature: Feature, value: str) -> str:
        """The value of the window's last row, by time and primary key, that has one."""
        rank = self.raw.name(self.raw.rank(self.frames.keys))
        if self.frames.dialect == "duckdb":
            return self.frames.over(feature, f"arg_max({value}, {rank})")
        newest = f"max_by({value}, CASE WHEN {value} IS NOT NULL THEN {rank} END)"
        if not self.frames.splits(feature):
            return self.frames.over(feature, newest)
        older, before, after = self.frames.pieces(feature, newest)
        return f"coalesce({after}, {before}, {older})"

    def exact_deviation(self, feature: Feature, text: str, unit: int) -> str:
        """sqrt((n sum(x^2) - sum(x)^2) / (n (n - 1))) with the numerator in whole numbers.

        128 bits in DuckDB and 38 digits in Spark hold it; what does not fit is an error there, not a number.
        """
        wide = "HUGEINT" if self.frames.dialect == "duckdb" else "DECIMAL(19,0)"
        value, square = self.raw.name(text), self.raw.name(f"CAST({text} AS {wide}) * CAST({text} AS {wide})")
        count = self.frames.total(feature, "count", value)
        total = f"CAST({self.frames.total(feature, 'sum', value)} AS {wide})"
        squares = self.frames.total(feature, "sum", square)
        spread = f"CAST({count} AS {wide}) * {squares} - {total} * {total}"
        pairs = f"(CAST({count} AS DOUBLE) * ({count} - 1))"
        return f"CASE WHEN {count} > 1 THEN sqrt(CAST({spread} AS DOUBLE) / {pairs}) / {unit} END"

    def deviation(self, feature: Feature, text: str) -> str:
        """Of doubles, from the engine's moments about the mean; null beside a value that is not finite."""
        finite = is_finite(text, self.frames.dialect)
        value = self.raw.name(f"CASE WHEN {finite} THEN {text} END")
        odd = self.raw.name(f"CASE WHEN {text} IS NOT NULL AND NOT {finite} THEN 1 END")
        odd_count = self.frames.total(feature, "count", odd)
        if not self.frames.splits(feature):
            found = self.frames.over(feature, f"stddev_samp({value})")
            return f"CASE WHEN {odd_count} = 0 THEN {found} END"
        counts, means, spreads = (
            self.frames.pieces(feature, f"{function}({value})") for function in ("count", "avg", "var_pop")
        )
        return f"CASE WHEN {odd_count} = 0 THEN {_pooled(counts, means, spreads)} END"

    def packs(self, feature: Feature, column: Column) -> bool:
        return self.frames.dialect == "duckdb" and is_exact(column) and feature.where is None

    def packed_beside(self, feature: Feature) -> Column | None:
        """A column without nulls whose mean over the same frame is asked for: it brings the count along."""
        for other in self.view.windows:
            same = all(
                getattr(other, name) == getattr(feature, name)
                for name in ("window", "delay", "leaves_out_own_row")
            )
            if same and other.function == "mean" and other.column is not None:
                column = self.source.column(other.column)
                if not column.nullable and self.packs(other, column):
                    return column
        return None

    def packed(self, feature: Feature, column: Column) -> str:
        """Count and sum of a column over the feature's frame in one number; null for an empty window."""
        shifted = f"CAST({self.raw.exact(column)} AS HUGEINT) + CAST({2**PACKED} AS HUGEINT)"
        return self.frames.over(feature, f"sum({self.raw.name(shifted)})")

    def packed_count(self, feature: Feature, column: Column) -> str:
        """The count; half a unit is added so that a negative sum does not borrow from it."""
        half = f"CAST({2 ** (PACKED - 1)} AS HUGEINT)"
        return f"CAST(({self.packed(feature, column)} + {half}) >> {PACKED} AS BIGINT)"

    def packed_mean(self, feature: Feature, column: Column, unit: int) -> str:
        count = self.packed_count(feature, column)
        total = f"({self.packed(feature, column)} - {count} * CAST({2**PACKED} AS HUGEINT))"
        return f"CAST({total} AS DOUBLE) / {f'({count} * {unit})' if unit > 1 else count}"

    def number(self, feature: Feature) -> Column:
        """The feature's column. Raises DeclarationError unless it holds numbers."""
        column = self.source.column(feature.column or "")
        if column.type not in NUMERIC:
            raise DeclarationError(
                f"feature view {self.view.name!r}: feature {feature.name!r}: function {feature.function} "
                f"needs a number, and column {column.name!r} is a {column.type}"
            )
        return column


def check_countable(view: FeatureView, feature: Feature, column: Column) -> None:
    """Raise DeclarationError for a column whose values are not simply equal or different."""
    if column.type == "timestamp" or not (column.type == "string" or is_exact(column)):
        fix = "declare its scale" if column.type == "float64" else "count another column"
        raise DeclarationError(
            f"feature view {view.name!r}: feature {feature.name!r}: distinct_count needs whole numbers, "
            f"decimals with a scale, texts or flags, and column {column.name!r} is a {column.type}; {fix}"
        )


def _pooled(counts: list[str], means: list[str], spreads: list[str]) -> str:
    """Standard deviation of a sample from counts, means and variances of its parts.

    Source: Chan, Golub, LeVeque, "Updating formulae and a pairwise algorithm", 1979, formula 2.1.
    """
    zero = "CAST(0 AS DOUBLE)"
    count = "(" + " + ".join(counts) + ")"
    mean = " + ".join(f"{n} * coalesce({m}, {zero})" for n, m in zip(counts, means, strict=True))
    mean = f"(({mean}) / nullif({count}, 0))"
    apart = [
        f"{n} * (coalesce({v}, {zero}) + power(coalesce({m}, {mean}) - {mean}, 2))"
        for n, m, v in zip(counts, means, spreads, strict=True)
    ]
    return f"CASE WHEN {count} > 1 THEN sqrt(({' + '.join(apart)}) / ({count} - 1)) END"
