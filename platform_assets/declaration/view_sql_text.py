"""The SQL of a view that is declared in SQL: what may stand there, and which columns it may read."""

from __future__ import annotations

import re
from collections.abc import Iterable

SOURCE = "{source}"
"""Stands in the text for the rows of the source."""

# values that differ from run to run: days built twice would differ
_VOLATILE = (
    "random", "rand", "randn", "uuid", "gen_random_uuid", "uuidv4", "uuidv7", "now", "today", "current_date",
    "current_time", "current_timestamp", "get_current_time", "get_current_timestamp", "localtime",
    "localtimestamp", "transaction_timestamp", "nextval", "setseed", "monotonically_increasing_id",
)  # fmt: skip
_FILES = re.compile(r"^(read_\w+|\w+_scan|scan_\w+|sniff_\w+|glob|parquet_\w+)$")
_NOT_CODE = re.compile(r"'(?:[^']|'')*'|--[^\n]*|/\*.*?\*/", re.DOTALL)


def checked_sql(text: str) -> str:
    """The text without what surrounds it. Raises ValueError unless it is one SELECT over the source.

    Only what can be told from words is told here; that it reads nothing but the source is held by
    the engine, which runs it without access to files, network and settings.
    """
    text = text.strip().removesuffix(";").rstrip()
    code = _NOT_CODE.sub(" ", text)
    words = [word.lower() for word in re.findall(r"[A-Za-z_][A-Za-z0-9_]*", code)]
    if not words or words[0] not in ("select", "with"):
        raise ValueError("sql must be one SELECT, which may begin with WITH")
    if ";" in code:
        raise ValueError("sql holds more than one statement; write one SELECT")
    if SOURCE not in code:
        raise ValueError(f"sql must read from {SOURCE}, the rows of the view's source")
    for word in words:
        if word in _VOLATILE:
            raise ValueError(f"sql: {word} gives something else in every run; a feature may not")
        if _FILES.match(word):
            raise ValueError(f"sql: {word} reads files; only {SOURCE} may be read")
    return text


def columns_in(text: str, columns: Iterable[str]) -> tuple[str, ...]:
    """Columns of the source that the text may read: those it names, and all of them for a `*`."""
    code = _NOT_CODE.sub(" ", text)
    words = {word.lower() for word in re.findall(r"\w+", code)}
    everything = "*" in re.sub(r"\(\s*\*\s*\)", "", code)
    return tuple(name for name in columns if everything or set(re.findall(r"\w+", name.lower())) <= words)
