"""The ledger's chain: what breaks it in either direction, what it is asked for, and its clock."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from platform_assets.errors import LakeError
from platform_assets.evidence import ledger as module
from platform_assets.evidence.ledger import Entry, Ledger

LOWEST, HIGHEST = "0" * 31 + "1", "f" * 32


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """Three entries, of three products and kinds."""
    found = Ledger(tmp_path)
    for name in ("a", "b", "c"):
        found.append(f"kind {name}", name, "me", {"name": name})
    return found


def rewrite(ledger: Ledger, entry: Entry, *, file: int) -> None:
    (ledger.folder / f"{file:06d}.json").write_text(json.dumps(asdict(entry)))


def test_entries_are_those_of_one_product_and_kind(ledger: Ledger) -> None:
    assert [e.product for e in ledger.entries()] == ["a", "b", "c"]
    assert [e.sequence for e in ledger.entries("b")] == [2]
    assert [e.sequence for e in ledger.entries(kind="kind b")] == [2]
    assert [e.sequence for e in ledger.entries("b", "kind b")] == [2]
    assert ledger.entries("a", "kind b") == ledger.entries("x") == []


def test_the_first_entry_follows_a_known_start(ledger: Ledger) -> None:
    assert ledger.entries()[0].previous == "0" * 32


@pytest.mark.parametrize("forged", [LOWEST, HIGHEST])
def test_a_hash_that_is_not_the_content_s_is_noticed(ledger: Ledger, forged: str) -> None:
    rewrite(ledger, replace(ledger.entries()[1], hash=forged), file=2)
    with pytest.raises(LakeError, match=r"000002\.json: the ledger's chain of hashes is broken here"):
        ledger.verified()


@pytest.mark.parametrize("forged", [LOWEST, HIGHEST])
def test_an_entry_that_follows_another_one_is_noticed(ledger: Ledger, forged: str) -> None:
    rewrite(ledger, replace(ledger.entries()[2], previous=forged).sealed(), file=3)
    with pytest.raises(LakeError, match=r"000003\.json: the ledger's chain of hashes is broken here"):
        ledger.verified()


@pytest.mark.parametrize("forged", [1, 9])
def test_an_entry_of_another_number_is_noticed(ledger: Ledger, forged: int) -> None:
    rewrite(ledger, replace(ledger.entries()[2], sequence=forged).sealed(), file=3)
    with pytest.raises(LakeError, match=r"000003\.json: the ledger's chain of hashes is broken here"):
        ledger.verified()


@pytest.mark.parametrize("noted", [LOWEST, HIGHEST])
def test_another_end_than_was_noted_is_told_with_its_hash(ledger: Ledger, noted: str) -> None:
    (ledger.folder / "head.json").write_text(json.dumps({"sequence": 3, "hash": noted}))
    with pytest.raises(LakeError, match=rf"ends at entry 3, but entry 3 \({noted}\) was written"):
        ledger.verified()


def test_a_clock_set_back_goes_on_from_the_newest_entry(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    for year in (2997, 2998, 2999):
        monkeypatch.setattr(module, "utc_now", lambda year=year: f"{year}-01-01T00:00:00.000000Z")
        ledger.append("note", "a", "me", {})
    monkeypatch.setattr(module, "utc_now", lambda: "2001-01-01T00:00:00.000000Z")
    assert ledger.now() == "2999-01-01T00:00:00.000000Z"
    assert ledger.append("note", "a", "me", {}).at == "2999-01-01T00:00:00.000000Z"
    assert Ledger(ledger.folder / "empty").now() == "2001-01-01T00:00:00.000000Z"


def test_an_entry_is_a_file_that_a_person_can_read(ledger: Ledger) -> None:
    text = (ledger.folder / "000001.json").read_text()
    assert text.startswith('{\n "actor": "me",\n "at": ')
    assert text.endswith("\n}\n")
    assert Entry(**json.loads(text)) == ledger.entries()[0]


@pytest.mark.parametrize("content", ["{", "[]", '{"sequence": 1}'])
def test_what_cannot_be_read_is_told_with_its_file(ledger: Ledger, content: str) -> None:
    (ledger.folder / "000002.json").write_text(content)
    with pytest.raises(LakeError, match=r"000002\.json: ledger entry cannot be read"):
        ledger.verified()
    (ledger.folder / "head.json").write_text(content)
    with pytest.raises(LakeError, match=r"head\.json: cannot be read"):
        _ = ledger.head


OTHER = {
    "sequence": 7, "kind": "other", "product": "other", "actor": "you", "at": "2030", "body": {"x": 1},
    "previous": LOWEST,
}  # fmt: skip


@pytest.mark.parametrize("field", OTHER)
def test_the_hash_covers_every_field(ledger: Ledger, field: str) -> None:
    entry = ledger.entries()[1]
    assert replace(entry, **{field: OTHER[field]}).computed_hash() != entry.hash
    assert replace(entry, hash="").computed_hash() == entry.hash, "and not itself"
    assert OTHER.keys() | {"hash"} == asdict(entry).keys()


def test_a_slow_writer_does_not_put_the_head_back(ledger: Ledger) -> None:
    ledger._note_head(ledger.entries()[0])
    assert ledger.head == (3, ledger.entries()[2].hash)
