"""Gates as pure decisions: over any evidence, a pass means all passed on the candidate's own versions."""

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from registry_world import declared_product

from platform_assets.declaration.gate import NoLeakage
from platform_assets.evidence.evidence import Evidence, Verdict
from platform_assets.evidence.ledger import Entry
from platform_assets.lake.digest import document_digest
from platform_assets.registry.gate_decision import GateDecision, verdict_of
from platform_assets.registry.gates import (
    Candidate,
    Comparison,
    Findings,
    bound,
    decide,
)

VIEWS = {"spending": "v1"}
CANDIDATE = Candidate("2", "model", "rows", VIEWS, {"2024-01-01": "raw1", "2024-01-02": "raw2"}, "suite")
VIEWS_DIGEST = document_digest(VIEWS)
GATES = declared_product().gates

VIEW_VERSIONS = {"view": "v1", "online": "online", "features": "day"}
VIEW_PARITY = Evidence(
    "parity", "online/spending", Verdict.PASSED, "r", VIEW_VERSIONS, measured={"share": 0.0}
)

RIGHT = {
    "evaluation": {"training_set": "rows", "model": "model"},
    "feature_equality": {"training_set": "rows", "views": VIEWS_DIGEST},
    "leakage": {"training_set": "rows", "views": VIEWS_DIGEST},
    "parity": {"views": VIEWS_DIGEST, "online:spending": "online", "parity:spending": VIEW_PARITY.id},
    "2024-01-01": {"raw": "raw1", "contract": "suite"},
    "2024-01-02": {"raw": "raw2", "contract": "suite"},
}


def evidence(kind, verdict=Verdict.PASSED, measured=None, **changed) -> Evidence:
    value = {"roc_auc": 0.9} if measured is None else measured
    return Evidence(kind, "s", verdict, "r", {**RIGHT[kind], **changed}, measured=value)


@st.composite
def histories(draw, kind):
    """Up to three measurements, of right or wrong versions, and whether the right one on top passed."""
    found = []
    for _ in range(draw(st.integers(0, 3))):
        verdict = draw(st.sampled_from(list(Verdict)))
        wrong = draw(st.sampled_from([None, None, *RIGHT[kind]]))
        value = draw(st.sampled_from([0.9, 0.9, 0.7, 0.69, None, float("nan")]))
        changed = {wrong: "other"} if wrong else {}
        found.append(evidence(kind, verdict, {"roc_auc": value}, **changed))
    return found


comparisons = st.one_of(
    st.none(),
    st.just(Comparison(champion=None)),
    st.builds(
        Comparison,
        champion=st.just("1"),
        candidate_value=st.just(0.5),
        champion_value=st.just(0.5),
        lower=st.sampled_from([0.0, -0.02, -0.021, float("nan"), None]),
        unknown=st.sampled_from(["", "", "no rows"]),
    ),
)

findings = st.builds(
    Findings,
    evaluation=histories("evaluation"),
    feature_equality=histories("feature_equality"),
    leakage=histories("leakage"),
    parity=histories("parity"),
    contract=st.fixed_dictionaries({day: histories(day) for day in CANDIDATE.raw}),
    contract_version=st.sampled_from(["suite", "suite", "suite", "other"]),
    online=st.sampled_from([{"spending": "online"}, {"spending": "online"}, {"spending": None}]),
    view_parity=st.just({"spending": [VIEW_PARITY]}),
    view_versions=st.just({"spending": VIEW_VERSIONS}),
    comparison=comparisons,
)


def newest_right(history, kind):
    """The newest measurement on the right versions, found without the code under test."""
    right = [e for e in history if dict(e.versions) == RIGHT[kind]]
    return right[-1] if right else None


def passed_on_right_versions(f: Findings) -> bool:
    """All of it once more, written the plain way."""

    def green(history, kind):
        newest = newest_right(history, kind)
        return newest is not None and newest.verdict is Verdict.PASSED

    value = (newest_right(f.evaluation, "evaluation") or evidence("evaluation", measured={})).measured.get(
        "roc_auc"
    )
    c = f.comparison
    return (
        green(f.evaluation, "evaluation")
        and value is not None
        and value >= 0.7
        and green(f.feature_equality, "feature_equality")
        and green(f.leakage, "leakage")
        and green(f.parity[-1:], "parity")
        and f.online == {"spending": "online"}
        and f.contract_version == "suite"
        and all(green(f.contract[day], day) for day in CANDIDATE.raw)
        and c is not None
        and not c.unknown
        and (c.champion is None or (c.lower is not None and c.lower >= -0.02))
    )


