"""Digests are a contract with everything ever written: these values may not change."""

from __future__ import annotations

import hashlib
from datetime import datetime

import pyarrow as pa
import pytest

from platform_assets.lake.digest import canonical, digest_of_digests, document_digest, table_digest


def sha(*parts: bytes) -> str:
    return hashlib.sha256(b"".join(parts)).hexdigest()[:32]


def digest(values: list, kind: pa.DataType, name: str = "v") -> str:
    return table_digest(canonical(pa.table({name: pa.array(values, kind)}), []))


def i8(*values: int) -> bytes:
    return b"".join(value.to_bytes(8, "little", signed=True) for value in values)


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        # rows, name and type, one bit a row for null, the values in little endian
        ([1, 2], pa.int64(), sha(b"2", b"|v:int64|", b"\0", i8(1, 2))),
        ([1, None, 3], pa.int64(), sha(b"3", b"|v:int64|", b"\x40", i8(1, 0, 3))),
        ([None] * 9, pa.int64(), sha(b"9", b"|v:int64|", b"\xff\x80", i8(*[0] * 9))),
        ([7] * 9, pa.int64(), sha(b"9", b"|v:int64|", b"\0\0", i8(*[7] * 9))),
        ([7] * 15, pa.int64(), sha(b"15", b"|v:int64|", b"\0\0", i8(*[7] * 15))),
        ([], pa.int64(), sha(b"0", b"|v:int64|")),
        (["ab", None, "c"], pa.string(), sha(b"3", b"|v:string|", b"\x40", i8(2, 0, 1), b"abc")),
        ([b"ab", None], pa.binary(), sha(b"2", b"|v:binary|", b"\x40", i8(2, 0), b"ab")),
        ([True, None, False], pa.bool_(), sha(b"3", b"|v:bool|", b"\x40", b"\1\0\0")),
        ([1.5], pa.float64(), sha(b"1", b"|v:double|", b"\0", bytes.fromhex("000000000000f83f"))),
        ([float("nan")], pa.float64(), sha(b"1", b"|v:double|", b"\0", bytes.fromhex("000000000000f87f"))),
        ([datetime(1970, 1, 1, 0, 0, 1)], pa.timestamp("us"), sha(b"1", b"|v:timestamp[us]|", b"\0", i8(10**6))),
        ([[1, 2]], pa.list_(pa.int64()), sha(b"1", b"|v:list<item: int64>|", b"\0", b"[[1, 2]]")),
    ],
    ids=["int", "null", "nine nulls", "nine", "fifteen", "none", "text", "bytes", "bool", "float", "nan", "moment", "list"],
)  # fmt: skip
def test_a_column_is_hashed_as_it_always_was(values: list, kind: pa.DataType, expected: str) -> None:
    assert digest(values, kind) == expected


def test_the_order_of_a_struct_s_fields_does_not_matter() -> None:
    kind = pa.struct([("b", pa.int64()), ("a", pa.int64())])
    expected = sha(b"1", b"|v:struct<b: int64, a: int64>|", b"\0", b'[{"a": 2, "b": 1}]')
    assert digest([{"b": 1, "a": 2}], kind) == expected


def test_every_nan_is_one_value() -> None:
    import numpy as np

    other = np.array([0x7FF8000000000001, 0xFFF8000000000000], "<u8").view("<f8")
    assert digest(other.tolist(), pa.float64()) == digest([float("nan")] * 2, pa.float64())
    table = pa.table({"v": pa.array(other)})
    assert table_digest(table) == table_digest(pa.table({"v": pa.array([float("nan")] * 2)}))


def test_columns_in_order_and_pieces_do_not_matter() -> None:
    two = pa.table({"a": [1], "b": [2]})
    assert table_digest(canonical(two, [])) == sha(
        b"1", b"|a:int64|", b"\0", i8(1), b"|b:int64|", b"\0", i8(2)
    )
    pieces = pa.chunked_array([[1], [2]], pa.int64())
    assert table_digest(pa.table({"v": pieces})) == digest([1, 2], pa.int64())
    empty = pa.table({"v": pa.chunked_array([], pa.int64())})
    assert table_digest(empty) == digest([], pa.int64())


def test_narrow_types_are_widened() -> None:
    assert digest([1], pa.int8()) == digest([1], pa.int64())
    assert digest([1.5], pa.float32()) == digest([1.5], pa.float64())
    assert digest(["x"], pa.large_string()) == digest(["x"], pa.string())
    coded = pa.table({"v": pa.array(["x", "y"]).dictionary_encode()})
    assert table_digest(canonical(coded, [])) == digest(["x", "y"], pa.string())


def test_rows_are_sorted_by_the_whole_key() -> None:
    rows = pa.table({"a": [2, 1, 1], "b": [1, 2, 1], "x": [3, 2, 1]})
    assert canonical(rows, ["a", "b"]).column("x").to_pylist() == [1, 2, 3]
    assert canonical(rows.slice(0, 1), ["a"]).num_rows == 1
    with pytest.raises(ValueError, match=r"1 rows share a key \(a\)"):
        canonical(rows, ["a"])
    two = pa.table({"a": [2, 1], "x": [1, 2]})
    assert canonical(two, ["a"]).column("x").to_pylist() == [2, 1]
    with pytest.raises(ValueError, match=r"1 rows share a key"):
        canonical(pa.table({"a": [1, 1]}), ["a"])
    with pytest.raises(ValueError, match=r"2 rows share a key \(a, b\)"):
        canonical(pa.table({"a": [1, 1, 1], "b": [1, 1, 1]}), ["a", "b"])


def test_documents_by_canonical_json() -> None:
    expected = hashlib.sha256(b'{"a":1,"b":["\\u00e9"]}').hexdigest()[:32]
    assert document_digest({"b": ["é"], "a": 1}) == expected
    assert digest_of_digests({"2018-04-01": "x"}) == document_digest({"2018-04-01": "x"})
    assert len(expected) == 32
