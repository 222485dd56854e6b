"""The bytes are those that Feast itself would write, and are read back as Feast's."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from feast.infra.key_encoding_utils import serialize_entity_key
from feast.protos.feast.types import Value_pb2 as protos
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given, settings
from hypothesis import strategies as st

from platform_assets.online import feast_bytes

WHOLE = st.integers(-(2**63), 2**63 - 1)
FLOAT = st.floats(width=64, allow_nan=False)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
KINDS = {
    "int64": (WHOLE, lambda row: protos.Value(int64_list_val=protos.Int64List(val=row))),
    "float64": (FLOAT, lambda row: protos.Value(double_list_val=protos.DoubleList(val=row))),
    "string": (TEXT, lambda row: protos.Value(string_list_val=protos.StringList(val=row))),
}


def flat(rows: list[list], kind: str) -> tuple[np.ndarray, np.ndarray]:
    values = [value for row in rows for value in row]
    types = {"int64": np.int64, "float64": np.float64, "string": object}
    return np.array(values, types[kind]), np.cumsum([0, *(len(row) for row in rows)])


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_lists_are_feasts_and_come_back(kind: str, data: st.DataObject) -> None:
    values, message = KINDS[kind]
    rows = data.draw(st.lists(st.lists(values, max_size=40), max_size=12))
    blobs = feast_bytes.list_values(*flat(rows, kind), kind)
    assert blobs == [message(row).SerializeToString() for row in rows]
    found, offsets = feast_bytes.read_lists(blobs, kind)
    assert [found[s:e].tolist() for s, e in pairwise(offsets)] == rows


@pytest.mark.parametrize("length", [0, 1, 12, 13, 14, 15, 16, 17, 125, 126, 127, 128, 129, 2047, 2048, 3000])
def test_lists_of_lengths_where_a_head_grows(length: int) -> None:
    rows = [list(range(length)), [7], [], [-1] * length]
    blobs = feast_bytes.list_values(*flat(rows, "int64"), "int64")
    assert blobs == [KINDS["int64"][1](row).SerializeToString() for row in rows]
    found, offsets = feast_bytes.read_lists([*blobs, None, b""], "int64")
    assert [found[s:e].tolist() for s, e in pairwise(offsets)] == [*rows, [], []]


@settings(max_examples=60, deadline=None)
@given(whole=st.lists(WHOLE, max_size=20), floats=st.lists(FLOAT, max_size=20), text=TEXT)
def test_single_values_are_feasts(whole: list[int], floats: list[float], text: str) -> None:
    assert feast_bytes.whole_values(np.array(whole, np.int64)) == [
        protos.Value(int64_val=value).SerializeToString() for value in whole
    ]
    assert feast_bytes.float_values(np.array(floats)) == [
        protos.Value(double_val=value).SerializeToString() for value in floats
    ]
    assert feast_bytes.string_value(text) == protos.Value(string_val=text).SerializeToString()
    assert feast_bytes.text_of(feast_bytes.string_value(text)) == text


@given(moment=st.integers(-(10**16), 10**16))
def test_moments_are_protocol_buffers_own(moment: int) -> None:
    seconds, rest = divmod(moment, 10**6)
    assert feast_bytes.timestamp(moment) == Timestamp(seconds=seconds, nanos=rest * 1000).SerializeToString()


def test_a_value_that_is_missing_is_feasts_empty_one() -> None:
    assert feast_bytes.whole_values(np.array([1, 2]), np.array([True, False])) == [b"\x20\x01", b""]
    assert feast_bytes.float_values(np.array([1.0, 2.0]), np.array([False, True]))[0] == b""
    assert protos.Value().SerializeToString() == b""
    assert feast_bytes.text_of(None) == feast_bytes.text_of(b"\x20\x01") == ""


@settings(max_examples=60, deadline=None)
@given(rows=st.lists(st.tuples(WHOLE, TEXT), min_size=1, max_size=8))
def test_entity_keys_are_feasts_and_come_back(rows: list[tuple[int, str]]) -> None:
    for names in (("terminal", "customer"), ("a", "b"), ("only",)):
        taken = [row[: len(names)] for row in rows]
        found = feast_bytes.entity_keys(names, list(zip(*taken, strict=True)))
        messages = [
            EntityKey(
                join_keys=names,
                entity_values=[
                    protos.Value(int64_val=v) if isinstance(v, int) else protos.Value(string_val=v)
                    for v in row
                ],
            )
            for row in taken
        ]
        assert found == [serialize_entity_key(message, 3) for message in messages]
        assert [feast_bytes.entity_of(key, names) for key in found] == taken
        assert all(key.startswith(feast_bytes.key_prefix(names)) for key in found)


def test_other_keys_stand_for_nobody() -> None:
    key = feast_bytes.entity_keys(["shop"], [["a"]])[0]
    assert feast_bytes.entity_of(key, ["member"]) is None
    assert feast_bytes.entity_of(key[:-1], ["shop"]) is None
    assert feast_bytes.entity_of(key + b"\0", ["shop"]) is None
    narrow = EntityKey(join_keys=["shop"], entity_values=[protos.Value(int32_val=1)])
    assert feast_bytes.entity_of(serialize_entity_key(narrow, 3), ["shop"]) is None


@pytest.mark.parametrize(
    ("blob", "kind"),
    [
        (b"\x20\x01", "int64"),
        (KINDS["string"][1](["a"]).SerializeToString(), "int64"),
        (KINDS["int64"][1]([1]).SerializeToString(), "string"),
        (KINDS["float64"][1]([1.0]).SerializeToString()[:-1], "float64"),
        (b"\x72\x04\x0b\x02\x01\x02", "int64"),
        (b"\x72\x04\x0a\x02\x01\x82", "int64"),
    ],
)
def test_values_of_another_kind_are_refused(blob: bytes, kind: str) -> None:
    with pytest.raises(ValueError, match=r"kind|items|cut off"):
        feast_bytes.read_lists([blob], kind)
