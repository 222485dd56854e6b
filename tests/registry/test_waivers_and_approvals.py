"""People answer for a version: by name, with a reason and an end, for exactly what they saw."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from registry_world import GATES, SPLIT_ID

from platform_assets.__main__ import main
from platform_assets.automation.product_observation import observe_product, observe_registration
from platform_assets.errors import Blocked
from platform_assets.evidence.evidence import Verdict
from platform_assets.evidence.waiver import record_waiver
from platform_assets.registry.approval import record_approval

ANA, BEN = "ana@fraud.example", "ben@risk.example"
TODAY = datetime.now(UTC).date()
SOON = TODAY + timedelta(days=5)
LEAKAGE = {"kind": "leakage", "waivable_by": [ANA]}
APPROVAL = {"kind": "approval", "approvers": [ANA, BEN]}


def held_to(world, *gates, **verdicts):
    """A candidate trained under the usual gates with these in their place, and the evidence given."""
    kinds = [declared["kind"] for declared in gates]
    world = world.with_product(gates=[*(g for g in GATES if g["kind"] not in kinds), *gates])
    world.train()
    world.register()
    world.give_evidence(**verdicts)
    return world


def gate(decision, key):
    return next(g for g in decision.gates if g.key == key)


def waive(world, key="leakage", by=ANA):
    evidence = world.stores.evidence.latest(f"gate/{key}", "products/payment_fraud/promotion", "2")
    return record_waiver(world.stores.ledger, evidence, by, "known and harmless", SOON)


def approve(world, by, expires=SOON):
    return record_approval(world.stores.ledger, world.product, "2", by, "reviewed with the squad", expires)


# -- waivers of gates


def test_a_waived_failure_promotes_and_stays_a_failure_to_see(world):
    world = held_to(world, LEAKAGE, leakage=Verdict.FAILED)
    assert world.promote().outcome == "refused"
    waive(world)
    decision = world.promote()
    assert decision.outcome == "promoted"
    assert "leakage by waiver" in decision.reason
    found = gate(decision, "leakage")
    assert found.verdict is Verdict.FAILED
    assert (found.waived_by, ANA in found.told, "known and harmless" in found.told) == (ANA, True, True)
    told = world.stores.ledger.entries("payment_fraud", "intent")[-1].body["gates"]
    assert next(g for g in told if g["key"] == "leakage")["waived_by"] == ANA


def test_nobody_may_waive_a_gate_that_does_not_say_so(world):
    world = held_to(world, {"kind": "leakage", "rows": 150}, leakage=Verdict.FAILED)
    world.promote()
    waive(world)
    assert world.promote().outcome == "refused"


def test_a_stranger_may_not_waive(world):
    world = held_to(world, LEAKAGE, leakage=Verdict.FAILED)
    world.promote()
    waive(world, by=BEN)
    assert world.promote().outcome == "refused"


def test_what_could_not_be_measured_cannot_be_waived(world):
    world = held_to(world, LEAKAGE, leakage=Verdict.UNKNOWN)
    world.promote()
    waive(world)
    assert world.promote().outcome == "refused"


def test_a_waiver_does_not_cover_the_next_finding(world):
    world = held_to(world, LEAKAGE, leakage=Verdict.FAILED)
    world.promote()
    waive(world)
    worse = replace(world.evidence()["leakage"], verdict=Verdict.FAILED, reason="another column leaks")
    world.stores.evidence.record(worse)
    assert "another column leaks" in world.promote().reason


# -- approvals


def test_no_promotion_before_somebody_said_yes(world):
    world = held_to(world, APPROVAL)
    refused = world.promote()
    assert refused.outcome == "refused"
    assert "approval FAILED: 0 of 1 approvals" in refused.reason
    assert "platform-assets approve --product payment_fraud --version 2" in refused.reason
    approve(world, BEN)
    decision = world.promote()
    assert decision.outcome == "promoted"
    assert gate(decision, "approval").reason.startswith(f"approved by {BEN} until {SOON}")


def test_two_approvals_are_two_people(world):
    world = held_to(world, {**APPROVAL, "count": 2})
    world.promote()
    approve(world, BEN)
    approve(world, BEN)
    assert "1 of 2 approvals" in world.promote().reason
    approve(world, ANA)
    assert world.promote().promoted


def test_new_evidence_voids_an_approval(world):
    world = held_to(world, APPROVAL)
    world.promote()
    approve(world, BEN)
    seen = world.evidence()["leakage"]
    world.stores.evidence.record(replace(seen, verdict=Verdict.PASSED, reason="measured again, otherwise"))
    assert "0 of 1 approvals" in world.promote().reason


def test_an_ended_approval_is_none(world):
    world = held_to(world, {**APPROVAL, "approvers": [BEN]})
    refused = world.promote()
    evidence = gate(refused, "approval").evidence_id
    for end, outcome in ((TODAY - timedelta(days=1), "refused"), (TODAY, "promoted")):
        body = {"version": "2", "evidence": evidence, "reason": "yes", "expires": end.isoformat()}
        world.stores.ledger.append("approval", "payment_fraud", BEN, body)
        assert world.promote().outcome == outcome


def test_who_waived_does_not_approve(world):
    world = held_to(world, LEAKAGE, APPROVAL, leakage=Verdict.FAILED)
    world.promote()
    waive(world, by=ANA)
    world.promote()
    with pytest.raises(Blocked, match="waived a gate of version 2; somebody else"):
        approve(world, ANA)
    approve(world, BEN)
    assert world.promote().promoted


@pytest.mark.parametrize(
    ("by", "reason", "expires", "told"),
    [
        ("team:risk", "yes", SOON, "needs a person"),
        ("bem@risk.example", "yes", SOON, "did you mean 'ben@risk.example'"),
        (BEN, " ", SOON, "reason that others can judge"),
        (BEN, "yes", TODAY - timedelta(days=1), "covers nothing"),
        (BEN, "yes", TODAY + timedelta(days=400), "no exception any more"),
        (BEN, "yes", "tomorrow", "needs an end date such as 2026-12-31, not 'tomorrow'"),
    ],
    ids=["a team", "no approver", "no reason", "past", "for ever", "no date"],
)
def test_an_incomplete_approval_is_refused(world, by, reason, expires, told):
    world = held_to(world, APPROVAL)
    world.promote()
    with pytest.raises(Blocked, match=told):
        record_approval(world.stores.ledger, world.product, "2", by, reason, expires)
    assert world.stores.ledger.entries(kind="approval") == []


def test_an_approval_needs_a_decision_with_nothing_else_red(world):
    world = held_to(world, APPROVAL, leakage=Verdict.FAILED)
    with pytest.raises(Blocked, match="materialize promotion first"):
        approve(world, BEN)
    world.promote()
    with pytest.raises(Blocked, match="leakage did not pass in decision 1; there is nothing to approve"):
        approve(world, BEN)


def test_a_product_without_the_gate_takes_no_approval(world):
    with pytest.raises(Blocked, match="declares no gate of kind approval"):
        approve(world, BEN)


# -- whom a decision is about


def test_going_back_to_an_earlier_split_goes_back_to_its_version(world):
    """A -> B -> A: the version registered last is B's, the one declared is A's."""
    later = world.table("registered_model").manifest("2024-01-01_2_1_2")
    lineage = world.table("registered_model").document_of(later)
    world.table("registered_model").write_document(
        "2024-01-01_1_1_1",
        {**lineage, "version": "9"},
        code_version="1",
        inputs={},
        cause="test",
        notes={"version": "9"},
    )
    assert world.promote().version == "1"


@pytest.mark.parametrize("command", ["waive --gate leakage", "approve"])
def test_an_end_that_is_no_date_is_told_on_the_command_line(command, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PLATFORM_HOME", str(tmp_path))
    words = [*command.split(), "--version", "2", "--by", ANA, "--reason", "r", "--expires", "tomorrow"]
    assert main(words) == 1
    assert "Traceback" not in (told := capsys.readouterr().err)
    assert told.startswith("\nerror: ")


# -- what asks for a decision


def asked_for(world):
    """Whether the plan has a promotion to do."""
    works = observe_product(world.stores, world.repository, world.product)
    return any(work.asset == (world.product.name, "promotion") and work.days for work in works)


def test_an_answer_that_changes_nothing_is_decided_on_once(world):
    world = held_to(world, LEAKAGE, {"kind": "contract"}, leakage=Verdict.FAILED, contract=Verdict.FAILED)
    world.promote()
    assert not asked_for(world)
    waive(world, by=BEN)  # who may not
    assert asked_for(world)
    assert world.promote().outcome == "refused"
    assert not asked_for(world)


def test_an_answer_about_another_product_asks_for_nothing(world):
    world = held_to(world, LEAKAGE, leakage=Verdict.FAILED)
    world.promote()
    evidence = world.stores.evidence.latest("gate/leakage", "products/payment_fraud/promotion", "2")
    elsewhere = replace(evidence, subject="products/another/promotion")
    record_waiver(world.stores.ledger, elsewhere, ANA, "known and harmless", SOON)
    assert not asked_for(world)


def test_another_contract_asks_for_the_registration_and_then_for_the_decision(world):
    """It came in force between the registration and the promotion: nobody has to register by hand."""
    price = {"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "amount"}}
    world.suite_path.write_text(json.dumps({"expectations": [price]}))
    world = held_to(world, APPROVAL)
    assert world.promote().outcome == "refused"

    def to_register():
        return observe_registration(
            world.stores, world.repository, world.product, world.table("registered_model").document(SPLIT_ID)
        )

    assert to_register() == []
    world.suite_path.write_text(json.dumps({"expectations": [price | {"severity": "warning"}]}))
    assert "contract changed since registration" in world.promote().reason
    (work,) = to_register()
    assert (work.asset, work.reason) == (
        ("payment_fraud", "registered_model"),
        "another contract is in force since the model was registered",
    )
    assert not asked_for(world)
    world.register()
    assert to_register() == []
    assert asked_for(world)
    world.give_evidence()
    assert [gate.key for gate in world.promote().gates if not gate.holds] == ["approval"]
    assert not asked_for(world)
    approve(world, BEN)
    assert asked_for(world)
    assert world.promote().promoted
    assert not asked_for(world)


def test_a_contract_that_cannot_be_read_asks_for_no_registration(world):
    registered = world.table("registered_model").document(SPLIT_ID)
    world.suite_path.write_text("{")
    assert observe_registration(world.stores, world.repository, world.product, registered) == []
