"""An expression of a declaration as SQL, for DuckDB or Spark. No text of a squad goes in as it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from platform_assets.declaration.expression import (
    Arithmetic,
    Call,
    Comparison,
    IsNull,
    Junction,
    Literal,
    Membership,
    Name,
    Negative,
    Node,
    Not,
)
from platform_assets.declaration.expression_types import Kind, kind_of
from platform_assets.features.sql_text import Dialect, finite_or_null, number_literal, text_literal

ZERO = number_literal(0.0)


@dataclass(frozen=True)
class ExpressionSql:
    """Renders expressions over names of which `kinds` tells what they are and `column` how they are written.

    Doubles go through the same operations in the same order on every engine, so results are equal to the
    last bit. Raises DeclarationError for an expression that makes no sense over these names.
    """

    dialect: Dialect
    kinds: Mapping[str, Kind]
    column: Callable[[str], str]

    def render(self, node: Node) -> str:
        """The expression; a whole number, a double, a boolean or a text, as `kind_of` says."""
        kind_of(node, self.kinds)
        return self._any(node)

    def _any(self, node: Node) -> str:
        match node:
            case Literal(value):
                return self._literal(value)
            case Name(name):
                return self.column(name)
            case Negative(operand):
                return f"(-{self._double(operand)})"
            case Arithmetic(sign, left, right):
                divisor = self._double(right)
                other = f"nullif({divisor}, {ZERO})" if sign == "/" else divisor
                return finite_or_null(f"({self._double(left)} {sign} {other})", self.dialect)
            case Call(function, arguments):
                return self._call(function, arguments)
            case Comparison(sign, left, right):
                a, b = self._alike(left, right)
                return f"({a} {'<>' if sign == '!=' else sign} {b})"
            case Membership(operand, values):
                a, *many = self._alike(operand, *values)
                return f"({a} IN ({', '.join(many)}))"
            case IsNull(operand):
                return f"({self._any(operand)} IS NULL)"
            case Not(operand):
                return f"(NOT {self._any(operand)})"
            case Junction(word, parts):
                return "(" + f" {word.upper()} ".join(self._any(part) for part in parts) + ")"

    def _call(self, function: str, arguments: tuple[Node, ...]) -> str:
        if function == "if":
            condition, then, *rest = arguments
            otherwise = f" ELSE {self._double(rest[0])}" if rest else ""
            return f"CASE WHEN {self._any(condition)} THEN {self._double(then)}{otherwise} END"
        return f"{function}({', '.join(self._double(argument) for argument in arguments)})"

    def _double(self, node: Node) -> str:
        rendered = self._any(node)
        return f"CAST({rendered} AS DOUBLE)" if kind_of(node, self.kinds) == "whole" else rendered

    def _alike(self, *nodes: Node) -> list[str]:
        """What is compared, in one type: whole numbers stay whole among themselves."""
        kinds = {kind_of(node, self.kinds) for node in nodes}
        as_doubles = "number" in kinds
        return [self._double(node) if as_doubles else self._any(node) for node in nodes]

    def _literal(self, value: int | float | str | bool) -> str:
        if isinstance(value, bool):
            return "TRUE" if value else "FALSE"
        if isinstance(value, str):
            return text_literal(value, self.dialect)
        return f"CAST({value} AS BIGINT)" if isinstance(value, int) else number_literal(value)
