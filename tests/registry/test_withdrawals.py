"""A waiver or an approval is taken back: no later decision counts it, an earlier promotion stands and is told."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from registry_world import DAYS, GATES, SPLIT_ID

from platform_assets.__main__ import main
from platform_assets.automation.product_observation import _is_decided
from platform_assets.command_line import withdrawals as command
from platform_assets.errors import Blocked, UnknownName
from platform_assets.evidence.evidence import Evidence, Verdict
from platform_assets.evidence.ledger import Entry
from platform_assets.evidence.waiver import record_waiver
from platform_assets.evidence.withdrawal import record_withdrawal
from platform_assets.lineage.garbage import garbage
from platform_assets.lineage.raw_day import used_by
from platform_assets.lineage.verification import verify
from platform_assets.registry import promotion
from platform_assets.registry.approval import record_approval
from platform_assets.registry.champion import champion, reinstate
from platform_assets.registry.ledger_page import ledger_page
from platform_assets.registry.timeline import explain, timeline
from platform_assets.registry.who_may_withdraw import champions_on, who_may_withdraw
from platform_assets.registry.withdrawn_answers import withdrawn_behind

ANA, BEN, CY, DATA = "ana@fraud.example", "ben@risk.example", "cy@risk.example", "ana@data.example"
TODAY = datetime.now(UTC).date()
SOON = TODAY + timedelta(days=5)
LEAKAGE = {"kind": "leakage", "waivable_by": [ANA, CY]}
APPROVAL = {"kind": "approval", "approvers": [BEN, CY]}
PRODUCT = "payment_fraud"


def held_to(world, *gates, **verdicts):
    """A candidate, version 2, trained under the usual gates with these in their place, and decided once."""
    kinds = [declared["kind"] for declared in gates]
    world = world.with_product(gates=[*(g for g in GATES if g["kind"] not in kinds), *gates])
    world.train()
    world.register()
    world.give_evidence(**verdicts)
    assert not world.promote().promoted
    return world


def waive(world, key="leakage", by=ANA, reason="known and harmless"):
    evidence = world.stores.evidence.latest(f"gate/{key}", f"products/{PRODUCT}/promotion", "2")
    return record_waiver(world.stores.ledger, evidence, by, reason, SOON)


def approve(world, by=BEN):
    return record_approval(world.stores.ledger, world.product, "2", by, "reviewed", SOON)


def withdraw(world, entry, by=None):
    return record_withdrawal(world.stores.ledger, entry.sequence, by or entry.actor, "I learned more")


def waived_raw_day(world, by=DATA):
    red = replace(world.evidence()[f"contract:{DAYS[0]}"], verdict=Verdict.FAILED, reason="too few rows")
    world.stores.evidence.record(red)
    return record_waiver(world.stores.ledger, red, "team:data", "known outage", SOON, by=by)


# -- before a promotion: the decision does without it


def test_a_withdrawn_approval_is_none(world):
    world = held_to(world, APPROVAL)
    withdraw(world, approve(world))
    refused = world.promote()
    assert refused.outcome == "refused"
    assert "0 of 1 approvals" in refused.reason
    assert world.alias is None
    approve(world)
    assert world.promote().promoted, "a word can be given again"


def test_a_withdrawn_waiver_leaves_the_gate_red(world):
    world = held_to(world, LEAKAGE, leakage=Verdict.FAILED)
    withdraw(world, waive(world))
    assert world.promote().outcome == "refused"


def test_a_withdrawn_waiver_of_a_raw_day_refuses_every_version_it_reaches(world):
    waiver = waived_raw_day(world)
    record_withdrawal(world.stores.ledger, waiver.sequence, DATA, "it was no outage")
    refused = world.promote()
    assert refused.outcome == "refused"
    assert "too few rows" in refused.reason


def test_an_approval_does_not_outlive_the_waiver_it_was_given_on(world):
    """Given anew with another reason, the waiver is another exception: whoever approves looks again."""
    world = held_to(world, LEAKAGE, APPROVAL, leakage=Verdict.FAILED)
    waiver = waive(world)
    world.promote()
    approve(world)
    withdraw(world, waiver)
    assert world.promote().outcome == "refused"
    waive(world, reason="looked at again")
    assert "0 of 1 approvals" in world.promote().reason
    approve(world)
    assert world.promote().promoted


def test_there_is_nothing_to_approve_on_a_waiver_that_was_withdrawn(world):
    world = held_to(world, LEAKAGE, APPROVAL, leakage=Verdict.FAILED)
    waiver = waive(world)
    world.promote()
    withdraw(world, waiver)
    with pytest.raises(Blocked, match=rf"stands on waiver {waiver.sequence}, which {ANA} withdrew"):
        approve(world)


def test_what_is_withdrawn_while_it_is_decided_does_not_count(world, monkeypatch):
    """The gates were decided, the intent is not yet in the ledger."""
    world = held_to(world, APPROVAL)
    approval = approve(world)
    really = promotion.move
    moved = []

    def move_after_a_withdrawal(*arguments, **options):
        if not moved:
            withdraw(world, approval)
        moved.append(True)
        return really(*arguments, **options)

    monkeypatch.setattr(promotion, "move", move_after_a_withdrawal)
    decision = world.promote()
    assert decision.outcome == "refused"
    assert "0 of 1 approvals" in decision.reason
    assert len(moved) == 1, "decided again, and refused before it came to moving"
    assert world.kinds()[-3:] == ["approval", "withdrawal", "refusal"]
    assert world.alias is None


@pytest.mark.parametrize("kind", ["approval", "waiver", "raw day"])
def test_the_sensors_decide_a_refused_version_again(world, kind):
    world = held_to(world, LEAKAGE, APPROVAL, leakage=Verdict.FAILED)
    waiver = waive(world)
    raw = waived_raw_day(world)
    world.promote()
    named = {"approval": approve(world), "waiver": waiver, "raw day": raw}[kind]
    parity = world.stores.evidence.latest("parity", f"products/{PRODUCT}/parity_report")
    world.stores.ledger.append(
        "refusal", PRODUCT, "x", {**world.stores.ledger.entries(PRODUCT, "refusal")[-1].body}
    )
    lineage = world.table("registered_model").document(SPLIT_ID)
    assert _is_decided(world.stores.ledger.entries(), world.product, lineage, parity)
    record_withdrawal(
        world.stores.ledger, named.sequence, named.body.get("by", named.actor), "I learned more"
    )
    assert not _is_decided(world.stores.ledger.entries(), world.product, lineage, parity)


# -- after a promotion: it stands, and everybody is told


@pytest.fixture
def promoted(world):
    """Version 2 is champion on Ana's waiver of a gate, a waived raw day and Ben's approval."""
    world = held_to(world, LEAKAGE, APPROVAL, leakage=Verdict.FAILED)
    waive(world)
    waived_raw_day(world)
    world.promote()
    approve(world)
    assert world.promote().promoted
    return world


def given(world, kind, product=None):
    entries = world.stores.ledger.entries(kind=kind)
    return next(e for e in entries if product is None or e.product == product)


def raw_waiver(world):
    return given(world, "waiver", "raw/payments")


@pytest.mark.parametrize("which", ["waiver", "approval", "raw day"])
def test_a_promotion_made_before_stands_and_what_it_stood_on_is_told(promoted, which):
    named = raw_waiver(promoted) if which == "raw day" else given(promoted, which)
    gone = record_withdrawal(
        promoted.stores.ledger, named.sequence, named.body.get("by", named.actor), "I learned more"
    )
    assert champion(promoted.stores, promoted.product).version == "2"
    assert promoted.alias == "2"
    entries = promoted.stores.ledger.entries()
    told = (
        f"{named.kind} {named.sequence} of {named.body.get('by', named.actor)} was withdrawn since by "
        f"{named.body.get('by', named.actor)} at {gone.at[:19]}Z: I learned more (ledger entry {gone.sequence})"
    )
    why = explain(entries, PRODUCT, "2")
    assert f"  WITHDRAWN {told}" in why
    events = timeline(entries, PRODUCT, "payments")
    live = next(event for event in events if event.what == "champion")
    assert told in live.detail
    shown = next(event for event in events if event.sequence == named.sequence)
    assert (
        f"(withdrawn by {gone.body['by']} at {gone.at[:19]}Z, ledger entry {gone.sequence})" in shown.detail
    )
    assert events[0].what == "withdrawal"
    assert events[0].detail.endswith("I learned more")
    page = ledger_page(PRODUCT, events, promoted.stores.ledger.head)
    assert '<span class="what withdrawal">withdrawal</span>' in page
    assert "was withdrawn since by" in page
    again = promoted.promote()
    assert again.outcome == "already_champion"
    assert told in again.reason
    assert champions_on(entries, named.sequence) == {PRODUCT: "2"}
    assert verify(promoted.stores).broken == []


def test_nothing_withdrawn_nothing_told(promoted):
    entries = promoted.stores.ledger.entries()
    assert withdrawn_behind(entries) == {}
    assert promoted.promote().reason == "already champion"
    assert not any("WITHDRAWN" in line for line in explain(entries, PRODUCT, "2"))
    # of another version: the champion does not stand on it
    other = record_waiver(
        promoted.stores.ledger, replace(promoted.evidence()["leakage"], reason="x"), ANA, "later", SOON
    )
    record_withdrawal(promoted.stores.ledger, other.sequence, ANA, "not needed")
    entries = promoted.stores.ledger.entries()
    assert set(map(tuple, withdrawn_behind(entries).values())) == {()}
    assert champions_on(entries, other.sequence) == {}


def test_a_champion_put_back_stands_on_what_it_was_promoted_on(promoted):
    approval = given(promoted, "approval")
    withdraw(promoted, approval)
    promoted.mlflow().delete_registered_model_alias(PRODUCT, "champion")
    reinstate(promoted.stores, promoted.product, BEN, "a hand slipped")
    entries = promoted.stores.ledger.entries()
    assert [e.sequence for e, _ in withdrawn_behind(entries)[entries[-1].sequence]] == [approval.sequence]
    assert champions_on(entries, approval.sequence) == {PRODUCT: "2"}


def test_a_decision_recorded_before_answers_were_named_is_told_too(promoted):
    """An older ledger's gates name no entries: those that fit are taken."""
    entries = [
        replace(
            e,
            body={
                **e.body,
                "gates": [{k: v for k, v in g.items() if k != "answers"} for g in e.body["gates"]],
            },
        )
        if e.body.get("gates")
        else e
        for e in promoted.stores.ledger.entries()
    ]
    approval, waiver = given(promoted, "approval"), given(promoted, "waiver", f"products/{PRODUCT}/promotion")
    for named in (approval, waiver):
        number = len(entries) + 1
        entries.append(
            Entry(number, "withdrawal", named.product, named.actor, "2999", {"entry": named.sequence}, "")
        )
    (found,) = withdrawn_behind(entries).values()
    assert {e.sequence for e, _ in found} == {approval.sequence, waiver.sequence}


