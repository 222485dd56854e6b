"""Expressions over arrays in numpy, nulls as masks: no SQL, nothing shared with `expression_sql`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
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

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


@dataclass(frozen=True)
class Known:
    """One value a row, and which of them are there; what the others hold means nothing."""

    values: npt.NDArray[Any]
    there: npt.NDArray[np.bool_]

    @property
    def true(self) -> npt.NDArray[np.bool_]:
        """Rows of which a condition is true, and not unknown."""
        return self.values.astype(bool) & self.there


def evaluated(node: Node, rows: int, column: Callable[[str], Known]) -> Known:
    """The expression for each of `rows` rows; `column` gives the values of a name."""
    return _Evaluation(rows, column).of(node)


@dataclass(frozen=True)
class _Evaluation:
    rows: int
    column: Callable[[str], Known]

    def of(self, node: Node) -> Known:
        import numpy as np

        match node:
            case Literal(value):
                kind = object if isinstance(value, str) else type(value)
                return Known(np.full(self.rows, value, dtype=kind), np.ones(self.rows, dtype=bool))
            case Name(name):
                return self.column(name)
            case Negative(operand):
                number = self.number(operand)
                return Known(-number.values, number.there)
            case Arithmetic(sign, left, right):
                return self.arithmetic(sign, self.number(left), self.number(right))
            case Call(function, arguments):
                return self.call(function, arguments)
            case Comparison(sign, left, right):
                return _compared(sign, self.of(left), self.of(right))
            case Membership(operand, values):
                return _any([_compared("=", self.of(operand), self.of(value)) for value in values])
            case IsNull(operand):
                return Known(~self.of(operand).there, np.ones(self.rows, dtype=bool))
            case Not(operand):
                inner = self.of(operand)
                return Known(~inner.values.astype(bool), inner.there)
            case Junction(word, parts):
                found = [self.of(part) for part in parts]
                if word == "or":
                    return _any(found)
                # by De Morgan: all are true unless any is not
                none = _any([Known(~part.values.astype(bool), part.there) for part in found])
                return Known(~none.values, none.there)

    def number(self, node: Node) -> Known:
        import numpy as np

        found = self.of(node)
        return Known(found.values.astype(np.float64), found.there)

    def arithmetic(self, sign: str, left: Known, right: Known) -> Known:
        import numpy as np

        there = left.there & right.there
        a, b = np.where(there, left.values, 1.0), np.where(there, right.values, 1.0)
        with np.errstate(all="ignore"):
            found = {"+": np.add, "-": np.subtract, "*": np.multiply, "/": np.divide}[sign](a, b)
        if sign == "/":
            there = there & (b != 0)
        return Known(found, there & np.isfinite(found))

    def call(self, function: str, arguments: tuple[Node, ...]) -> Known:
        import numpy as np

        if function == "abs":
            number = self.number(arguments[0])
            return Known(np.abs(number.values), number.there)
        if function == "if":
            chosen = self.of(arguments[0]).true
            then = self.number(arguments[1])
            nothing = Known(np.zeros(self.rows), np.zeros(self.rows, dtype=bool))
            other = self.number(arguments[2]) if len(arguments) > 2 else nothing
            return Known(
                np.where(chosen, then.values, other.values), np.where(chosen, then.there, other.there)
            )
        found = self.number(arguments[0])
        for argument in arguments[1:]:
            other = self.number(argument)
            values = np.where(found.there, found.values, other.values)
            found = Known(values, found.there | other.there)
        return found


def _compared(sign: str, left: Known, right: Known) -> Known:
    import operator

    import numpy as np

    compare = {
        "=": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt,
        ">=": operator.ge,
    }[sign]  # fmt: skip
    there = left.there & right.there
    found = np.zeros(len(there), dtype=bool)
    found[there] = compare(left.values[there], right.values[there])
    return Known(found, there)


def _any(parts: list[Known]) -> Known:
    """True where one part is; else unknown where one part is."""
    import numpy as np

    true = np.logical_or.reduce([part.true for part in parts])
    return Known(true, true | np.logical_and.reduce([part.there for part in parts]))
