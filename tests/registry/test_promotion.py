"""Promotion, and every way past it that we could think of."""

import json
import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from registry_world import DAYS, GATES, SPLIT_ID

from platform_assets.errors import Blocked, DeclarationError, LakeError, PromotionRefused
from platform_assets.evidence.evidence import Verdict
from platform_assets.evidence.waiver import record_waiver
from platform_assets.registry.champion import champion, champion_at, reinstate

SOON = (datetime.now(UTC).date() + timedelta(days=30)).isoformat()


def reasons(decision) -> str:
    return decision.reason


# -- the way it should go


def test_first_version_is_promoted_on_green_gates(world):
    decision = world.promote()
    assert (decision.outcome, decision.version, decision.champion) == ("promoted", "1", "1")
    assert [gate.key for gate in decision.gates] == [gate.key for gate in world.product.gates]
    assert {gate.verdict for gate in decision.gates} == {Verdict.PASSED}
    assert world.alias == "1"
    assert world.kinds() == ["intent", "confirm"]
    assert champion(world.stores, world.product).decision_id == decision.decision_id


def test_every_gate_decision_becomes_evidence(world):
    world.promote()
    for gate in world.product.gates:
        found = world.stores.evidence.latest(f"gate/{gate.key}", "products/payment_fraud/promotion", "1")
        assert found.verdict is Verdict.PASSED
        assert found.versions["gates"] == world.product.gates_version


def test_challenger_that_is_not_worse_replaces_the_champion(challenged):
    decision = challenged.promote()
    assert (decision.outcome, decision.champion, challenged.alias) == ("promoted", "2", "2")
    intent = challenged.stores.ledger.entries("payment_fraud", "intent")[-1]
    assert (intent.body["from"], intent.body["to"]) == ("1", "2")


def test_champion_is_not_promoted_twice(world):
    world.promote()
    before = world.kinds()
    assert world.promote().outcome == "already_champion"
    assert world.kinds() == before


def test_champion_trained_again_after_its_files_were_lost_is_confirmed_anew(world):
    world.promote()
    first = champion(world.stores, world.product)
    shutil.rmtree(world.stores.home.root / first.artifact_path)
    (world.table("training_run").folder / "manifests" / SPLIT_ID / "current").unlink()
    assert world.candidate(made_at="2025-01-01") == "1", "the same scores, saved as other bytes"
    assert world.promote().outcome == "promoted"
    again = champion(world.stores, world.product)
    assert (again.version, again.model_digest) == ("1", first.model_digest)
    assert again.artifact_digest != first.artifact_digest
    assert world.promote().outcome == "already_champion"


def test_nothing_registered_is_blocked(world):
    shutil.rmtree(world.table("registered_model").folder)
    with pytest.raises(Blocked, match="no version is registered"):
        world.promote()


def test_registering_again_finds_the_version_by_its_tag(world):
    shutil.rmtree(world.table("registered_model").folder)  # as if killed before the lineage was written
    assert world.register() == "1"
    assert world.promote().promoted


# -- red, and again


def test_worse_challenger_is_refused_also_in_a_second_run(challenged):
    version = challenged.candidate(noise=1.0, regularisation=1e-3)
    for _ in range(2):
        decision = challenged.promote()
        assert (decision.outcome, decision.version, decision.champion) == ("refused", version, "1")
        assert "not_worse_than_champion FAILED" in reasons(decision)
    assert challenged.alias == "1"
    assert challenged.kinds().count("refusal") == 1, "the same decision on the same evidence is no news"


@pytest.mark.parametrize("kind", ["feature_equality", "leakage", "parity", "contract"])
@pytest.mark.parametrize("verdict", [Verdict.FAILED, Verdict.UNKNOWN])
def test_red_or_unknown_evidence_refuses_in_every_run(world, kind, verdict):
    world.give_evidence(**{kind: verdict})
    for _ in range(2):
        decision = world.promote()
        assert decision.outcome == "refused"
        assert f"{kind} {verdict}" in reasons(decision)
    assert world.alias is None


def test_refusal_is_lifted_by_green_evidence_and_told_again_when_it_returns(world):
    world.give_evidence(leakage=Verdict.FAILED)
    assert not world.promote().promoted
    world.give_evidence()
    assert world.promote().promoted
    assert world.kinds() == ["refusal", "intent", "confirm"]


@pytest.mark.parametrize(
    "measured",
    [
        pytest.param({"roc_auc": 0.69, "average_precision": 0.9}, id="below the floor"),
        pytest.param({"roc_auc": None, "average_precision": 0.9}, id="not measured"),
        pytest.param({"roc_auc": float("nan")}, id="not a number"),
        pytest.param({"roc_auc": True}, id="a truth value"),
        pytest.param({"average_precision": 0.9}, id="absent"),
    ],
)
def test_floor_is_recomputed_from_the_measured_value(world, measured):
    world.stores.evidence.record(replace(world.evidence()["evaluation"], measured=measured))
    decision = world.promote()
    assert decision.outcome == "refused"
    assert "floor_roc_auc" in reasons(decision)


