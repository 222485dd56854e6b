"""Waivers and approvals that a decision stands on, and which of them were withdrawn since."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from platform_assets.evidence.ledger import Entry, to_the_second
from platform_assets.evidence.standing import APPROVAL, WAIVER, giver, version_of, withdrawals, withdrawn_of
from platform_assets.vocabulary import product_table


class WithdrawnMeanwhile(Exception):
    """Something that a decision stands on was withdrawn before the decision entered the ledger."""


def still_given(answers: Collection[int]) -> Callable[[Sequence[Entry]], None]:
    """A check of the ledger before an intent: raises WithdrawnMeanwhile when one of the entries is gone."""

    def check(entries: Sequence[Entry]) -> None:
        if withdrawn_of(entries, answers):
            raise WithdrawnMeanwhile

    return check


def withdrawn_behind(entries: Sequence[Entry]) -> dict[int, list[tuple[Entry, Entry]]]:
    """By the sequence of each confirmation, what its promotion stands on and was withdrawn.

    Each with its withdrawal. `entries` are the whole ledger's. A version whose alias was put back
    stands on what it was promoted on.
    """
    found: dict[int, list[tuple[Entry, Entry]]] = {}
    intents: dict[str, Entry] = {}
    promoted: dict[tuple[str, str], Entry] = {}
    if not withdrawals(entries):
        return found
    for entry in entries:
        decision = str(entry.body.get("decision"))
        if entry.kind == "intent":
            intents[decision] = entry
        elif entry.kind == "confirm":
            version = (entry.product, str(entry.body.get("to")))
            promoted |= {version: intents[decision]} if decision in intents else {}
            if version in promoted:
                found[entry.sequence] = withdrawn_of(entries, answers_of(promoted[version], entries))
    return found


def answers_of(decision: Entry, entries: Sequence[Entry]) -> set[int]:
    """Sequences of the waivers and approvals that a decision's gates hold by."""
    found: set[int] = set()
    for gate in decision.body.get("gates", ()):
        found.update(gate["answers"] if "answers" in gate else _matching(gate, decision, entries))
    return found


def told_since(withdrawn: Sequence[tuple[Entry, Entry]]) -> list[str]:
    """One sentence a withdrawal."""
    return [
        f"{answer.kind} {answer.sequence} of {giver(answer)} was withdrawn since by {giver(withdrawal)} at "
        f"{to_the_second(withdrawal.at)}: {withdrawal.body.get('reason', '')} "
        f"(ledger entry {withdrawal.sequence})"
        for answer, withdrawal in withdrawn
    ]


def _matching(gate: Mapping[str, Any], decision: Entry, entries: Sequence[Entry]) -> list[int]:
    """Of a decision that did not name them yet: those that fit the gate. Raw days' waivers are not known."""
    if not gate.get("waived_by") and gate["key"] != APPROVAL:
        return []
    version = str(decision.body.get("to") or decision.body.get("version"))
    earlier = [e for e in entries if e.sequence < decision.sequence and version_of(e) == version]
    if gate.get("waived_by"):
        return [
            e.sequence
            for e in earlier
            if e.kind == WAIVER
            and e.body.get("kind") == f"gate/{gate['key']}"
            and e.product == product_table(decision.product, "promotion")
            and giver(e) == gate["waived_by"]
        ]
    return [
        e.sequence
        for e in earlier
        if e.kind == APPROVAL
        and e.product == decision.product
        and e.body.get("evidence") == gate.get("evidence_id")
    ]
