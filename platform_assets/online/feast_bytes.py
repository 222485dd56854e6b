"""Feast's bytes, made and read a column at a time: entity keys (serialization version 3) and values.

Feast stores each value as a serialized `feast.types.Value` message and finds a row by its serialized
entity key. Both are written here directly, since building messages one by one in Python takes more time than
all the rest. The layout is that of Feast 0.67 (`feast/infra/key_encoding_utils.py`, `Value.proto`) and of
the protocol buffers' encoding (https://protobuf.dev/programming-guides/encoding).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

STRING, INT64 = 2, 4  # feast.types.ValueType
_INT64_VALUE, _DOUBLE_VALUE, _STRING_VALUE = b"\x20", b"\x29", b"\x12"  # fields 4, 5 and 2 of Value
_LISTS = {"string": b"\x62", "int64": b"\x72", "float64": b"\x7a"}  # fields 12, 14 and 15
_ITEMS = b"\x0a"  # field 1 of every list message

Blob = bytes | None


def key_prefix(join_keys: Sequence[str]) -> bytes:
    """What every entity key of these join keys begins with."""
    names = [name.encode() for name in sorted(join_keys)]
    parts = [struct.pack("<II", STRING, len(name)) + name for name in names]
    return struct.pack("<I", len(names)) + b"".join(parts)


def entity_keys(join_keys: Sequence[str], columns: Sequence[Sequence[Any]]) -> list[bytes]:
    """Serialized entity keys of rows; `columns` are lists of int or str in the order of `join_keys`."""
    order = sorted(range(len(join_keys)), key=lambda i: join_keys[i])
    head = key_prefix(join_keys)
    parts = [_key_parts(columns[i]) for i in order]
    if len(parts) == 1:
        return [head + part for part in parts[0]]
    return [head + b"".join(found) for found in zip(*parts, strict=True)]


def entity_of(key: bytes, join_keys: Sequence[str]) -> tuple[Any, ...] | None:
    """The entity that a serialized key stands for, in the order of `join_keys`; None for any other key."""
    head = key_prefix(join_keys)
    if not key.startswith(head):
        return None
    found, place = [], len(head)
    while place + 8 <= len(key):
        kind, length = struct.unpack_from("<II", key, place)
        part = key[place + 8 : place + 8 + length]
        place += 8 + length
        if kind == INT64 and length == 8:
            found.append(struct.unpack("<q", part)[0])
        elif kind == STRING and len(part) == length:
            found.append(part.decode(errors="replace"))
        else:
            return None
    if place != len(key) or len(found) != len(join_keys):
        return None
    by_name = dict(zip(sorted(join_keys), found, strict=True))
    return tuple(by_name[name] for name in join_keys)


def whole_values(values: np.ndarray, valid: np.ndarray | None = None) -> list[bytes]:
    """Each int64 as a Value; one that is not valid is Feast's empty Value."""
    body, ends = _varints(values)
    bounds = [0, *ends.tolist()]
    blobs = [_INT64_VALUE + body[s:e] for s, e in pairwise(bounds)]
    return _only_valid(blobs, valid)


def float_values(values: np.ndarray, valid: np.ndarray | None = None) -> list[bytes]:
    """Each float64 as a Value; one that is not valid is Feast's empty Value."""
    import numpy as np

    rows = np.empty((len(values), 9), np.uint8)
    rows[:, 0] = _DOUBLE_VALUE[0]
    rows[:, 1:] = np.ascontiguousarray(values, "<f8").view(np.uint8).reshape(-1, 8)
    body = rows.tobytes()
    return _only_valid([body[i : i + 9] for i in range(0, len(body), 9)], valid)


def timestamp(moment: int) -> bytes:
    """Microseconds since 1970 as a `google.protobuf.Timestamp`."""
    seconds, rest = divmod(moment, 1_000_000)
    whole = b"\x08" + _varint(seconds % 2**64) if seconds else b""
    return whole + (b"\x10" + _varint(rest * 1000) if rest else b"")


def string_value(text: str) -> bytes:
    """A string as a Value."""
    encoded = text.encode()
    return _STRING_VALUE + _varint(len(encoded)) + encoded


def text_of(blob: Blob) -> str:
    """The string in a Value; empty for every other one."""
    if not blob or blob[:1] != _STRING_VALUE:
        return ""
    length, place = _read_varint(blob, 1)
    return blob[place : place + length].decode(errors="replace")


def list_values(values: Any, offsets: np.ndarray, kind: str) -> list[bytes]:
    """Lists of int64, float64 or string as Values: row i holds values[offsets[i]:offsets[i + 1]]."""
    import numpy as np

    if kind == "string":
        items = [_ITEMS + _varint(len(text)) + text for text in (str(value).encode() for value in values)]
        bounds = offsets.tolist()
        bodies = [b"".join(items[s:e]) for s, e in pairwise(bounds)]
        return [_LISTS[kind] + _varint(len(body)) + body for body in bodies]
    if kind == "int64":
        body, ends = _varints(np.asarray(values, np.int64))
        places = np.concatenate([[0], ends])[offsets]
    else:
        body = np.ascontiguousarray(values, "<f8").tobytes()
        places = offsets * 8
    heads: dict[int, bytes] = {}
    for size in np.unique(np.diff(places)).tolist():
        inner = _ITEMS + _varint(size) if size else b""
        heads[size] = _LISTS[kind] + _varint(len(inner) + size) + inner
    bounds = places.tolist()
    return [heads[e - s] + body[s:e] for s, e in pairwise(bounds)]