# -- without evidence, or with somebody else's


@pytest.mark.parametrize("kind", ["contract", "feature_equality", "leakage", "evaluation", "parity"])
def test_deleted_evidence_refuses(world, kind):
    shutil.rmtree(world.stores.evidence.root / kind)
    decision = world.promote()
    assert decision.outcome == "refused"
    assert "no evidence was recorded" in reasons(decision)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("feature_equality", "training_set"),
        ("leakage", "views"),
        ("evaluation", "model"),
        ("parity", "views"),
        ("parity", "online:spending"),
        (f"contract:{DAYS[0]}", "raw"),
        (f"contract:{DAYS[0]}", "contract"),
    ],
)
def test_evidence_of_other_versions_refuses_and_names_what_differs(world, kind, name):
    evidence = world.evidence()[kind]
    shutil.rmtree(world.stores.evidence.root / evidence.kind / evidence.subject / (evidence.partition or "_"))
    world.stores.evidence.record(replace(evidence, versions={**evidence.versions, name: "other"}))
    decision = world.promote()
    assert decision.outcome == "refused"
    assert f"{name} is other" in reasons(decision)


def test_evidence_that_cannot_be_read_refuses(world):
    for path in (world.stores.evidence.root / "leakage").rglob("*.json"):
        path.write_text("{")
    assert "leakage UNKNOWN" in reasons(world.promote())


def test_evidence_measured_with_weaker_settings_refuses(world):
    weak = replace(world.evidence()["feature_equality"], limits={"tolerance": 10.0})
    world.stores.evidence.record(weak)
    assert "measured with other settings: tolerance 10.0" in reasons(world.promote())


def test_parity_of_an_online_store_that_was_filled_since_refuses(world):
    world.stores.lake.table("online/spending").write_document(
        "current", {"filled": "later"}, code_version="1", inputs={}, cause="test"
    )
    assert "parity UNKNOWN" in reasons(world.promote())


def test_one_raw_day_without_evidence_refuses(world):
    shutil.rmtree(world.stores.evidence.root / "contract" / "raw" / "payments" / DAYS[2])
    assert f"{DAYS[2]}: no evidence" in reasons(world.promote())


def test_contract_changed_since_registration_refuses_until_it_was_evaluated_again(world):
    world.suite_path.write_text(world.suite_path.read_text().replace("null", '"weaker"'))
    assert "contract changed since registration" in reasons(world.promote())
    assert world.register() == "1"
    assert "contract is" in reasons(world.promote())
    world.give_evidence()
    assert world.promote().promoted


@pytest.mark.parametrize(
    ("owner", "outcome"),
    [("team:data", "promoted"), ("team:elsewhere", "refused")],
    ids=["owner", "stranger"],
)
def test_only_an_owners_waiver_covers_a_red_raw_day(world, owner, outcome):
    red = replace(world.evidence()[f"contract:{DAYS[0]}"], verdict=Verdict.FAILED, reason="too few rows")
    world.stores.evidence.record(red)
    record_waiver(world.stores.ledger, red, owner, "known outage", SOON, by="ana@data.example")
    assert world.promote().outcome == outcome


def test_waiver_does_not_cover_what_was_found_since(world):
    red = replace(world.evidence()[f"contract:{DAYS[0]}"], verdict=Verdict.FAILED, reason="too few rows")
    recorded = world.stores.evidence.record(red)
    record_waiver(world.stores.ledger, recorded, "team:data", "outage", SOON, by="ana@data.example")
    world.stores.evidence.record(replace(red, reason="doubled rows"))
    assert "contract FAILED" in reasons(world.promote())


# -- other gates than it was trained under


def test_product_without_a_required_gate_cannot_be_declared(world):
    for left_out in range(len(GATES)):
        with pytest.raises(ValueError, match="gates"):
            world.with_product(gates=[gate for n, gate in enumerate(GATES) if n != left_out])


@pytest.mark.parametrize(
    "gates",
    [
        pytest.param([], id="emptied"),
        pytest.param(
            [{"kind": "floor", "metric": "roc_auc", "at_least": 0.0}, *GATES[1:]], id="floor lowered"
        ),
        pytest.param([*GATES[:5], {"kind": "parity", "at_most": 1.0}], id="parity weakened"),
    ],
)
def test_gates_changed_after_training_refuse(world, gates):
    world.give_evidence(leakage=Verdict.FAILED)
    # the declaration itself refuses an emptied list, so go round it
    changed = replace(
        world,
        product=world.product.model_copy(
            update={"gates": world.with_product(gates=gates).product.gates if gates else ()}
        ),
    )
    decision = changed.promote()
    assert decision.outcome == "refused"
    assert "gates changed since training" in reasons(decision)
    assert world.alias is None


