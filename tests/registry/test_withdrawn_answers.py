"""What a promotion stands on and was withdrawn since, told of a ledger that is written line by line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from platform_assets.evidence.ledger import Entry
from platform_assets.registry.withdrawn_answers import (
    WithdrawnMeanwhile,
    answers_of,
    still_given,
    told_since,
    withdrawn_behind,
)

ANA, BEN = "ana@fraud.example", "ben@risk.example"
PROMOTION = "products/fraud/promotion"
Line = tuple[str, str, Mapping[str, Any]]


def ledger_of(*lines: Line) -> list[Entry]:
    return [
        Entry(n, kind, product, "dagster", f"2026-01-{n:02d}T10:00:00.123456Z", body, "")
        for n, (kind, product, body) in enumerate(lines, start=1)
    ]


def given_(by: str = ANA) -> Line:
    return "approval", "fraud", {"by": by, "version": "2"}


def intent(decision: str, to: str, *answers: int, product: str = "fraud", kind: str = "intent") -> Line:
    gates = [{"key": "parity"}, {"key": "approval", "answers": list(answers)}]
    return kind, product, {"decision": decision, "to": to, "gates": gates}


def confirm(decision: str, to: str, product: str = "fraud") -> Line:
    return "confirm", product, {"decision": decision, "to": to}


def withdraw(entry: int) -> Line:
    return "withdrawal", "fraud", {"entry": entry, "by": BEN, "reason": "seen again"}


def sequences(found: Mapping[int, list[tuple[Entry, Entry]]]) -> dict[int, list[tuple[int, int]]]:
    return {n: [(a.sequence, w.sequence) for a, w in pairs] for n, pairs in found.items()}


@pytest.mark.parametrize(
    ("lines", "behind"),
    [
        pytest.param([given_(), intent("a", "2", 1), confirm("a", "2")], {}, id="nothing withdrawn"),
        pytest.param(
            [given_(), intent("a", "2", 1), confirm("a", "2"), withdraw(1)], {3: [(1, 4)]}, id="withdrawn"
        ),
        pytest.param(
            [given_(), given_(), intent("a", "2", 1), confirm("a", "2"), withdraw(2)],
            {4: []},
            id="withdrawn, but not stood on",
        ),
        pytest.param(
            [given_(), intent("a", "2", 1), withdraw(1)], {}, id="an intent alone promotes nothing"
        ),
        pytest.param([given_(), confirm("a", "2"), withdraw(1)], {}, id="a confirmation of no intent"),
        pytest.param(
            [given_(), intent("a", "2", 1), ("abandon", "fraud", {"decision": "a", "to": "2"}), withdraw(1)],
            {},
            id="an intent that was given up",
        ),
        pytest.param(
            [
                given_(), given_(BEN), intent("a", "2", 1), confirm("a", "2"), intent("b", "3", 2),
                confirm("b", "3"), withdraw(2), withdraw(1),
            ],
            {4: [(1, 8)], 6: [(2, 7)]},
            id="two versions, each on its own",
        ),
        pytest.param(
            [
                given_(), intent("a", "2", 1), confirm("a", "2"), intent("b", "3"), confirm("b", "3"),
                intent("c", "2", kind="reinstate"), confirm("c", "2"), withdraw(1),
            ],
            {3: [(1, 8)], 5: [], 7: [(1, 8)]},
            id="put back: on what it was promoted on",
        ),
        pytest.param(
            [
                given_(), given_(BEN), intent("a", "2", 1), confirm("a", "2"), intent("b", "2", 2),
                confirm("b", "2"), withdraw(1),
            ],
            {4: [(1, 7)], 6: []},
            id="promoted again on another answer",
        ),
        pytest.param(
            [
                given_(), intent("a", "2", 1), confirm("a", "2"),
                intent("b", "2", product="cards", kind="reinstate"), confirm("b", "2", "cards"), withdraw(1),
            ],
            {3: [(1, 6)]},
            id="the same number of another product",
        ),
    ],
)  # fmt: skip
def test_what_is_behind_each_confirmation(
    lines: list[Line], behind: dict[int, list[tuple[int, int]]]
) -> None:
    assert sequences(withdrawn_behind(ledger_of(*lines))) == behind


def test_an_intent_is_refused_when_an_answer_is_gone() -> None:
    entries = ledger_of(given_(), given_(), withdraw(1))
    still_given({2})(entries)
    still_given(())(entries)
    with pytest.raises(WithdrawnMeanwhile):
        still_given({1, 2})(entries)


def test_a_withdrawal_is_told_in_one_sentence() -> None:
    answer, withdrawal = ledger_of(given_(), withdraw(1))
    assert told_since([(answer, withdrawal)]) == [
        f"approval 1 of {ANA} was withdrawn since by {BEN} at 2026-01-02T10:00:00Z: seen again (ledger entry 2)"
    ]


# -- decisions from before gates named their answers


def waived(key: str = "leakage", by: str | None = ANA) -> dict[str, Any]:
    return {"key": key, "waived_by": by}


def gate_waiver(
    by: str = ANA,
    key: str = "gate/leakage",
    version: str = "2",
    product: str = PROMOTION,
    kind: str = "waiver",
) -> Line:
    return kind, product, {"by": by, "kind": key, "partition": version}


def approved(
    evidence: str | None = "e", version: str = "2", product: str = "fraud", kind: str = "approval"
) -> Line:
    return kind, product, {"by": BEN, "version": version, "evidence": evidence}


APPROVAL_GATE = {"key": "approval", "evidence_id": "e"}


@pytest.mark.parametrize(
    ("gate", "line", "fits"),
    [
        pytest.param(waived(), gate_waiver(), True, id="its waiver"),
        pytest.param(waived(), gate_waiver(by=BEN), False, id="of another person"),
        pytest.param(waived(by=BEN), gate_waiver(), False, id="waived by another person"),
        pytest.param(waived(), gate_waiver(key="gate/parity"), False, id="of another gate"),
        pytest.param(waived("parity"), gate_waiver(), False, id="another gate's"),
        pytest.param(waived(), gate_waiver(version="3"), False, id="of a later version"),
        pytest.param(waived(), gate_waiver(version="1"), False, id="of an earlier version"),
        pytest.param(
            waived(), gate_waiver(product="products/cards/promotion"), False, id="of an earlier product"
        ),
        pytest.param(waived(), gate_waiver(product="products/xyz/promotion"), False, id="of a later product"),
        pytest.param(waived(), gate_waiver(kind="approval"), False, id="an approval is no waiver"),
        pytest.param(waived(), gate_waiver(kind="withdrawal"), False, id="nor is a withdrawal"),
        pytest.param(waived(by=None), gate_waiver(), False, id="not waived"),
        pytest.param(waived("approval"), approved(), False, id="a waived approval stands on its waiver"),
        pytest.param(APPROVAL_GATE, approved(), True, id="its approval"),
        pytest.param(APPROVAL_GATE, approved("f"), False, id="of later evidence"),
        pytest.param(APPROVAL_GATE, approved("d"), False, id="of earlier evidence"),
        pytest.param(APPROVAL_GATE, approved(version="3"), False, id="approved: another version"),
        pytest.param(APPROVAL_GATE, approved(product="cards"), False, id="approved: an earlier product"),
        pytest.param(APPROVAL_GATE, approved(product="goods"), False, id="approved: a later product"),
        pytest.param(APPROVAL_GATE, approved(kind="waiver"), False, id="a waiver is no approval"),
        pytest.param(APPROVAL_GATE, approved(kind="a"), False, id="nor is a note"),
        pytest.param({"key": "parity", "evidence_id": "e"}, approved(), False, id="a gate that passed"),
        pytest.param({"key": "a", "evidence_id": "e"}, approved(), False, id="another that passed"),
    ],
)
@pytest.mark.parametrize("named", ["to", "version"])
def test_of_an_older_decision_what_fits_is_what_it_stood_on(
    gate: dict[str, Any], line: Line, fits: bool, named: str
) -> None:
    """The same line after the decision is nothing that it stood on."""
    decision = ("intent", "fraud", {"decision": "a", named: "2", "gates": [{"key": "floor"}, gate]})
    entries = ledger_of(line, decision, line)
    assert answers_of(entries[1], entries) == ({1} if fits else set())


def test_a_decision_without_gates_stands_on_nothing() -> None:
    (entry,) = ledger_of(("intent", "fraud", {"decision": "a", "to": "2"}))
    assert answers_of(entry, [entry]) == set()


def test_a_decision_stands_on_the_answers_of_all_its_gates() -> None:
    gates = [{"key": "leakage", "answers": [1]}, {"key": "approval", "answers": [2, 3]}, waived()]
    entries = ledger_of(gate_waiver(), given_(), given_(), ("intent", "fraud", {"to": "2", "gates": gates}))
    assert answers_of(entries[3], entries) == {1, 2, 3}