def read_lists(blobs: Sequence[Blob], kind: str) -> tuple[np.ndarray, np.ndarray]:
    """The lists in Values, as all values and the offsets of each row's; None is an empty list.

    Raises ValueError for a Value of another kind.
    """
    import numpy as np

    if kind == "string":
        rows = [_read_strings(blob) for blob in blobs]
        sizes = np.fromiter((len(row) for row in rows), np.int64, len(rows))
        flat = np.array([text for row in rows for text in row], dtype=object)
        return flat, np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    joined = np.frombuffer(b"".join(blob or b"" for blob in blobs), np.uint8)
    lengths = np.fromiter((len(blob or b"") for blob in blobs), np.int64, len(blobs))
    begins = np.cumsum(lengths) - lengths
    payload = _payloads(joined, begins, lengths, _LISTS[kind][0])
    stops = begins + lengths
    inside = np.zeros(len(joined) + 1, np.int8)
    np.add.at(inside, stops - payload, 1)
    np.add.at(inside, stops, -1)
    body = joined[np.cumsum(inside[:-1]).astype(bool)] if len(joined) else joined
    bounds = np.concatenate([[0], np.cumsum(payload)]).astype(np.int64)
    if kind == "float64":
        if (payload % 8).any():
            raise ValueError("a list of doubles is cut off")
        return np.frombuffer(body.tobytes(), "<f8"), bounds // 8
    ends = body < 0x80
    counted = np.concatenate([[0], np.cumsum(ends)]).astype(np.int64)
    return _from_varints(body, ends), counted[bounds]


def _payloads(joined: np.ndarray, begins: np.ndarray, lengths: np.ndarray, tag: int) -> np.ndarray:
    """How many bytes at the end of each Value are its list's items; a length decides, tags are checked."""
    import numpy as np

    filled = lengths > 0
    if (joined[begins[filled]] != tag).any():
        raise ValueError("a value is of another kind than the feature view declares")
    inner = _without_head(lengths)  # the list message
    payload = _without_head(inner)
    full = payload > 0
    heads = begins[full] + lengths[full] - inner[full]
    if (joined[heads] != _ITEMS[0]).any():
        raise ValueError("a list holds another message than its items")
    return np.where(filled, payload, 0)


def _without_head(lengths: np.ndarray) -> np.ndarray:
    """The length of what a tag of one byte and its own length stand before; zero for nothing."""
    import numpy as np

    found = np.zeros(len(lengths), np.int64)
    for size in range(1, 6):
        rest = lengths - 1 - size
        fits = (rest >= (0 if size == 1 else 1 << 7 * (size - 1))) & (rest < 1 << 7 * size)
        found = np.where(fits, rest, found)
    return found


def _varints(values: np.ndarray) -> tuple[bytes, np.ndarray]:
    """All values as base-128 varints, and where each ends."""
    import numpy as np

    unsigned = np.ascontiguousarray(values, np.int64).view(np.uint64)
    widths = np.ones(len(unsigned), np.int64)
    for k in range(1, 10):
        widths += unsigned >= np.uint64(1) << np.uint64(7 * k)
    ends = np.cumsum(widths)
    starts = ends - widths
    body = np.empty(int(ends[-1]) if len(ends) else 0, np.uint8)
    for k in range(int(widths.max(initial=0))):
        chosen = np.flatnonzero(widths > k)
        part = (unsigned[chosen] >> np.uint64(7 * k)).astype(np.uint8) & np.uint8(0x7F)
        part |= np.where(widths[chosen] > k + 1, 0x80, 0).astype(np.uint8)
        body[starts[chosen] + k] = part
    return body.tobytes(), ends


def _from_varints(body: np.ndarray, ends: np.ndarray) -> np.ndarray:
    import numpy as np

    stops = np.flatnonzero(ends)
    if len(body) and (not len(stops) or stops[-1] != len(body) - 1):
        raise ValueError("a list of whole numbers is cut off")
    starts = np.concatenate([[0], stops[:-1] + 1]) if len(stops) else stops
    widths = stops - starts + 1
    found = np.zeros(len(stops), np.uint64)
    for k in range(int(widths.max(initial=0))):
        chosen = np.flatnonzero(widths > k)
        part = (body[starts[chosen] + k] & np.uint8(0x7F)).astype(np.uint64)
        found[chosen] |= part << np.uint64(7 * k)
    return found.view(np.int64)


def _read_strings(blob: Blob) -> list[str]:
    if not blob:
        return []
    if blob[:1] != _LISTS["string"]:
        raise ValueError("a value is of another kind than the feature view declares")
    _, place = _read_varint(blob, 1)
    found = []
    while place < len(blob):
        if blob[place : place + 1] != _ITEMS:
            raise ValueError("a list holds another message than its items")
        length, place = _read_varint(blob, place + 1)
        found.append(blob[place : place + length].decode())
        place += length
    return found


def _key_parts(values: Sequence[Any]) -> list[bytes]:
    if len(values) and isinstance(values[0], int):
        head = struct.pack("<II", INT64, 8)
        return [head + struct.pack("<q", value) for value in values]
    encoded = [str(value).encode() for value in values]
    return [struct.pack("<II", STRING, len(text)) + text for text in encoded]


def _only_valid(blobs: list[bytes], valid: np.ndarray | None) -> list[bytes]:
    if valid is None:
        return blobs
    return [blob if there else b"" for blob, there in zip(blobs, valid.tolist(), strict=True)]


def _varint(value: int) -> bytes:
    parts = bytearray()
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    parts.append(value)
    return bytes(parts)


def _read_varint(blob: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = blob[place]
        value |= (byte & 0x7F) << shift
        place += 1
        shift += 7
        if byte < 0x80:
            return value, place
