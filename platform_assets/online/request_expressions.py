"""Expressions over Arrow columns: of requests, and of the events that a state keeps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Any

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
from platform_assets.declaration.expression_types import KIND_OF_TYPE, Kind, kind_of
from platform_assets.declaration.source import Source

if TYPE_CHECKING:
    import pyarrow as pa

_COMPARISONS = {
    "=": "equal", "!=": "not_equal", "<": "less", "<=": "less_equal", ">": "greater", ">=": "greater_equal",
}  # fmt: skip
_ARITHMETIC = {"+": "add", "-": "subtract", "*": "multiply", "/": "divide"}


def column_kinds(source: Source) -> dict[str, Kind]:
    """What the columns of a source are in an expression."""
    return {column.name: KIND_OF_TYPE[column.type] for column in source.columns}


def row_operand(source: Source, rows: pa.Table, name: str) -> pa.Array:
    """A column of rows as expressions read it: never NaN, decimals as their nearest doubles."""
    import pyarrow as pa
    import pyarrow.compute as pc

    declared = source.column(name)
    column = rows.column(name).combine_chunks()
    if declared.type == "int64":
        return column.cast(pa.int64())
    if declared.type != "float64":
        return column
    column = column.cast(pa.float64())
    if declared.scale is None:
        return pc.if_else(pc.is_nan(column), None, column)
    unit = float(10**declared.scale)
    decimal = pc.divide(pc.round(pc.multiply(column, unit)), unit)
    return pc.if_else(pc.is_finite(column), decimal, None)


def condition_of(source: Source, rows: pa.Table, node: Node) -> pa.Array:
    """A condition of each row, null where it is unknown."""
    return evaluated(node, rows.num_rows, column_kinds(source), lambda name: row_operand(source, rows, name))


def evaluated(
    node: Node, rows: int, kinds: Mapping[str, Kind], column: Callable[[str], pa.Array]
) -> pa.Array:
    """The expression for each of `rows` rows: double, int64, boolean or text, as `kind_of` says."""
    import pyarrow as pa

    found = _Evaluation(kinds, column).of(node)
    return pa.array([found.as_py()] * rows, found.type) if isinstance(found, pa.Scalar) else found


@dataclass(frozen=True)
class _Evaluation:
    kinds: Mapping[str, Kind]
    column: Callable[[str], pa.Array]

    def of(self, node: Node) -> Any:
        import pyarrow as pa
        import pyarrow.compute as pc

        match node:
            case Literal(value):
                return pa.scalar(value)
            case Name(name):
                return self.column(name)
            case Negative(operand):
                return pc.negate(self.double(operand))
            case Arithmetic(sign, left, right):
                a, b = self.double(left), self.double(right)
                if sign == "/":
                    b = pc.if_else(pc.equal(b, 0.0), pa.scalar(None, pa.float64()), b)
                found = pc.call_function(_ARITHMETIC[sign], [a, b])
                return pc.if_else(pc.is_finite(found), found, pa.scalar(None, pa.float64()))
            case Call(function, arguments):
                return self.call(function, arguments)
            case Comparison(sign, left, right):
                return pc.call_function(_COMPARISONS[sign], self.alike(left, right))
            case Membership(operand, values):
                found = [pc.equal(*self.alike(operand, value)) for value in values]
                return reduce(pc.or_kleene, found)
            case IsNull(operand):
                return pc.is_null(self.of(operand))
            case Not(operand):
                return pc.invert(self.of(operand))
            case Junction(word, parts):
                return reduce(
                    pc.and_kleene if word == "and" else pc.or_kleene, [self.of(part) for part in parts]
                )

    def call(self, function: str, arguments: tuple[Node, ...]) -> Any:
        import pyarrow as pa
        import pyarrow.compute as pc

        if function == "abs":
            return pc.abs(self.double(arguments[0]))
        if function == "coalesce":
            return pc.coalesce(*(self.double(argument) for argument in arguments))
        condition, then, *rest = arguments
        otherwise = self.double(rest[0]) if rest else pa.scalar(None, pa.float64())
        return pc.if_else(pc.fill_null(self.of(condition), False), self.double(then), otherwise)

    def double(self, node: Node) -> Any:
        import pyarrow as pa
        import pyarrow.compute as pc

        return pc.cast(self.of(node), pa.float64(), safe=False)

    def alike(self, *nodes: Node) -> list[Any]:
        """What is compared, in one type: whole numbers stay whole among themselves."""
        as_doubles = "number" in {kind_of(node, self.kinds) for node in nodes}
        return [self.double(node) if as_doubles else self.of(node) for node in nodes]
