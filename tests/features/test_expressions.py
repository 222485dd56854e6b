"""The language of `where` and `expression`: read one way, computed the same by SQL, numpy and Arrow."""

from __future__ import annotations

import math
import operator
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from function_world import SOURCE, random_rows, repository_of, table_of, view_of
from hypothesis import given, settings
from hypothesis import strategies as st

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
    is_condition,
    names_in,
    text_of,
)
from platform_assets.declaration.expression_parser import parsed
from platform_assets.declaration.expression_types import KIND_OF_TYPE, check_condition, kind_of
from platform_assets.errors import DeclarationError, UnknownName
from platform_assets.features.independent import independent_features
from platform_assets.features.window_sql import view_sql
from platform_assets.online.request_expressions import column_kinds, evaluated, row_operand

KINDS = {column.name: KIND_OF_TYPE[column.type] for column in SOURCE.columns}
ROWS = random_rows(60)

# reading

ONE_WAY = {
    "A>1 AND(b  is not NULL)": "A > 1 and not b is null",
    "not (a or b) and c not in (1,-2)": "not (a or b) and not c in (1, -2)",
    "a - (b - c) / -d": "a - (b - c) / -d",
    "(a - b) - c": "a - b - c",
    "- (a+b) * 2": "-(a + b) * 2",
    "not a = 1": "not a = 1",
    "a = 1 -- x": "a = 1 - -x",
    "(not a) = true": "(not a) = true",
    "a <> 'it''s'": "a != 'it''s'",
    '"odd name" == 1e3': '"odd name" = 1000.0',
    "IF(a, COALESCE(b, 0), abs(c))": "if(a, coalesce(b, 0), abs(c))",
    '"and" = 1': '"and" = 1',
}


@pytest.mark.parametrize(("text", "told"), ONE_WAY.items(), ids=list(ONE_WAY))
def test_there_is_one_way_to_write_an_expression(text: str, told: str) -> None:
    assert text_of(parsed(text)) == told
    assert parsed(told) == parsed(text)


WRONG = {
    "": "ends where a name",
    "a >": "ends where a name",
    "a > > 1": "'>' stands where a name",
    "a ! b": "'!' is not understood, at character 3",
    "a = 1; drop table x": "';' is not understood",
    "a = (select 1)": "'1' stands where ')'",
    "read_csv('/etc/passwd')": "no function 'read_csv'; there are: abs, coalesce, if",
    "ab(a)": "no function 'ab'; did you mean 'abs'?",
    "abs(a, b)": "abs takes 1 arguments, not 2",
    "if(a)": "if takes 2 to 3 arguments, not 1",
    "a in (b)": "'b' stands where a number or a text",
    "a in ()": "')' stands where",
    "a = 'x": '"\'" is not understood',
    "(a": "ends where ')'",
    "a b": "'b' stands where nothing more",
    "a not 3": "'3' stands where in",
    "9223372036854775808": "does not fit in 64 bits",
    "1e999": "too large",
    "a = 'x\x00'": "control character",
    "(" * 5000 + "a": "nested too deeply",
}


@pytest.mark.parametrize(("text", "told"), WRONG.items(), ids=[text[:20] for text in WRONG])
def test_what_means_nothing_is_told_with_its_place(text: str, told: str) -> None:
    with pytest.raises(DeclarationError) as caught:
        parsed(text)
    assert told in str(caught.value)


SENSELESS = {
    "cent > 1": "no column 'cent'; did you mean 'cents'?",
    "kind + 1": "kind is a text, and a number is needed",
    "flag * 2": "flag is true or false, and a number is needed there; write if(flag, 1, 0)",
    "kind > 'a'": "only numbers have an order",
    "kind = 1": "kind = 1 compares a text with a whole number",
    "whole in (1, 'a')": "compares a whole number with a text",
    "at = 1": "a moment can only be asked whether it `is null`",
    "not whole": "whole is a whole number; a condition such as `whole > 0` is needed",
    "flag and kind": "kind is a text; a condition such as `kind = 'a'`",
    "if(whole, 1, 2)": "a condition such as `whole > 0` is needed",
    "cents": "cents is a number; a condition such as `cents > 0` is needed",
}