@given(findings)
@settings(max_examples=400, deadline=None)
def test_passes_only_when_all_passed_on_equal_versions(f):
    assert (verdict_of(decide(GATES, CANDIDATE, f)) is Verdict.PASSED) == passed_on_right_versions(f)


def green(**changed) -> Findings:
    kinds = ("evaluation", "feature_equality", "leakage", "parity")
    return Findings(
        **{
            **{kind: [evidence(kind)] for kind in kinds},
            "contract": {day: [evidence(day)] for day in CANDIDATE.raw},
            "contract_version": "suite",
            "online": {"spending": "online"},
            "view_parity": {"spending": [VIEW_PARITY]},
            "view_versions": {"spending": VIEW_VERSIONS},
            "comparison": Comparison(champion=None),
            **changed,
        }
    )


@given(
    st.sampled_from(["evaluation", "feature_equality", "leakage", "parity", "2024-01-01", "2024-01-02"]),
    st.data(),
)
@settings(max_examples=200, deadline=None)
def test_one_thing_out_of_all_green_decides(kind, data):
    """Random findings are seldom all green: here all is, but one history drawn at random."""
    history = data.draw(histories(kind))
    if kind in CANDIDATE.raw:
        f = green(contract={**green().contract, kind: history})
    else:
        f = green(**{kind: history})
    assert (verdict_of(decide(GATES, CANDIDATE, f)) is Verdict.PASSED) == passed_on_right_versions(f)


def test_all_green_passes_and_no_gates_at_all_do_not():
    assert verdict_of(decide(GATES, CANDIDATE, green())) is Verdict.PASSED
    assert verdict_of(decide((), CANDIDATE, green())) is Verdict.UNKNOWN


def decision(key, f):
    return {each.key: each for each in decide(GATES, CANDIDATE, f)}[key]


@pytest.mark.parametrize(
    ("comparison", "verdict", "told"),
    [
        pytest.param(Comparison(None), Verdict.PASSED, "first", id="no champion"),
        pytest.param(None, Verdict.UNKNOWN, "not compared", id="not compared"),
        pytest.param(Comparison("1", unknown="no row left"), Verdict.UNKNOWN, "no row left", id="no rows"),
        pytest.param(Comparison("1", 0.5, 0.5, 0.01), Verdict.PASSED, ">=", id="above the margin"),
        pytest.param(Comparison("1", 0.5, 0.5, -0.02), Verdict.PASSED, ">=", id="on the margin"),
        pytest.param(Comparison("1", 0.5, 0.5, -0.0201), Verdict.FAILED, "<", id="below the margin"),
        pytest.param(Comparison("1", 0.5, 0.5, None), Verdict.UNKNOWN, "no lower bound", id="no bound"),
        pytest.param(Comparison("1", 0.5, 0.5, math.nan), Verdict.UNKNOWN, "no lower bound", id="nan"),
    ],
)
def test_not_worse_than_champion(comparison, verdict, told):
    found = decision("not_worse_than_champion", green(comparison=comparison))
    assert found.verdict is verdict
    assert told in found.reason


@pytest.mark.parametrize(
    ("value", "verdict"), [(0.7, Verdict.PASSED), (0.6999, Verdict.FAILED), (float("inf"), Verdict.UNKNOWN)]
)
def test_floor(value, verdict):
    f = green(evaluation=[evidence("evaluation", measured={"roc_auc": value})])
    assert decision("floor_roc_auc", f).verdict is verdict


def test_parity_counts_only_as_measured_last():
    f = green(parity=[evidence("parity"), evidence("parity", **{"online:spending": "later"})])
    assert decision("parity", f).verdict is Verdict.UNKNOWN


def view_parity(verdict=Verdict.PASSED, share=0.0, limits=None, reservations=(), **changed):
    """Findings in which all is green but the view's own parity is this."""
    found = Evidence(
        "parity", "online/spending", verdict, "of the view", {**VIEW_VERSIONS, **changed},
        measured={"share": share, "reservations": list(reservations)}, limits=limits or {},
    )  # fmt: skip
    sample = evidence("parity", **{"parity:spending": found.id})
    return green(parity=[sample], view_parity={"spending": [found]})


