"""Whatever people give, take back and let end: a gate holds by a standing word of the right person, or not at all."""

from __future__ import annotations

import contextlib
import json
import tempfile
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from hypothesis import event, given, settings
from hypothesis import strategies as st
from registry_world import GATES, declared_product

from platform_assets.errors import Blocked
from platform_assets.evidence.evidence import Evidence, Verdict
from platform_assets.evidence.ledger import Entry
from platform_assets.evidence.standing import today
from platform_assets.evidence.waiver import record_waiver
from platform_assets.evidence.withdrawal import record_withdrawal
from platform_assets.home import Home
from platform_assets.lake.atomic_files import create_once
from platform_assets.registry.approval import decide_approval, record_approval
from platform_assets.registry.gate_decision import GateDecision, verdict_of
from platform_assets.registry.gates import Candidate
from platform_assets.registry.promotion import _waived
from platform_assets.stores import Stores

PEOPLE = ANA, BEN, CY, MAL = "ana@a.example", "ben@b.example", "cy@c.example", "mal@m.example"
WAIVABLE_BY, APPROVERS = {ANA, CY}, {BEN, CY}
CANDIDATE = Candidate("2", "model", "rows", {}, {}, "suite")
FINDINGS = {
    name: Evidence("gate/leakage", "products/payment_fraud/promotion", Verdict.FAILED, name, {"e": name}, "2")
    for name in ("this", "that")
}

people, days = st.sampled_from(PEOPLE), st.integers(0, 5)
steps = st.one_of(
    st.tuples(st.just("find"), st.sampled_from(sorted(FINDINGS))),
    st.tuples(st.just("waive"), people, st.sampled_from(sorted(FINDINGS)), days),
    st.tuples(st.just("approve"), people, days),
    st.tuples(st.just("withdraw"), people, st.integers(0, 3)),
    st.tuples(st.just("days pass"), st.integers(1, 3)),
)
beginnings = st.sampled_from(
    [
        [],
        [("waive", ANA, "this", 5)],
        [("waive", ANA, "this", 5), ("approve", BEN, 5), ("approve", CY, 3)],
        [("waive", ANA, "this", 5), ("approve", BEN, 5), ("withdraw", ANA, 1), ("waive", ANA, "this", 5)],
        [("waive", CY, "this", 3), ("waive", ANA, "this", 2), ("approve", BEN, 4), ("approve", CY, 5)],
    ]
)  # by chance alone, a story hardly ever comes so far
stories = st.builds(lambda first, more: [*first, *more], beginnings, st.lists(steps, max_size=10))


@dataclass
class Word:
    """What somebody said, as the test knows it."""

    by: str
    about: object
    until: date
    withdrawn: bool = False

    def stands(self, day: date) -> bool:
        return not self.withdrawn and self.until >= day


@dataclass
class Story:
    """A ledger, and beside it what must follow, told without reading it."""

    stores: Stores
    count: int
    finding: str = "this"
    start: date = field(default_factory=today)
    passed: int = 0
    waivers: dict[int, Word] = field(default_factory=dict)
    approvals: dict[int, Word] = field(default_factory=dict)
    asked: object = None

    def __post_init__(self) -> None:
        declared = [
            *(g for g in GATES if g["kind"] != "leakage"),
            {"kind": "leakage", "waivable_by": sorted(WAIVABLE_BY)},
            {"kind": "approval", "approvers": sorted(APPROVERS), "count": self.count},
        ]
        self.product = declared_product(gates=declared)
        self.leakage, self.approval = self.product.gates[-2:]
        self.stores.ledger.append("note", "payment_fraud", "test", {})

    # what the library says

    def decided(self) -> list[GateDecision]:
        red = GateDecision("leakage", Verdict.FAILED, self.finding, evidence_id=self.finding)
        waived = _waived(self.stores, self.leakage, red, FINDINGS[self.finding])
        said = decide_approval(self.approval, CANDIDATE, [waived], "payment_fraud", self.stores.ledger)
        return [waived, said]

    # what must be

    @property
    def day(self) -> date:
        return self.start + timedelta(days=self.passed)

    def standing_waiver(self) -> int | None:
        fit = [n for n, w in self.waivers.items() if w.about == self.finding and w.by in WAIVABLE_BY]
        return max((n for n in fit if self.waivers[n].stands(self.day)), default=None)

    def must_hold(self) -> tuple[bool, bool]:
        waiver = self.standing_waiver()
        about = (self.finding, waiver)
        waived_by = self.waivers[waiver].by if waiver else None
        who = {w.by for w in self.approvals.values() if w.about == about and w.stands(self.day)}
        return waiver is not None, len((who & APPROVERS) - {waived_by}) >= self.count

    # what people do

    def find(self, finding: str) -> None:
        self.finding = finding

    def waive(self, by: str, finding: str, length: int) -> None:
        until = self.start + timedelta(days=length)
        entry = record_waiver(self.stores.ledger, FINDINGS[finding], by, "known", until)
        self.waivers[entry.sequence] = Word(by, finding, until)

    def approve(self, by: str, length: int) -> None:
        gates = self.decided()
        body = {"version": "2", "model_digest": "model", "gates": [asdict(g) for g in gates]}
        self.stores.ledger.append("refusal", "payment_fraud", "test", body)
        about, until = (self.finding, self.standing_waiver()), self.start + timedelta(days=length)
        with contextlib.suppress(Blocked):
            entry = record_approval(self.stores.ledger, self.product, "2", by, "yes", until)
            assert by in APPROVERS
            assert gates[0].holds
            self.approvals[entry.sequence] = Word(by, about, until)

    def withdraw(self, by: str, place: int) -> None:
        words = sorted({*self.waivers, *self.approvals})
        sequence = words[-1 - place % len(words)] if words else 1
        may = WAIVABLE_BY if sequence in self.waivers else APPROVERS
        word = {**self.waivers, **self.approvals}.get(sequence)
        try:
            record_withdrawal(self.stores.ledger, sequence, by, "learned more", may=may)
        except Blocked:
            assert word is None or not word.stands(self.day) or by not in {word.by, *may}
        else:
            assert word is not None
            assert word.stands(self.day)
            assert by in {word.by, *may}
            word.withdrawn = True
            event("withdrawn")

    def days_pass(self, number: int) -> None:
        """A later entry moves the ledger's own clock."""
        ledger = self.stores.ledger
        self.passed += number
        last = ledger.entries()[-1]
        at = datetime.combine(self.day, datetime.min.time(), UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        entry = Entry(last.sequence + 1, "note", "x", "clock", at, {}, last.hash).sealed()
        create_once(ledger.folder / f"{entry.sequence:06d}.json", json.dumps(asdict(entry)).encode())
        ledger._note_head(entry)


@given(stories, st.integers(1, 2))
@settings(max_examples=40, deadline=None)
def test_a_gate_holds_by_a_standing_word_of_the_right_person_or_not_at_all(story, count):
    with tempfile.TemporaryDirectory() as folder:
        told = Story(Stores.at(Home.at(Path(folder))), count)
        for name, *arguments in story:
            getattr(told, name.replace(" ", "_"))(*arguments)
            waived, approved = told.decided()
            assert (waived.holds, approved.holds) == told.must_hold(), story
            event(f"waived {waived.holds}, approved {approved.holds}")
            standing = {n for n, w in {**told.waivers, **told.approvals}.items() if w.stands(told.day)}
            assert {*waived.answers, *approved.answers} <= standing
            assert (verdict_of([waived, approved]) is Verdict.PASSED) == all(told.must_hold())