@pytest.mark.parametrize(("text", "told"), SENSELESS.items(), ids=list(SENSELESS))
def test_what_makes_no_sense_over_the_columns_is_told(text: str, told: str) -> None:
    with pytest.raises((DeclarationError, UnknownName)) as caught:
        check_condition(parsed(text), KINDS)
    assert told in str(caught.value)


# computing


def by_definition(node: Node, row: dict[str, Any]) -> Any:
    """SQL's logic on one row, None for null; doubles as Python has them."""

    def of(inner: Node) -> Any:
        return by_definition(inner, row)

    def number(inner: Node) -> Any:
        value = of(inner)
        return None if value is None else float(value)

    match node:
        case Literal(value):
            return value
        case Name(name):
            value = row[name]
            return None if value is None or value != value else value
        case Negative(operand):
            value = number(operand)
            return None if value is None else -value
        case Arithmetic(sign, left, right):
            a, b = number(left), number(right)
            if a is None or b is None or (sign == "/" and b == 0):
                return None
            signs = {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv}
            try:
                found = signs[sign](a, b)
            except OverflowError:
                return None
            return found if math.isfinite(found) else None
        case Call("abs", (operand,)):
            value = number(operand)
            return None if value is None else abs(value)
        case Call("coalesce", arguments):
            return next((value for value in map(number, arguments) if value is not None), None)
        case Call("if", (condition, then, *rest)):
            return number(then) if of(condition) else number(rest[0]) if rest else None
        case Comparison(sign, left, right):
            a, b = of(left), of(right)
            if a is None or b is None:
                return None
            if isinstance(a, float) != isinstance(b, float):
                a, b = float(a), float(b)
            return {"=": a == b, "!=": a != b}.get(sign) if sign in ("=", "!=") else {
                "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
            }[sign](a, b)  # fmt: skip
        case Membership(operand, values):
            found = [of(Comparison("=", operand, value)) for value in values]
            return any(found) if None not in found else None
        case IsNull(operand):
            return of(operand) is None
        case Not(operand):
            value = of(operand)
            return None if value is None else not value
        case Junction(word, parts):
            found = [of(part) for part in parts]
            decisive = word == "or"
            return decisive if decisive in found else None if None in found else not decisive
    raise AssertionError(node)


def everywhere(text: str, raw: pa.Table) -> list[Any]:
    """An expression of each row by DuckDB, numpy and Arrow, which must agree to the last bit."""
    view = view_of({"function": "expression", "expression": text})
    entity = repository_of(view).entity_of(view)
    with duckdb.connect() as connection:
        connection.register("raw_in", raw)
        found = connection.sql(view_sql(SOURCE, entity, view, relation="raw_in")).to_arrow_table().to_pylist()
    by_key = {(row["till"], row["slip"]): row["f0"] for row in found}
    by_sql = [by_key[row["till"], row["slip"]] for row in raw.to_pylist()]
    by_numpy = independent_features(SOURCE, entity, view, raw, raw)["f0"]
    node = parsed(text)
    by_arrow = evaluated(
        node, raw.num_rows, column_kinds(SOURCE), lambda name: row_operand(SOURCE, raw, name)
    ).to_pylist()
    number = int if view.features[0].type == "int64" else float
    assert [None if np.isnan(value) else number(value) for value in by_numpy] == by_sql
    assert [None if value is None else number(value) for value in by_arrow] == by_sql
    assert by_sql == [
        None if value is None else number(value)
        for value in (by_definition(node, row) for row in raw.to_pylist())
    ]
    return by_sql