def test_another_version_is_held_to_what_still_stands(promoted):
    """The raw day's waiver made version 2 champion; version 3 is not promoted on it any more."""
    record_withdrawal(promoted.stores.ledger, raw_waiver(promoted).sequence, DATA, "it was no outage")
    promoted.train(regularisation=0.3)
    assert promoted.register() == "3"
    decision = promoted.promote()
    assert decision.outcome == "refused"
    assert next(g for g in decision.gates if g.key == "contract").verdict is Verdict.FAILED
    assert promoted.alias == "2"


def test_neither_garbage_nor_impact_reads_a_withdrawal(promoted):
    before = garbage(promoted.stores, keep_days=1), used_by(promoted.stores, "payments", DAYS[0])
    withdraw(promoted, given(promoted, "approval"))
    assert (garbage(promoted.stores, keep_days=1), used_by(promoted.stores, "payments", DAYS[0])) == before


# -- who may


def test_those_who_could_have_given_it_and_the_owners_may_withdraw(promoted):
    of_gate = given(promoted, "waiver", f"products/{PRODUCT}/promotion")
    may = [
        who_may_withdraw(entry, promoted.product, promoted.repository)
        for entry in (of_gate, given(promoted, "approval"), raw_waiver(promoted))
    ]
    assert may == [{ANA, CY, "team:fraud"}, {BEN, CY, "team:fraud"}, {"team:data"}]


