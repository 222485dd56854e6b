"""Whether an expression makes sense over the columns there are, and what it gives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal as OneOf

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
    text_of,
)
from platform_assets.errors import DeclarationError, UnknownName

Kind = OneOf["whole", "number", "condition", "text", "moment"]
KIND_OF_TYPE: Mapping[str, Kind] = {
    "int64": "whole",
    "float64": "number",
    "bool": "condition",
    "string": "text",
    "timestamp": "moment",
}
"""Kind of a column by its declared type."""
NUMERIC = ("whole", "number")
_WORDS = {
    "whole": "a whole number",
    "number": "a number",
    "condition": "true or false",
    "text": "a text",
    "moment": "a moment",
}


def kind_of(node: Node, kinds: Mapping[str, Kind]) -> Kind:
    """What an expression gives, when names give what `kinds` says.

    Raises UnknownName for a name that is not there, DeclarationError for what does not fit together.
    """
    match node:
        case Literal(value):
            if isinstance(value, bool):
                return "condition"
            return "text" if isinstance(value, str) else "whole" if isinstance(value, int) else "number"
        case Name(name):
            if name not in kinds:
                raise UnknownName.among("column", name, kinds)
            return kinds[name]
        case Negative(operand):
            _numeric(operand, kinds)
            return "number"
        case Arithmetic(_, left, right):
            _numeric(left, kinds)
            _numeric(right, kinds)
            return "number"
        case Call(function, arguments):
            if function == "if":
                _condition(arguments[0], kinds)
            for argument in arguments[function == "if" :]:
                _numeric(argument, kinds)
            return "number"
        case Comparison(sign, left, right):
            _comparable(node, sign, kind_of(left, kinds), kind_of(right, kinds))
        case Membership(operand, values):
            for one in values:
                _comparable(node, "=", kind_of(operand, kinds), kind_of(one, kinds))
        case IsNull(operand):
            kind_of(operand, kinds)
        case Not(operand):
            _condition(operand, kinds)
        case Junction(_, parts):
            for part in parts:
                _condition(part, kinds)
    return "condition"


def check_condition(node: Node, kinds: Mapping[str, Kind]) -> None:
    """Raise DeclarationError unless it is true or false of a row."""
    _condition(node, kinds)


def _numeric(node: Node, kinds: Mapping[str, Kind]) -> None:
    kind = kind_of(node, kinds)
    if kind not in NUMERIC:
        hint = f"; write if({text_of(node)}, 1, 0)" if kind == "condition" else ""
        raise DeclarationError(f"{text_of(node)} is {_WORDS[kind]}, and a number is needed there{hint}")


def _condition(node: Node, kinds: Mapping[str, Kind]) -> None:
    kind = kind_of(node, kinds)
    if kind != "condition":
        like = _example(node, kind)
        raise DeclarationError(
            f"{text_of(node)} is {_WORDS[kind]}; a condition such as {like} is needed there"
        )


def _example(node: Node, kind: Kind) -> str:
    example = {"text": "= 'a'", "moment": "is not null"}.get(kind, "> 0")
    return f"`{text_of(node)} {example}`"


def _comparable(node: Node, sign: str, left: Kind, right: Kind) -> None:
    if "moment" in (left, right):
        raise DeclarationError(f"{text_of(node)}: a moment can only be asked whether it `is null`")
    if not (left == right or {left, right} <= set(NUMERIC)):
        raise DeclarationError(f"{text_of(node)} compares {_WORDS[left]} with {_WORDS[right]}")
    if sign not in ("=", "!=") and left not in NUMERIC:
        raise DeclarationError(f"{text_of(node)}: only numbers have an order; use =, != or in")