@pytest.mark.parametrize(
    ("found", "verdict", "told"),
    [
        pytest.param(view_parity(), Verdict.PASSED, "r", id="passed"),
        pytest.param(view_parity(Verdict.FAILED, 0.2), Verdict.FAILED, "of the view", id="failed"),
        pytest.param(view_parity(Verdict.UNKNOWN), Verdict.UNKNOWN, "of the view", id="unknown"),
        pytest.param(view_parity(share=0.2), Verdict.FAILED, "of the view", id="laxer view"),
        pytest.param(view_parity(share=float("nan")), Verdict.UNKNOWN, "nan", id="no share"),
        pytest.param(
            view_parity(limits={"tolerance": 0.1}), Verdict.UNKNOWN, "tolerance 0.1", id="laxer tolerance"
        ),
        pytest.param(
            view_parity(Verdict.FAILED, share=0.0, reservations=["online is stale"]),
            Verdict.UNKNOWN, "online is stale", id="the gate is laxer than the view, and the store stale",
        ),
        pytest.param(view_parity(online="older"), Verdict.UNKNOWN, "online is older", id="other store"),
        pytest.param(view_parity(view="v0"), Verdict.UNKNOWN, "view is v0", id="other version"),
        pytest.param(view_parity(features="older"), Verdict.UNKNOWN, "features is older", id="other rows"),
        pytest.param(green(view_parity={}), Verdict.UNKNOWN, "parity:spending", id="none"),
        pytest.param(
            green(parity=[evidence("parity", **{"parity:spending": "none"})], view_parity={}),
            Verdict.UNKNOWN, "no evidence was recorded; materialize features/parity_spending", id="never measured",
        ),
    ],
)  # fmt: skip
def test_no_parity_of_every_view_no_promotion(found, verdict, told):
    decided = decision("parity", found)
    assert decided.verdict is verdict
    assert told in decided.reason


def test_waiver_covers_the_evidence_it_names_and_no_other():
    red = evidence("2024-01-01", Verdict.FAILED)
    contract = {**green().contract, "2024-01-01": [red]}
    waiver = Entry(7, "waiver", "raw/payments", "team:data", "2024-01-02", {"evidence": red.id}, "")
    waived = decision("contract", green(contract=contract, waived={"2024-01-01": waiver}))
    assert waived.verdict is Verdict.PASSED
    assert "1 of them by waiver" in waived.reason
    assert waived.answers == (7,)
    other = replace(waiver, body={"evidence": "x"})
    found = decision("contract", green(contract=contract, waived={"2024-01-01": other}))
    assert (found.verdict, found.answers) == (Verdict.FAILED, ())


def test_candidate_without_raw_days_has_no_contract():
    nothing = Candidate("2", "model", "rows", VIEWS, {}, "suite")
    (found,) = (d for d in decide(GATES, nothing, green()) if d.key == "contract")
    assert found.verdict is Verdict.UNKNOWN


def test_unreadable_evidence_hides_what_lies_below():
    unreadable = Evidence("leakage", "s", Verdict.UNKNOWN, "000002.json cannot be read", {})
    assert "cannot be read" in bound([evidence("leakage"), unreadable], RIGHT["leakage"])


def test_evidence_of_a_later_candidate_does_not_hide_the_right_one():
    right, later = evidence("leakage"), evidence("leakage", training_set="later")
    assert bound([right, later], RIGHT["leakage"]) is right


def test_a_waiver_is_told_behind_the_verdict_that_it_does_not_change():
    red = GateDecision("leakage", Verdict.FAILED, "telltale")
    assert (red.told, red.holds) == ("FAILED: telltale", False)
    waived = GateDecision("leakage", Verdict.FAILED, "telltale", waived_by="a@b.c", waiver="waived by a@b.c")
    assert (waived.told, waived.holds) == ("FAILED: telltale (waived by a@b.c)", True)