def test_an_entry_about_something_else_is_told(promoted):
    other = replace(given(promoted, "approval"), product="cards")
    with pytest.raises(Blocked, match="is about product cards, not payment_fraud"):
        who_may_withdraw(other, promoted.product, promoted.repository)
    other = replace(raw_waiver(promoted), product="raw/orders")
    with pytest.raises(Blocked, match="is about raw/orders, which product payment_fraud does not know"):
        who_may_withdraw(other, promoted.product, promoted.repository)


# -- the command line


@pytest.fixture
def at_home(promoted, monkeypatch):
    """The command line on the world's home; its product is declared in no file."""
    monkeypatch.setenv("PLATFORM_HOME", str(promoted.stores.home.root))

    def declared(name):
        if name not in (PRODUCT, None):
            raise UnknownName.among("product", name, [PRODUCT])
        return promoted.product, promoted.repository, None

    monkeypatch.setattr(command, "find_product", declared)
    return promoted


def withdraw_by_command(entry, by, *more):
    return main(["withdraw", str(entry), "--by", by, "--reason", "I learned more", *more])


def test_the_command_withdraws_and_names_the_champion_that_stays(at_home, capsys, monkeypatch):
    approval = given(at_home, "approval")
    monkeypatch.setattr(command, "find_product", lambda name: pytest.fail("who gave it needs no declaration"))
    assert withdraw_by_command(approval.sequence, BEN) == 0
    told = capsys.readouterr().out
    gone = at_home.stores.ledger.entries()[-1]
    assert f"{BEN} withdrew approval {approval.sequence} of {BEN}: ledger entry {gone.sequence}" in told
    assert "payment_fraud: champion version 2 was promoted on it and stays champion" in told


