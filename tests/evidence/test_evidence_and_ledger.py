"""Evidence binds to versions; the ledger is a chain."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from platform_assets.errors import LakeError
from platform_assets.evidence.evidence import Evidence, EvidenceStore, Verdict, worst
from platform_assets.evidence.ledger import Ledger


def evidence(verdict: Verdict = Verdict.PASSED, **versions: str) -> Evidence:
    return Evidence("parity", "products/p/parity_report", verdict, "because", versions or {"views": "a"})


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        ([], Verdict.UNKNOWN),
        ([Verdict.PASSED], Verdict.PASSED),
        ([Verdict.PASSED, Verdict.UNKNOWN], Verdict.UNKNOWN),
        ([Verdict.UNKNOWN, Verdict.FAILED, Verdict.PASSED], Verdict.FAILED),
    ],
    ids=["nothing measured", "passed", "unknown", "failed"],
)
def test_worst(verdicts: list[Verdict], expected: Verdict) -> None:
    assert worst(verdicts) is expected


def test_evidence_holds_only_for_its_versions() -> None:
    found = evidence(views="a", model="m")
    assert found.holds_for({"views": "a", "model": "m"})
    assert not found.holds_for({"views": "a"})
    assert found.mismatch({"views": "b", "model": "m"}) == ["views"]


def test_id_is_over_the_finding_and_not_over_the_clock() -> None:
    assert evidence().id == evidence().id
    assert evidence().id != evidence(Verdict.FAILED).id
    assert evidence(views="a").id != evidence(views="b").id


def test_store_keeps_history_and_does_not_repeat(tmp_path: Path) -> None:
    store = EvidenceStore(tmp_path)
    store.record(evidence())
    store.record(evidence())
    store.record(evidence(Verdict.FAILED))
    kind, subject = "parity", "products/p/parity_report"
    assert [e.verdict for e in store.history(kind, subject)] == [Verdict.PASSED, Verdict.FAILED]
    latest = store.latest(kind, subject)
    assert latest is not None
    assert latest.verdict is Verdict.FAILED


def test_unreadable_evidence_is_unknown(tmp_path: Path) -> None:
    store = EvidenceStore(tmp_path)
    store.record(evidence())
    next(tmp_path.rglob("*.json")).write_text("{")
    latest = store.latest("parity", "products/p/parity_report")
    assert latest is not None
    assert latest.verdict is Verdict.UNKNOWN


def test_chain_is_verified(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    for number in range(3):
        ledger.append("intent", "p", "me", {"number": number})
    assert [e.sequence for e in ledger.verified()] == [1, 2, 3]


@pytest.mark.parametrize("tamper", ["change", "remove", "change and seal"])
def test_tampering_breaks_the_chain(tmp_path: Path, tamper: str) -> None:
    ledger = Ledger(tmp_path)
    for number in range(3):
        ledger.append("confirm", "p", "me", {"to": str(number)})
    path = tmp_path / "000002.json"
    if tamper == "remove":
        path.unlink()
    else:
        data = json.loads(path.read_text())
        data["body"] = {"to": "99"}
        if tamper == "change and seal":
            from platform_assets.evidence.ledger import Entry

            data["hash"] = Entry(**data).computed_hash()
        path.write_text(json.dumps(data))
    with pytest.raises(LakeError, match="chain of hashes is broken"):
        ledger.entries("p")


@pytest.mark.parametrize("kept", [0, 1, 2])
def test_entries_missing_at_the_end_are_noticed(tmp_path: Path, kept: int) -> None:
    ledger = Ledger(tmp_path)
    for number in range(3):
        ledger.append("confirm", "p", "me", {"to": str(number)})
    for number in range(kept + 1, 4):
        (tmp_path / f"{number:06d}.json").unlink()
    with pytest.raises(LakeError, match=f"ends at entry {kept}, but entry 3 .* was written"):
        ledger.entries("p")


def test_an_end_that_was_rewritten_is_noticed(tmp_path: Path) -> None:
    ledger, other = Ledger(tmp_path / "a"), Ledger(tmp_path / "b")
    for number in range(2):
        ledger.append("confirm", "p", "me", {"to": str(number)})
        other.append("confirm", "p", "somebody else", {"to": str(number)})
    for path in other.folder.glob("0*.json"):
        path.replace(ledger.folder / path.name)
    with pytest.raises(LakeError, match="ends at entry 2, but entry 2"):
        ledger.verified()


def test_a_writer_killed_before_the_head_was_noted_does_no_harm(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.append("confirm", "p", "me", {"to": "1"})
    before = (tmp_path / "head.json").read_bytes()
    ledger.append("confirm", "p", "me", {"to": "2"})
    (tmp_path / "head.json").write_bytes(before)
    assert len(ledger.verified()) == 2
    ledger.append("confirm", "p", "me", {"to": "3"})
    assert ledger.head == (3, ledger.verified()[-1].hash)


def test_writers_at_once_make_one_chain(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    threads = [
        threading.Thread(target=lambda: [ledger.append("note", "p", "me", {}) for _ in range(10)])
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ledger.verified()) == 40
    assert ledger.head == (40, ledger.verified()[-1].hash)


# -- the rest of what the store promises


def test_partitions_of_a_subject_and_the_whole_is_its_own(tmp_path: Path) -> None:
    store = EvidenceStore(tmp_path)
    assert store.partitions("contract", "raw/a") == []
    for day in ("2026-01-02", "2026-01-01", ""):
        store.record(Evidence("contract", "raw/a", Verdict.PASSED, "fine", {"raw": "1"}, partition=day))
    assert store.partitions("contract", "raw/a") == ["2026-01-01", "2026-01-02", "_"]
    assert store.latest("contract", "raw/a") is not None
    assert store.latest("contract", "raw/a", "2026-01-03") is None
    assert store.partitions("contract", "raw/b") == store.partitions("drift", "raw/a") == []
    assert (tmp_path / "contract/raw/a/2026-01-01/000001.json").exists()


def test_mismatch_names_what_differs_in_either() -> None:
    evidence = Evidence("k", "s", Verdict.PASSED, "r", {"a": "1", "b": "2", "c": "3"})
    assert evidence.mismatch({"a": "1", "b": "0", "d": "4"}) == ["b", "c", "d"]
    assert evidence.mismatch({"a": "1", "b": "9", "c": "3"}) == ["b"]
    assert evidence.mismatch(dict(evidence.versions)) == []
    assert len(evidence.id) == 16


def test_a_finding_that_comes_back_is_recorded_again(tmp_path: Path) -> None:
    store = EvidenceStore(tmp_path)
    red = Evidence("drift", "s", Verdict.FAILED, "red", {})
    green = Evidence("drift", "s", Verdict.PASSED, "green", {})
    for each in (red, green, green, red, red):
        store.record(each)
    assert [e.verdict for e in store.history("drift", "s")] == [
        Verdict.FAILED,
        Verdict.PASSED,
        Verdict.FAILED,
    ]


def test_evidence_files_are_the_same_bytes_for_the_same_finding(tmp_path: Path) -> None:
    evidence = Evidence(
        "k", "s", Verdict.PASSED, "r", {"b": "2", "a": "1"}, created_at="2026-01-01T00:00:00Z"
    )
    EvidenceStore(tmp_path).record(evidence)
    text = (tmp_path / "k/s/_/000001.json").read_text()
    assert text.startswith('{\n "created_at": "2026-01-01T00:00:00Z",\n "kind": "k",')
    assert text.index('"a"') < text.index('"b"')
    with pytest.raises(AttributeError):
        evidence.verdict = Verdict.FAILED  # type: ignore[misc]
