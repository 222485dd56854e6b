"""Whom each row is about: its key, or its keys together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa


def key_names(table: pa.Table, join_keys: Sequence[str]) -> list[Any]:
    """Each row's entity: its key, or the tuple of its keys; None when one of them is missing."""
    columns = [table.column(name).to_pylist() for name in join_keys]
    if len(columns) == 1:
        return columns[0]  # type: ignore[no-any-return]
    return [None if None in keys else keys for keys in zip(*columns, strict=True)]