def test_the_command_names_the_contract_that_stays_in_force(at_home, capsys):
    """A contract that took effect by an owner's word is not undone by taking that word back."""
    stores = at_home.stores
    change = Evidence("contract_change", "raw/payments", Verdict.FAILED, "3 days", {}, "4d2a")
    words = [record_waiver(stores.ledger, change, "team:data", "wrong days", SOON, by=BEN) for _ in range(2)]
    stores.lake.table("contracts/payments").write_document(
        "in_force", {}, code_version="1", inputs={}, cause="test",
        notes={"version": "4d2a", "accepted": words[1].sequence},
    )  # fmt: skip
    stays = "payments: contract 4d2a took effect by it and stays in force; declare another contract"
    for word, told in zip(words, (False, True), strict=True):
        assert withdraw_by_command(word.sequence, BEN) == 0
        assert (stays in capsys.readouterr().out) is told


@pytest.mark.parametrize(
    ("which", "by", "more", "told"),
    [
        ("approval", CY, [], None),
        ("waiver", CY, [], None),
        (
            "waiver",
            BEN,
            [],
            "may be withdrawn by ana@fraud.example, who gave it, or by cy@risk.example, team:fraud",
        ),
        ("waiver", BEN, ["--owner", "team:fraud"], None),
        ("raw day", BEN, [], "may be withdrawn by ana@data.example, who gave it, or by team:data"),
        ("raw day", BEN, ["--owner", "team:data"], None),
        ("approval", CY, ["--product", "cards"], "no product 'cards'"),
    ],
    ids=["approver", "may waive", "stranger", "owning team", "no owner", "source's team", "another product"],
)
def test_the_command_asks_who_may(at_home, capsys, which, by, more, told):
    entry = raw_waiver(at_home) if which == "raw day" else given(
        at_home, which, None if which == "approval" else f"products/{PRODUCT}/promotion"
    )  # fmt: skip
    assert withdraw_by_command(entry.sequence, by, *more) == (1 if told else 0)
    if told:
        assert told in capsys.readouterr().err
    assert (at_home.stores.ledger.entries()[-1].kind == "withdrawal") is not bool(told)


