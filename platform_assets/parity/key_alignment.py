"""Two sides with their keys brought into one order, so that they can be compared place by place."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from platform_assets.errors import PlatformError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    Places = npt.NDArray[np.int64]


class RepeatedKeys(PlatformError):
    """A side has a key more than once, so there is no saying which of its rows counts."""


class KeyTypesDiffer(PlatformError):
    """A key column has another type on either side, so no key of one could equal one of the other."""


@dataclass(frozen=True)
class Alignment:
    """For each key of either side, its row on the served and on the trained side; -1 where it has none."""

    keys: pa.Table
    served: Places
    trained: Places

    def __len__(self) -> int:
        return len(self.served)

    @property
    def only_served(self) -> int:
        """Keys that training does not know."""
        return int((self.trained < 0).sum())

    @property
    def only_trained(self) -> int:
        """Keys that the store does not know."""
        return int((self.served < 0).sum())


def aligned(served: pa.Table, trained: pa.Table, *, what: str = "") -> Alignment:
    """Rows of two tables of key columns (the same names on both sides), matched by key.

    Keys of the trained side come first, in its order, then those that only the served side has. A null is
    a key like any other. Raises RepeatedKeys when a side has a key twice (`what` is named in its message),
    KeyTypesDiffer when a key is text on one side and a number on the other.
    """
    import numpy as np
    import pyarrow as pa

    names = trained.column_names
    types = {name: trained.schema.field(name).type for name in names}
    other = pa.table({name: _cast(name, served.column(name), types[name]) for name in names})
    codes = _codes([trained, other], names)
    ours, theirs = codes[: trained.num_rows], codes[trained.num_rows :]
    for side, found in (("training", ours), ("served", theirs)):
        _refuse_repeated(side, found, names, what)
    place = np.full(int(codes.max(initial=-1)) + 1, -1, dtype=np.int64)
    place[theirs] = np.arange(len(theirs))
    known = np.zeros(len(place), dtype=bool)
    known[ours] = True
    extra = np.flatnonzero(~known[theirs])
    keys = pa.concat_tables([trained, other.take(pa.array(extra))])
    return Alignment(
        keys,
        np.concatenate([place[ours], extra]),
        np.concatenate([np.arange(len(ours)), np.full(len(extra), -1, dtype=np.int64)]),
    )


def key_hash(key: Sequence[Any] | Any) -> str:
    """A key as people may see it: the first 12 digits of the SHA-256 of its parts."""
    parts = key if isinstance(key, list | tuple) else (key,)
    return hashlib.sha256("\x1f".join(str(part) for part in parts).encode()).hexdigest()[:12]


def lowest_hashes(keys: pa.Table, most: int) -> Places:
    """Rows of the `most` keys that hash lowest, in order: the same ones in every process, and no choice."""
    import numpy as np

    if keys.num_rows <= most:
        return np.arange(keys.num_rows)
    hashes = np.zeros(keys.num_rows, dtype=np.uint64)
    for column in keys.columns:
        hashes = _mixed(hashes ^ _hashed(column))
    return np.sort(np.argpartition(hashes, most)[:most] if most else np.empty(0, np.int64))


def _hashed(column: pa.ChunkedArray) -> npt.NDArray[np.uint64]:
    """Of at least one row: whole numbers as they are; all else by FNV-1a over its text. A null is 0."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_integer(column.type):
        whole = pc.fill_null(column.cast(pa.int64()), 0).to_numpy()
        return np.asarray(whole.view(np.uint64))
    texts = pa.concat_arrays(pc.fill_null(column.cast(pa.large_string()), "").chunks)
    _, offsets, data = texts.buffers()
    bounds = np.frombuffer(offsets, np.int64)[texts.offset :][: len(texts) + 1]
    held = np.frombuffer(data, np.uint8)
    lengths = np.diff(bounds)
    found = np.full(len(texts), 0xCBF29CE484222325, dtype=np.uint64)
    for place in range(int(lengths.max())):
        some = np.flatnonzero(lengths > place)
        found[some] = (found[some] ^ held[bounds[some] + place]) * np.uint64(0x100000001B3)
    found[lengths == 0] = 0
    return found


def _mixed(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """The finalizer of SplitMix64 (Steele, Lea, Flood, 2014): neighbours come out far apart."""
    import numpy as np

    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(values ^ (values >> np.uint64(31)))


def _codes(tables: Sequence[pa.Table], names: Sequence[str]) -> Places:
    """One whole number a row over all tables; equal keys have equal numbers."""
    import numpy as np
    import pyarrow as pa

    both = pa.concat_tables(tables)
    codes = np.zeros(both.num_rows, dtype=np.int64)
    for name in names:
        column = both.column(name).combine_chunks().dictionary_encode(null_encoding="encode")
        if isinstance(column, pa.ChunkedArray):
            column = column.combine_chunks()
        own = np.asarray(column.indices, dtype=np.int64)
        codes = codes * (int(own.max(initial=0)) + 1) + own
        if len(names) > 1:
            codes = np.unique(codes, return_inverse=True)[1].astype(np.int64)  # keep the product small
    return codes


def _refuse_repeated(side: str, codes: Places, names: Sequence[str], what: str) -> None:
    import numpy as np

    repeated = len(codes) - len(np.unique(codes))
    if repeated:
        raise RepeatedKeys(
            f"{what + ': ' if what else ''}{repeated} of {len(codes)} {side} rows repeat a key of "
            f"{', '.join(names)}; keep one row a key (the newest, by event timestamp)"
        )


def _cast(name: str, column: pa.ChunkedArray, wanted: pa.DataType) -> pa.ChunkedArray:
    import pyarrow as pa

    if column.type == wanted:
        return column
    kinds = (pa.types.is_integer, _is_text, pa.types.is_timestamp, pa.types.is_null)
    if not any(kind(column.type) and kind(wanted) for kind in kinds) and len(column):
        raise KeyTypesDiffer(
            f"key {name!r} is {column.type} on the served side and {wanted} on the training side; "
            "7 and '7' are different keys: declare the entity with the type that the source has"
        )
    return column.cast(wanted) if len(column) else pa.chunked_array([pa.array([], wanted)])


def _is_text(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))
