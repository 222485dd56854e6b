"""Text to expression, by recursive descent; see `expression` for the language."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import lru_cache

from platform_assets.declaration.expression import (
    COMPARISONS,
    FUNCTIONS,
    KEYWORDS,
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
from platform_assets.errors import DeclarationError, UnknownName

_TOKEN = re.compile(
    r"""\s*(?:(?P<number>(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)(?![A-Za-z_])
    |(?P<text>'(?:[^']|'')*')|(?P<quoted>"[^"]+")|(?P<word>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<sign><=|>=|!=|<>|==|[=<>+\-*/(),]))""",
    re.VERBOSE,
)


@lru_cache(maxsize=1024)
def parsed(text: str) -> Node:
    """The expression that a text means. Raises DeclarationError, with the place, for one that means none."""
    try:
        return _Parser(text).whole()
    except RecursionError:
        raise DeclarationError(
            "the expression is nested too deeply; split it into several features"
        ) from None


class _Parser:
    """Recursive descent over the tokens of one text."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = list(self.split())
        self.place = 0

    def split(self) -> Iterator[tuple[str, str, int]]:
        """Kind, text and place of each token."""
        at = 0
        while self.text[at:].strip():
            found = _TOKEN.match(self.text, at)
            if found is None:
                at += len(self.text[at:]) - len(self.text[at:].lstrip())
                raise self.error(f"{self.text[at]!r} is not understood", at)
            kind = str(found.lastgroup)
            token, at = found[kind], found.end()
            if kind == "word" and token.lower() in KEYWORDS:
                kind, token = "keyword", token.lower()
            yield kind, {"<>": "!=", "==": "="}.get(token, token), found.start(found.lastgroup or 0)

    def whole(self) -> Node:
        node = self.disjunction()
        if self.place < len(self.tokens):
            raise self.unexpected("nothing more")
        return node

    def disjunction(self) -> Node:
        return self.junction("or", lambda: self.junction("and", self.negation))

    def junction(self, word: str, part: Callable[[], Node]) -> Node:
        parts = [part()]
        while self.takes("keyword", word):
            parts.append(part())
        return parts[0] if len(parts) == 1 else Junction(word, tuple(parts))

    def negation(self) -> Node:
        return Not(self.negation()) if self.takes("keyword", "not") else self.comparison()

    def comparison(self) -> Node:
        left = self.sum()
        for sign in COMPARISONS:
            if self.takes("sign", sign):
                return Comparison(sign, left, self.sum())
        if self.takes("keyword", "is"):
            negated = self.takes("keyword", "not")
            self.must("keyword", "null")
            return Not(IsNull(left)) if negated else IsNull(left)
        negated = self.peek() == ("keyword", "not")
        if negated:
            self.place += 1
        if self.takes("keyword", "in"):
            self.must("sign", "(")
            values = [self.literal()]
            while self.takes("sign", ","):
                values.append(self.literal())
            self.must("sign", ")")
            found = Membership(left, tuple(values))
            return Not(found) if negated else found
        if negated:
            raise self.unexpected("in")
        return left

    def sum(self) -> Node:
        return self.arithmetic(("+", "-"), lambda: self.arithmetic(("*", "/"), self.unary))

    def arithmetic(self, signs: tuple[str, ...], part: Callable[[], Node]) -> Node:
        node: Node = part()
        while (found := self.peek())[0] == "sign" and found[1] in signs:
            self.place += 1
            node = Arithmetic(found[1], node, part())
        return node

    def unary(self) -> Node:
        if not self.takes("sign", "-"):
            return self.primary()
        inner = self.unary()
        if isinstance(inner, Literal) and not isinstance(inner.value, str | bool):
            return Literal(-inner.value)
        return Negative(inner)

    def literal(self) -> Literal:
        node = self.unary()
        if not isinstance(node, Literal):
            self.place -= 1
            raise self.unexpected("a number or a text in single quotes")
        return node

    def primary(self) -> Node:
        kind, token = self.peek()
        self.place += 1
        if kind == "number":
            return self.number(token)
        if kind == "text":
            return Literal(self.characters(token[1:-1].replace("''", "'")))
        if kind == "keyword" and token in ("true", "false"):
            return Literal(token == "true")
        if kind == "quoted":
            return Name(token[1:-1])
        if kind == "word":
            return self.call(token) if self.peek() == ("sign", "(") else Name(token)
        if (kind, token) == ("sign", "("):
            node = self.disjunction()
            self.must("sign", ")")
            return node
        self.place -= 1
        raise self.unexpected("a name, a number, a text in single quotes or (")

    def call(self, word: str) -> Node:
        function = word.lower()
        if function not in FUNCTIONS:
            raise self.error(str(UnknownName.among("function", word, FUNCTIONS)))
        self.must("sign", "(")
        arguments = [self.disjunction()]
        while self.takes("sign", ","):
            arguments.append(self.disjunction())
        self.must("sign", ")")
        least, most = FUNCTIONS[function]
        if not least <= len(arguments) <= most:
            number = f"{least}" if least == most else f"{least} to {most}"
            raise self.error(f"{function} takes {number} arguments, not {len(arguments)}")
        return Call(function, tuple(arguments))

    def number(self, token: str) -> Literal:
        if not token.isdigit():
            value = float(token)
            if value in (float("inf"), float("-inf")):
                raise self.error(f"{token} is too large for a number")
            return Literal(value)
        if int(token) >= 2**63:
            raise self.error(f"{token} does not fit in 64 bits; write {token}.0")
        return Literal(int(token))

    def characters(self, value: str) -> str:
        if any(ord(character) < 32 or ord(character) == 127 for character in value):
            raise self.error("a text holds a control character")
        return value

    def peek(self) -> tuple[str, str]:
        return self.tokens[self.place][:2] if self.place < len(self.tokens) else ("end", "")

    def takes(self, kind: str, token: str) -> bool:
        found = self.peek() == (kind, token)
        self.place += found
        return found

    def must(self, kind: str, token: str) -> None:
        if not self.takes(kind, token):
            raise self.unexpected(repr(token))

    def unexpected(self, wanted: str) -> DeclarationError:
        if self.place >= len(self.tokens):
            return self.error(f"ends where {wanted} is expected", len(self.text))
        _, token, at = self.tokens[self.place]
        return self.error(f"{token!r} stands where {wanted} is expected", at)

    def error(self, told: str, at: int | None = None) -> DeclarationError:
        if at is None:
            at = self.tokens[min(self.place, len(self.tokens)) - 1][2]
        return DeclarationError(f"{told}, at character {at + 1} of {self.text!r}")
