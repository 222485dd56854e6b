"""What DuckDB and Spark write differently."""

from __future__ import annotations

from typing import Literal

Dialect = Literal["duckdb", "spark"]


def quoted(name: str, dialect: Dialect) -> str:
    """A column's name, whatever is in it."""
    if dialect == "spark":
        return "`" + name.replace("`", "``") + "`"
    return '"' + name.replace('"', '""') + '"'


def text_literal(value: str, dialect: Dialect) -> str:
    """A text as a literal; in Spark a backslash escapes."""
    if dialect == "spark":
        return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
    return "'" + value.replace("'", "''") + "'"


def number_literal(value: float) -> str:
    """A number as the double nearest to what was written; read from text, because engines round decimals."""
    return f"CAST('{value!r}' AS DOUBLE)"


def micros(expression: str, dialect: Dialect) -> str:
    """A timestamp in whole microseconds since 1970."""
    return (
        f"epoch_us({expression})" if dialect == "duckdb" else f"unix_micros(CAST({expression} AS TIMESTAMP))"
    )


def without_nan(expression: str, dialect: Dialect) -> str:
    """A column of doubles, NaN read as null."""
    # DuckDB 2.0 folds isnan() of a Parquet column to false: a file's smallest and largest value
    # leave NaN out. isfinite() it does not fold.
    finite = f"isfinite({expression}) OR isinf({expression})"
    is_nan = f"NOT ({finite})" if dialect == "duckdb" else f"isnan({expression})"
    return f"CASE WHEN {is_nan} THEN NULL ELSE {expression} END"


def is_finite(expression: str, dialect: Dialect) -> str:
    """Whether a column of doubles is a number and not infinite."""
    if dialect == "duckdb":
        return f"isfinite({expression})"
    return f"(NOT isnan({expression}) AND abs({expression}) < CAST('Infinity' AS DOUBLE))"


def finite_or_null(expression: str, dialect: Dialect) -> str:
    """What was computed, null where it is not finite; the text of the expression stands in it once.

    DuckDB writes nullif(a, b) as CASE WHEN a = b THEN NULL ELSE a END, so that three of them around each
    operation made a formula of four operations 4,096 times as long.
    """
    if dialect == "duckdb":
        return f"list_filter([{expression}], lambda x: isfinite(x))[1]"
    for value in ("NaN", "Infinity", "-Infinity"):
        expression = f"nullif({expression}, CAST('{value}' AS DOUBLE))"
    return expression
