"""One-word mistakes in the SQL that a module writes: cosmic-ray changes Python only, and SQL is text to it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

# what a person gets wrong: the edge of a comparison, its side, the order of a tie, which rows a join keeps
MISTAKES: tuple[tuple[str, str], ...] = (
    (r" <= ", " < "),
    (r" < ", " <= "),
    (r" >= ", " > "),
    (r" > ", " >= "),
    (r" > ", " < "),
    (r" AND ", " OR "),
    (r" OR ", " AND "),
    (r" IS NOT NULL", " IS NULL"),
    (r" IS NULL", " IS NOT NULL"),
    (r" DESC\b", " ASC"),
    (r"\bLEFT JOIN\b", "JOIN"),
    (r"\bANTI JOIN\b", "SEMI JOIN"),
    (r"\bSEMI JOIN\b", "ANTI JOIN"),
    (r"\bUNION ALL\b", "UNION"),
    (r"\bDISTINCT ", ""),
    (r"\bmax\(", "min("),
    (r"\bmin\(", "max("),
    (r"\bgreatest\(", "least("),
    (r"\bleast\(", "greatest("),
    (r"\bsum\(", "max("),
    (r"\bCURRENT ROW\b", "1 PRECEDING"),
    (r"\bEXCLUDE CURRENT ROW\b", "EXCLUDE NO OTHERS"),
    (r"\bBIGINT\b", "INTEGER"),
    (r"\bDOUBLE\b", "FLOAT"),
    (r"\bround\(", "floor("),
    (r" - ", " + "),
    (r" \+ ", " - "),
    (r" THEN 0 ELSE 1 ", " THEN 1 ELSE 0 "),
    (r"= 1\b", "= 2"),
    (r", 0\)", ", 1)"),
)
SQL = re.compile(
    r"\b(SELECT|FROM|WHERE|JOIN|CASE|CAST|OVER|BETWEEN|PRECEDING|coalesce|nullif|_us|ORDER BY)\b"
)


@dataclass(frozen=True)
class SqlMutant:
    """A module's text with one mistake in it."""

    line: int
    mistake: str
    new_line: str
    source: str


def sql_mutants(source: str) -> Iterator[SqlMutant]:
    """Every mistake at every place of every string of `source` that looks like SQL, one at a time."""
    starts = [0]
    for line in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(line.encode()))
    text = source.encode()
    for begin, end in _strings(ast.parse(source), starts):
        piece = text[begin:end].decode()
        if not SQL.search(piece):
            continue
        code = _braces(piece)
        for pattern, instead in MISTAKES:
            for found in re.finditer(pattern, piece):
                if any(found.start() < stop and start < found.end() for start, stop in code):
                    continue
                changed = piece[: found.start()] + instead + piece[found.end() :]
                mutant = (text[:begin] + changed.encode() + text[end:]).decode()
                line = text[:begin].count(b"\n") + piece[: found.start()].count("\n") + 1
                yield SqlMutant(
                    line,
                    f"{found.group().strip()} -> {instead.strip() or 'nothing'}",
                    mutant.splitlines()[line - 1].strip(),
                    mutant,
                )


def _strings(tree: ast.AST, starts: list[int]) -> list[tuple[int, int]]:
    """Byte ranges of string literals that are not docstrings, the outermost ones."""
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    ranges = set()
    pending: list[ast.AST] = [tree]
    while pending:
        node = pending.pop()
        is_text = isinstance(node, ast.Constant) and isinstance(node.value, str)
        if isinstance(node, ast.JoinedStr) or is_text:
            assert node.end_lineno
            assert node.end_col_offset
            if id(node) not in docstrings:
                ranges.add(
                    (
                        starts[node.lineno - 1] + node.col_offset,
                        starts[node.end_lineno - 1] + node.end_col_offset,
                    )
                )
            continue
        pending += ast.iter_child_nodes(node)
    return sorted(ranges)


def _braces(piece: str) -> list[tuple[int, int]]:
    """Where an f-string holds Python: cosmic-ray's business."""
    return [found.span() for found in re.finditer(r"\{[^{}]*\}", piece)] if piece[:1] in "fF" else []