# -- another model than was registered


def test_changed_model_files_refuse(world):
    path = world.stores.home.root / world.table("registered_model").document(SPLIT_ID)["artifact_path"]
    (path / "MLmodel").write_text((path / "MLmodel").read_text() + "\n")
    assert "the saved model is" in reasons(world.promote())


def test_registry_tag_of_another_model_refuses(world):
    world.mlflow().set_model_version_tag("payment_fraud", "1", "model_digest", "other")
    assert "the registry says model_digest other" in reasons(world.promote())


def test_unknown_version_is_told(world):
    with pytest.raises(DeclarationError, match="no registered version of payment_fraud '7'"):
        world.promote(version="7")


# -- the alias moved by hand


def by_hand(world, version):
    if version is None:
        world.mlflow().delete_registered_model_alias("payment_fraud", "champion")
    else:
        world.mlflow().set_registered_model_alias("payment_fraud", "champion", version)


@pytest.mark.parametrize("version", ["2", None], ids=["moved", "removed"])
def test_alias_moved_by_hand_is_told_refused_and_reinstated(challenged, version):
    by_hand(challenged, version)
    with pytest.raises(PromotionRefused, match="moved by hand"):
        champion(challenged.stores, challenged.product)
    for _ in range(2):
        with pytest.raises(PromotionRefused, match="moved by hand"):
            challenged.promote()
    assert challenged.kinds().count("foreign") == 1
    back = reinstate(challenged.stores, challenged.product, "owner", "moved without a decision")
    assert (back.version, challenged.alias) == ("1", "1")
    assert challenged.kinds()[-2:] == ["reinstate", "confirm"]
    assert champion(challenged.stores, challenged.product).version == "1"
    assert challenged.promote().promoted


def test_alias_set_before_any_decision_is_foreign_and_taken_away(world):
    by_hand(world, "1")
    with pytest.raises(PromotionRefused, match="confirms no champion"):
        world.promote()
    assert reinstate(world.stores, world.product, "owner", "nobody decided this") is None
    assert world.alias is None
    assert world.promote().promoted


def test_reinstating_the_rightful_champion_changes_nothing(challenged):
    before = challenged.kinds()
    assert reinstate(challenged.stores, challenged.product, "owner", "to be sure").version == "1"
    assert challenged.kinds() == before


def test_holder_whose_model_changed_under_its_number_is_not_the_champion(world):
    world.promote()
    world.mlflow().set_model_version_tag("payment_fraud", "1", "model_digest", "other")
    with pytest.raises(PromotionRefused, match="moved by hand"):
        champion(world.stores, world.product)
    with pytest.raises(PromotionRefused, match="no longer the model that was confirmed"):
        reinstate(world.stores, world.product, "owner", "cannot help")


def test_champion_deleted_from_the_registry_is_told(world):
    world.promote()
    world.mlflow().delete_model_version("payment_fraud", "1")
    with pytest.raises(PromotionRefused, match="moved by hand"):
        champion(world.stores, world.product)


# -- the ledger


def test_champion_at_a_moment_is_read_from_the_ledger_alone(challenged):
    first = challenged.stores.ledger.entries("payment_fraud", "confirm")[0]
    challenged.promote()
    shutil.rmtree(challenged.stores.home.mlflow)
    ledger = challenged.stores.ledger
    assert champion_at(ledger, "payment_fraud", "2020-01-01T00:00:00") is None
    assert champion_at(ledger, "payment_fraud", first.at).version == "1"
    assert champion_at(ledger, "payment_fraud", "2999-01-01T00:00:00Z").version == "2"


def test_tampered_ledger_stops_promotion_and_scoring(challenged):
    path = challenged.stores.ledger.folder / "000002.json"
    entry = json.loads(path.read_text())
    entry["body"]["to"] = "2"
    path.write_text(json.dumps(entry))
    for act in (challenged.promote, lambda: champion(challenged.stores, challenged.product)):
        with pytest.raises(LakeError, match=r"000002\.json"):
            act()


def test_removed_confirmation_leaves_no_champion_to_score_with(challenged):
    (challenged.stores.ledger.folder / "000002.json").unlink()
    with pytest.raises(LakeError, match="entries were removed"):
        champion(challenged.stores, challenged.product)


def test_a_promotion_killed_before_its_confirmation_leaves_no_champion_to_score_with(challenged):
    folder = challenged.stores.ledger.folder
    first = json.loads((folder / "000001.json").read_text())
    (folder / "000002.json").unlink()
    (folder / "head.json").write_text(json.dumps({"sequence": 1, "hash": first["hash"]}))
    with pytest.raises(PromotionRefused, match="interrupted"):
        champion(challenged.stores, challenged.product)


def test_wiping_the_promotion_evidence_does_not_touch_the_champion(challenged):
    shutil.rmtree(challenged.stores.evidence.root / "gate")
    assert champion(challenged.stores, challenged.product).version == "1"