def test_the_command_tells_what_cannot_be_withdrawn(at_home, capsys):
    assert withdraw_by_command(99, BEN) == 1
    assert "ledger entry 99 does not exist" in capsys.readouterr().err
    assert withdraw_by_command(1, BEN) == 1
    assert "is of kind refusal" in capsys.readouterr().err
    approval = given(at_home, "approval").sequence
    assert withdraw_by_command(approval, "team:risk") == 1
    assert "needs a person" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        withdraw_by_command("seven", BEN)


def test_champion_why_and_ledger_tell_it(at_home, capsys, monkeypatch):
    from platform_assets.command_line import champions, lineage

    for module in (champions, lineage):
        monkeypatch.setattr(module, "find_product", command.find_product)
    approval = given(at_home, "approval")
    assert main(["champion"]) == 0
    assert "withdrawn" not in capsys.readouterr().out
    withdraw(at_home, approval)
    assert main(["champion"]) == 0
    assert (
        f"\n  approval {approval.sequence} of {BEN} was withdrawn since by {BEN}" in capsys.readouterr().out
    )
    assert main(["why", "2"]) == 0
    assert f"  WITHDRAWN approval {approval.sequence}" in capsys.readouterr().out
    assert main(["why", "2", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[-1]["kind"] == "withdrawal"
    assert main(["ledger"]) == 0
    assert (
        f"withdrawal       2 {BEN}: approval {approval.sequence}: I learned more" in capsys.readouterr().out
    )


# -- verify


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"entry": 999, "hash": "x"}, "withdraws entry 999 (x), which is no standing waiver or approval"),
        ({"entry": 1, "hash": "x"}, "withdraws entry 1 (x)"),
        ({"entry": "approval", "hash": "x"}, "which is no standing waiver or approval"),
        ({}, "withdraws entry None"),
    ],
    ids=["unknown", "another kind", "another hash", "nothing"],
)
def test_a_withdrawal_that_this_library_did_not_write_is_noticed(promoted, body, told):
    if body.get("entry") == "approval":
        body = {**body, "entry": given(promoted, "approval").sequence}
    promoted.stores.ledger.append("withdrawal", PRODUCT, "me", body)
    (problem,) = verify(promoted.stores).broken
    assert told in problem


def test_a_second_withdrawal_and_a_promotion_on_what_was_gone_are_noticed(promoted):
    approval = given(promoted, "approval")
    gone = withdraw(promoted, approval)
    assert verify(promoted.stores).broken == []
    promoted.stores.ledger.append("withdrawal", PRODUCT, "me", gone.body)
    intent = promoted.stores.ledger.entries(PRODUCT, "intent")[-1]
    promoted.stores.ledger.append("intent", PRODUCT, "me", intent.body)
    problems = verify(promoted.stores).broken
    assert any(f"withdraws entry {approval.sequence}" in p for p in problems)
    assert any(f"by entry {approval.sequence}, which was withdrawn before" in p for p in problems)