def test_days_that_did_not_pass_are_counted_and_three_are_named():
    days = [f"2024-01-0{number}" for number in range(1, 7)]
    candidate = Candidate("2", "model", "rows", VIEWS, dict.fromkeys(days, "raw"), "suite")

    def of(day, verdict):
        return Evidence("contract", "raw/a", verdict, f"rows of {day}", {"raw": "raw", "contract": "suite"})

    def decided(red):
        found = {day: [of(day, Verdict.FAILED if n in red else Verdict.PASSED)] for n, day in enumerate(days)}
        (gate,) = (d for d in decide(GATES, candidate, green(contract=found)) if d.key == "contract")
        return gate

    fine, three, four = decided(()), decided((0, 1, 2)), decided((0, 1, 2, 5))
    assert (fine.verdict, fine.measured, fine.limit, fine.reason) == (
        *(Verdict.PASSED, 6, 6),
        "6 raw days passed",
    )
    assert (three.verdict, three.measured, three.limit) == (Verdict.FAILED, 3, 6)
    assert three.reason == (
        "3 of 6 raw days did not pass: 2024-01-01: rows of 2024-01-01; 2024-01-02: rows of 2024-01-02; "
        "2024-01-03: rows of 2024-01-03"
    )
    assert decided((0, 1)).reason.endswith("2024-01-02: rows of 2024-01-02")
    assert (four.measured, four.limit) == (2, 6)
    assert four.reason == three.reason.replace("3 of 6", "4 of 6") + "; ..."
    assert len(fine.evidence_id) == 16
    assert len({fine.evidence_id, three.evidence_id, four.evidence_id}) == 3


@pytest.mark.parametrize(
    ("limits", "told"),
    [
        ({}, None),
        ({"rows": 200, "allow": [], "single_column_limit": 0.8}, None),
        ({"allow": ()}, None),
        ({"rows": 100}, "measured with other settings: rows 100, the gate says 200"),
        ({"rows": 300}, "measured with other settings: rows 300, the gate says 200"),
        (
            {"single_column_limit": 0.9, "allow": ["amount"]},
            "measured with other settings: allow ['amount'], the gate says []; "
            "single_column_limit 0.9, the gate says 0.8",
        ),
    ],
    ids=["none noted", "the same", "a tuple is a list", "fewer", "more", "two, by name"],
)
def test_evidence_of_other_settings_does_not_count(limits, told):
    gate = NoLeakage(kind="leakage", rows=200, single_column_limit=0.8)
    found = Evidence("leakage", "s", Verdict.PASSED, "r", RIGHT["leakage"], limits=limits)
    (decided,) = decide([gate], CANDIDATE, green(leakage=[found]))
    assert (decided.verdict, decided.reason) == (
        (Verdict.PASSED, "r") if told is None else (Verdict.UNKNOWN, told)
    )
    assert decided.evidence_id == found.id


def test_what_was_measured_stands_beside_its_limit():
    high = decision("floor_roc_auc", green())
    assert (high.measured, high.limit, high.reason) == (0.9, 0.7, "roc_auc 0.9000 >= 0.7")
    low = decision("floor_roc_auc", green(evaluation=[evidence("evaluation", measured={"roc_auc": 0.6})]))
    assert (low.verdict, low.reason) == (Verdict.FAILED, "roc_auc 0.6000 < 0.7")
    red = decision("floor_roc_auc", green(evaluation=[evidence("evaluation", Verdict.FAILED)]))
    assert (red.verdict, red.reason, red.measured) == (Verdict.FAILED, "evaluation failed: r", 0.9)
    flag = decision("floor_roc_auc", green(evaluation=[evidence("evaluation", measured={"roc_auc": True})]))
    assert (flag.verdict, flag.limit) == (Verdict.UNKNOWN, 0.7)
    compared = decision("not_worse_than_champion", green(comparison=Comparison("1", 0.5, 0.51, -0.03)))
    assert (compared.measured, compared.limit, compared.verdict) == (-0.03, -0.02, Verdict.FAILED)
    assert "0.5000 against 0.5100 of version 1; lower bound of the difference -0.0300 < -0.0200" in (
        compared.reason
    )


def test_only_the_views_with_the_worst_parity_are_named():
    names = {"spending": Verdict.PASSED, "risk": Verdict.FAILED, "calendar": Verdict.UNKNOWN}
    candidate = Candidate("2", "model", "rows", dict.fromkeys(names, "v1"), CANDIDATE.raw, "suite")
    views = {
        name: [
            Evidence(
                *("parity", f"online/{name}", verdict, f"of {name}", {"view": "v1"}),
                measured={"share": float(verdict is not Verdict.PASSED)},
            )
        ]
        for name, verdict in names.items()
    }
    versions = {"views": candidate.views_digest}
    versions |= {f"online:{name}": "x" for name in names}
    versions |= {f"parity:{name}": found[0].id for name, found in views.items()}
    sample = Evidence("parity", "s", Verdict.PASSED, "requests are equal", versions)
    f = green(
        parity=[sample],
        online=dict.fromkeys(names, "x"),
        view_parity=views,
        view_versions={name: {"view": "v1"} for name in names},
    )
    (decided,) = (d for d in decide(GATES, candidate, f) if d.key == "parity")
    assert (decided.verdict, decided.reason) == (Verdict.FAILED, "parity of view risk: of risk")
    unfilled = green(online={"b": None, "a": None, "c": "x"})
    assert decision("parity", unfilled).reason == "the online store of a, b was never filled"