numbers = st.recursive(
    st.sampled_from([Name("cents"), Name("maybe"), Name("free"), Name("whole")])
    | st.integers(-3, 3).map(Literal)
    | st.sampled_from([0.5, 1.1, 1e300, 0.0]).map(Literal),
    lambda inner: (
        st.builds(Arithmetic, st.sampled_from("+-*/"), inner, inner)
        | st.builds(lambda a: parsed(text_of(Negative(a))), inner)
        | st.builds(lambda a: Call("abs", (a,)), inner)
        | st.builds(lambda a, b: Call("coalesce", (a, b)), inner, inner)
        | st.builds(lambda a, b, c: Call("if", (Comparison("<", a, b), c)), inner, inner, inner)
    ),
    max_leaves=6,
)
texts = st.sampled_from(["a", "it's", "", "\\", "$1"]).map(Literal)
conditions = st.recursive(
    st.builds(Comparison, st.sampled_from(["=", "!=", "<", "<=", ">", ">="]), numbers, numbers)
    | st.builds(Comparison, st.sampled_from(["=", "!="]), st.just(Name("kind")), texts)
    | st.builds(lambda values: Membership(Name("kind"), tuple(values)), st.lists(texts, min_size=1, max_size=3))
    | st.builds(
        lambda values: Membership(Name("maybe"), tuple(map(Literal, values))),
        st.lists(st.integers(-2, 2) | st.sampled_from([1.1, -0.5]), min_size=1, max_size=3),
    )
    | st.sampled_from([Name("kind"), Name("maybe"), Name("at"), Name("free")]).map(IsNull)
    | st.just(Name("flag")),
    lambda inner: (
        st.builds(Not, inner)
        | st.builds(
            lambda word, parts: Junction(word, tuple(parts)),
            st.sampled_from(["and", "or"]), st.lists(inner, min_size=2, max_size=3),
        )
    ),
    max_leaves=5,
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.one_of(numbers, conditions.filter(is_condition)))
def test_any_expression_is_the_same_everywhere(node: Node) -> None:
    text = text_of(node)
    assert text_of(parsed(text)) == text
    assert kind_of(node, KINDS) in ("whole", "number", "condition")
    everywhere(text, ROWS)


CASES = {
    "(cents - maybe) / maybe": [{"cents": 3.3, "maybe": 1.1}, {"maybe": 0.0}, {"maybe": None}],
    "whole = 9007199254740993": [{"whole": 2**53}, {"whole": 2**53 + 1}],
    "cents = 0.1 or cents > 1.15": [{"cents": 0.1}, {"cents": 1.15}, {"cents": 1.16}],
    "maybe = 1.1 and kind != 'a'": [{"kind": None}, {"kind": "b"}, {"maybe": None, "kind": "a"}],
    "free > 1": [{"free": float("nan")}, {"free": float("inf")}, {"free": 1.0}],
    "free * free": [{"free": 1e200}, {"free": -2.0}],
    "kind in ('it''s', '\\\\')": [{"kind": "it's"}, {"kind": "\\\\"}, {"kind": "\\"}],
    "flag": [{"flag": True}, {"flag": False}],
}
EXPECTED = {
    "(cents - maybe) / maybe": [(3.3 - 1.1) / 1.1, None, None],
    "whole = 9007199254740993": [0, 1],
    "cents = 0.1 or cents > 1.15": [1, 0, 1],
    "maybe = 1.1 and kind != 'a'": [None, 1, 0],
    "free > 1": [None, 1, 0],
    "free * free": [None, 4.0],
    "kind in ('it''s', '\\\\')": [1, 1, 0],
    "flag": [1.0, 0.0],
}


@pytest.mark.parametrize("text", CASES, ids=str)
def test_what_engines_like_to_disagree_about(text: str) -> None:
    assert everywhere(text, table_of(CASES[text])) == EXPECTED[text]


def test_names_are_columns_whatever_is_in_them() -> None:
    """A name ends up between quotes, doubled where it holds one."""
    assert names_in(parsed('"x) FROM secrets --" = 1')) == ("x) FROM secrets --",)
    with pytest.raises(UnknownName, match="no column"):
        check_condition(parsed('"x) FROM secrets --" = 1'), KINDS)
