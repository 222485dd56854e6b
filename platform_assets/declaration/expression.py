"""What a squad may say about a row in `where` and `expression`: a small language, safe in every engine.

    condition   TX_AMOUNT > 100 and not (kind = 'refund' or country is null) and channel in ('web', 'app')
    number      (TX_AMOUNT - MEAN_30D) / STDDEV_30D, if(ONLINE, TX_AMOUNT, 0), coalesce(RATE, 0), abs(x - y)

Grammar, loosest first: `or`; `and`; `not`; one of `= != < <= > >=`, `in (...)`, `not in (...)`, `is null`,
`is not null`; `+ -`; `* /`; unary `-`; literals, names, calls and parentheses. A name that is no plain
word stands in double quotes, text in single ones ('' is one of them). Keywords may be written large.

Logic is SQL's, three-valued: what is compared with null is unknown, and a row of which `where` is unknown
is left out. Numbers are IEEE doubles; only whole numbers compared with whole numbers stay whole. A division
by zero and a result that is not finite are null, as is a NaN in a column.

The text is read by `expression_parser`, its types are checked by `expression_types`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

COMPARISONS = ("=", "!=", "<", "<=", ">", ">=")
FUNCTIONS = {"abs": (1, 1), "coalesce": (2, 9), "if": (2, 3)}
"""Functions, and how many arguments each takes, at least and at most."""
KEYWORDS = ("and", "or", "not", "in", "is", "null", "true", "false")


@dataclass(frozen=True)
class Literal:
    """A number, text, true or false."""

    value: int | float | str | bool


@dataclass(frozen=True)
class Name:
    """A column of the row, or a feature of the same view."""

    name: str


@dataclass(frozen=True)
class Negative:
    operand: Node


@dataclass(frozen=True)
class Arithmetic:
    sign: str
    left: Node
    right: Node


@dataclass(frozen=True)
class Call:
    """`abs(x)`; `coalesce(x, y, ...)`, the first that is there; `if(condition, x, y)`, y null if not said."""

    function: str
    arguments: tuple[Node, ...]


@dataclass(frozen=True)
class Comparison:
    sign: str
    left: Node
    right: Node


@dataclass(frozen=True)
class Membership:
    operand: Node
    values: tuple[Literal, ...]


@dataclass(frozen=True)
class IsNull:
    operand: Node


@dataclass(frozen=True)
class Not:
    operand: Node


@dataclass(frozen=True)
class Junction:
    """Parts joined by `and` or `or`."""

    word: str
    parts: tuple[Node, ...]


Node = Literal | Name | Negative | Arithmetic | Call | Comparison | Membership | IsNull | Not | Junction


def is_condition(node: Node) -> bool:
    """Whether it is true or false by its form alone; a bare name is not, whatever its column's type."""
    if isinstance(node, Literal):
        return isinstance(node.value, bool)
    return isinstance(node, Comparison | Membership | IsNull | Not | Junction)


def names_in(node: Node) -> tuple[str, ...]:
    """Names that it reads, each once, in order."""
    return tuple(dict.fromkeys(_names(node)))


def text_of(node: Node) -> str:
    """The one way to write an expression; parsing it gives the same expression again.

    >>> from platform_assets.declaration.expression_parser import parsed
    >>> text_of(parsed("a>1 AND(b  is not NULL)"))
    'a > 1 and not b is null'
    """
    return _text(node, 0)


def _names(node: Node) -> Iterator[str]:
    if isinstance(node, Name):
        yield node.name
    for inner in children(node):
        yield from _names(inner)


def children(node: Node) -> tuple[Node, ...]:
    """The expressions directly inside another."""
    match node:
        case Arithmetic() | Comparison():
            return (node.left, node.right)
        case Negative() | Not() | IsNull():
            return (node.operand,)
        case Membership():
            return (node.operand, *node.values)
        case Call():
            return node.arguments
        case Junction():
            return node.parts
        case _:
            return ()


def _text(node: Node, inside: int) -> str:
    """Text of a node; in parentheses when it binds looser than what it stands in."""
    match node:
        case Literal(value):
            if isinstance(value, str):
                return "'" + value.replace("'", "''") + "'"
            return str(value).lower() if isinstance(value, bool) else repr(value)
        case Name(name):
            plain = re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) and name.lower() not in KEYWORDS
            return name if plain else f'"{name}"'
        case Call(function, arguments):
            return f"{function}({', '.join(_text(argument, 0) for argument in arguments)})"
        case Junction(word, parts):
            level = 1 if word == "or" else 2
            told = f" {word} ".join(_text(part, level + 1) for part in parts)
        case Not(operand):
            level, told = 3, f"not {_text(operand, 3)}"
        case IsNull(operand):
            level, told = 4, f"{_text(operand, 5)} is null"
        case Membership(operand, values):
            level, told = 4, f"{_text(operand, 5)} in ({', '.join(_text(value, 0) for value in values)})"
        case Comparison(sign, left, right):
            level, told = 4, f"{_text(left, 5)} {sign} {_text(right, 5)}"
        case Arithmetic(sign, left, right):
            level = 5 if sign in "+-" else 6
            told = f"{_text(left, level)} {sign} {_text(right, level + 1)}"
        case Negative(operand):
            level, told = 7, f"-{_text(operand, 7)}"
    return f"({told})" if level < inside else told