@pytest.mark.parametrize("version", ["a suite before", "z suite after"])
def test_another_contract_than_at_registration_is_told(version):
    found = decision("contract", green(contract_version=version))
    assert found.verdict is Verdict.UNKNOWN
    assert f"the contract changed since registration (suite -> {version})" in found.reason


def test_a_view_that_passed_is_not_named_beside_one_that_was_not_measured():
    candidate = Candidate("2", "model", "rows", {"a": "v1", "b": "v1"}, CANDIDATE.raw, "suite")
    passed = Evidence("parity", "online/a", Verdict.PASSED, "of a", {"view": "v1"}, measured={"share": 0.0})
    unknown = Evidence("parity", "online/b", Verdict.UNKNOWN, "of b", {"view": "v1"})
    versions = {"views": candidate.views_digest, "online:a": "x", "online:b": "x"}
    versions |= {"parity:a": passed.id, "parity:b": unknown.id}
    f = green(
        parity=[Evidence("parity", "s", Verdict.PASSED, "r", versions)],
        online={"a": "x", "b": "x"},
        view_parity={"a": [passed], "b": [unknown]},
        view_versions={"a": {"view": "v1"}, "b": {"view": "v1"}},
    )
    (decided,) = (d for d in decide(GATES, candidate, f) if d.key == "parity")
    assert (decided.verdict, decided.reason) == (Verdict.UNKNOWN, "parity of view b: of b")


def test_a_view_counts_only_as_measured_last():
    later = Evidence("parity", "online/spending", Verdict.PASSED, "r", {**VIEW_VERSIONS, "view": "v0"})
    sample = evidence("parity", **{"parity:spending": later.id})
    found = decision("parity", green(parity=[sample], view_parity={"spending": [VIEW_PARITY, later]}))
    assert (found.verdict, found.evidence_id) == (Verdict.UNKNOWN, sample.id)
    assert "view is v0, the candidate's is v1" in found.reason


def test_every_day_is_counted_though_the_first_has_no_evidence():
    days = {"2024-01-02": green().contract["2024-01-02"]}
    found = decision("contract", green(contract=days))
    assert found.reason == "1 of 2 raw days did not pass: 2024-01-01: no evidence was recorded"
    assert (found.verdict, found.measured, found.limit) == (Verdict.UNKNOWN, 1, 2)


def test_evidence_of_other_versions_is_told_by_the_newest():
    older, newest = evidence("leakage", training_set="older"), evidence("leakage", training_set="newest")
    assert bound([older, newest], RIGHT["leakage"]) == (
        "evidence is of other versions: training_set is newest, the candidate's is rows"
    )


def test_a_comparison_that_was_not_made_counts_nothing():
    first = Comparison(champion=None)
    assert (first.rows, first.left_out, first.entities) == (0, 0, 0)
    assert len(first.id) == 16
    assert first.id != Comparison(champion="1").id


def test_a_metric_that_was_not_measured_is_told_with_the_reason_or_the_value():
    def told(reason, value):
        found = Evidence(
            "evaluation", "s", Verdict.UNKNOWN, reason, RIGHT["evaluation"], measured={"roc_auc": value}
        )
        return decision("floor_roc_auc", green(evaluation=[found])).reason

    assert told("one class only", None) == "roc_auc could not be measured: one class only"
    assert told("", None) == "roc_auc could not be measured: None"


def test_requests_that_differ_fail_though_a_view_was_not_measured():
    unknown = Evidence("parity", "online/spending", Verdict.UNKNOWN, "of the view", VIEW_VERSIONS)
    red = evidence("parity", Verdict.FAILED, **{"parity:spending": unknown.id})
    found = decision("parity", green(parity=[red], view_parity={"spending": [unknown]}))
    assert (found.verdict, found.reason) == (Verdict.FAILED, red.reason)
