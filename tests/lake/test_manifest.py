"""A manifest is current only for exactly the code and the inputs it names."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from platform_assets.errors import LakeError
from platform_assets.lake.manifest import Manifest

MADE = Manifest(
    table="features/v", partition="2026-01-01", sequence=1, digest="d", rows=1, size_bytes=2, file="data/x",
    code_version="m", inputs={"raw/a": {"2026-01-02": "5", "2026-01-01": "4"}}, cause="run 1", run_id="1",
    created_at="2026-01-02T00:00:00.000000Z", schema=(("id", "int64"),), key=("id",), notes={"b": 1, "a": 2},
)  # fmt: skip
SAME = {"raw/a": {"2026-01-01": "4", "2026-01-02": "5"}}


@pytest.mark.parametrize(
    ("code_version", "inputs", "made"),
    [
        ("m", SAME, True),
        ("l", SAME, False),  # lower and higher: neither order of text may pass for equality
        ("n", SAME, False),
        *(("m", {"raw/a": {"2026-01-01": other, "2026-01-02": "5"}}, False) for other in "0123567"),
        ("m", {"raw/a": {"2026-01-01": "4"}}, False),
        ("m", {**SAME, "raw/b": {"2026-01-01": "4"}}, False),
        ("m", {"raw/b": SAME["raw/a"]}, False),
        ("m", {}, False),
        ("n", {}, False),
    ],
)
def test_made_from_exactly_this(code_version: str, inputs: dict, made: bool) -> None:
    assert MADE.is_made_from(code_version, inputs) is made


def test_a_manifest_reads_back_as_it_was_written_and_stands_in_order(tmp_path: Path) -> None:
    path = tmp_path / "000001.json"
    path.write_bytes(MADE.to_json())
    assert Manifest.read(path) == MADE
    text = MADE.to_json().decode()
    assert text.index('"2026-01-01"') < text.index('"2026-01-02"')
    assert text.index('"a": 2') < text.index('"b": 1')
    assert text.index(' "cause"') < text.index(' "table"')
    assert replace(MADE, inputs=SAME).to_json() == MADE.to_json()


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"\xff", b'{"table": "x"}', b"null"])
def test_whatever_is_damaged_is_told_with_the_fix(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "000001.json"
    path.write_bytes(content)
    with pytest.raises(LakeError, match=r"000001\.json: damaged manifest .*delete this file"):
        Manifest.read(path)
