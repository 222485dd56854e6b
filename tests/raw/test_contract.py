from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from raw_lake import BUYER, NOTE, PRICE, RawLake, expect, verdicts
from raw_sources import EXTERNAL, rows_of, with_column

from platform_assets.declaration.repository import read_repository
from platform_assets.declaration.source import Volume
from platform_assets.evidence.evidence import Verdict
from platform_assets.home import Home
from platform_assets.raw.contract import evaluate_contract
from platform_assets.raw.declared_contract import declared_contract
from platform_assets.raw.expectation_run import ExpectationRun
from platform_assets.raw.ingest import ingest_day
from platform_assets.raw.source_reader import open_source
from platform_assets.stores import Stores

PASSED, FAILED, UNKNOWN = Verdict.PASSED, Verdict.FAILED, Verdict.UNKNOWN
REPOSITORY = Path(__file__).resolve().parents[2] / "feature_repo"


def test_a_verdict_for_every_day_bound_to_its_rows(tmp_path: Path) -> None:
    lake = RawLake(tmp_path)
    days = lake.days(5)
    found = lake.ask(*days)
    assert {day: e.verdict for day, e in found.items()} == dict.fromkeys(days, PASSED)
    digests = lake.stores.lake.table("raw/orders").digests()
    for day, evidence in found.items():
        assert (evidence.kind, evidence.subject, evidence.partition) == ("contract", "raw/orders", day)
        assert evidence.versions == {
            "raw": digests[day], "contract": declared_contract(lake.source, lake.suite).version
        }  # fmt: skip
        assert evidence.measured["rows"] == 5
        assert lake.stores.evidence.latest("contract", "raw/orders", day) == evidence
    names = [name for name, _, _ in declared_contract(lake.source, lake.suite).checks]
    assert names == ["price_be_between", "buyer_be_between", "note_be_in_set", "expected_volume"]
    assert list(verdicts(found[days[0]])) == names


def planted(day: str, column: str, values: list[Any]) -> pa.Table:
    return with_column(rows_of(day, first=200), column, values)


@pytest.mark.parametrize(
    ("column", "values", "verdict", "failed"),
    [
        ("price", [-1.0, 1.0, 500.0, 1.0, 1.0], FAILED, {"price_be_between": 2}),
        ("note", ["rude", None, "gift", None, None], PASSED, {"note_be_in_set": 1}),
        ("buyer", [-7, 1, 2, 3, 4], FAILED, {"buyer_be_between": 1}),
    ],
    ids=["critical", "warning", "masked"],
)
def test_a_failing_day_is_named_and_a_warning_does_not_fail_it(
    tmp_path: Path, column: str, values: list[Any], verdict: Verdict, failed: dict[str, int]
) -> None:
    lake = RawLake(tmp_path)
    days = lake.days(5)
    lake.put(days[2], planted(days[2], column, values))
    found = lake.ask(*days)
    wrong = {day: e for day, e in found.items() if "FAILED" in verdicts(e).values()}
    assert list(wrong) == [days[2]]
    evidence = wrong[days[2]]
    assert evidence.verdict is verdict
    items = {i["name"]: i for i in evidence.measured["expectations"] if i["verdict"] == "FAILED"}
    assert {name: item["failing"] for name, item in items.items()} == failed
    for name, item in items.items():
        assert name in evidence.reason
        assert 0 < len(item["samples"]) <= 3
        # by the key one finds the row; the buyer nobody sees
        assert all(sample["id"] >= 200 and sample["buyer"] == "***" for sample in item["samples"])
        assert "-7" not in json.dumps(item)
    assert lake.untrusted(*days).keys() == ({days[2]} if verdict is FAILED else set())


def test_at_most_three_samples_of_many_failing_rows(tmp_path: Path) -> None:
    lake = RawLake(tmp_path, PRICE)
    days = lake.days(4)
    lake.put(days[0], with_column(rows_of(days[0]), "price", [-1.0] * 5))
    (item,) = [i for i in lake.ask(days[0])[days[0]].measured["expectations"] if i["verdict"] == "FAILED"]
    assert (item["failing"], len(item["samples"])) == (5, 3)


RAISES = expect("column_values_to_be_between", column="no_such_column", min_value=0)
RAISES_SOFTLY = expect("column_values_to_be_between", "warning", column="no_such_column", min_value=0)


@pytest.mark.parametrize(
    ("expectations", "verdict", "unknown"),
    [
        ([PRICE, expect("column_values_to_be_lucky", column="price")], UNKNOWN, "price_be_lucky"),
        ([PRICE, expect("column_values_to_be_between", column="price", smallest=1)], UNKNOWN, "price_be_between_2"),
        ([PRICE, RAISES], UNKNOWN, "no_such_column_be_between"),
        ([PRICE, RAISES_SOFTLY], PASSED, "no_such_column_be_between"),
    ],
    ids=["unknown type", "unknown argument", "raises", "raises, only a warning"],
)  # fmt: skip
def test_what_cannot_be_measured_is_unknown(
    tmp_path: Path, expectations: list[dict[str, Any]], verdict: Verdict, unknown: str
) -> None:
    lake = RawLake(tmp_path, *expectations)
    days = lake.days(4)
    for evidence in lake.ask(*days).values():
        assert evidence.verdict is verdict
        assert verdicts(evidence) == {
            "price_be_between": "PASSED", unknown: "UNKNOWN", "expected_volume": "PASSED"
        }  # fmt: skip


@pytest.mark.parametrize(
    "content",
    [None, "{", "[]", '{"expectations": []}', '{"expectations": [{"kwargs": {}}]}'],
    ids=["deleted", "no json", "a list", "emptied", "no type"],
)
def test_a_suite_that_cannot_be_read_is_unknown(tmp_path: Path, content: str | None) -> None:
    lake = RawLake(tmp_path)
    days = lake.days(4)
    assert lake.untrusted(*days).keys() == set(days)
    lake.ask(*days)
    assert lake.untrusted(*days) == {}
    if content is None:
        lake.suite.unlink()
    else:
        lake.suite.write_text(content)
    assert lake.untrusted(*days).keys() == set(days), "evidence on the former suite must not count"
    found = lake.ask(*days)
    assert {e.verdict for e in found.values()} == {UNKNOWN}
    assert all(str(lake.suite) in e.reason for e in found.values())
    assert lake.untrusted(*days).keys() == set(days)
    assert [name for name, _, _ in declared_contract(lake.source, lake.suite).checks] == [
        "suite",
        "expected_volume",
    ]


def test_a_missing_partition_is_unknown(tmp_path: Path) -> None:
    lake = RawLake(tmp_path)
    lake.days(4)
    evidence = lake.ask("2024-03-09")["2024-03-09"]
    assert (evidence.verdict, evidence.versions["raw"]) == (UNKNOWN, "")


def test_a_partition_that_cannot_be_read_is_unknown_and_spares_the_others(tmp_path: Path) -> None:
    lake = RawLake(tmp_path)
    days = lake.days(4)
    table = lake.stores.lake.table("raw/orders")
    manifest = table.manifest(days[1])
    assert manifest is not None
    table.path(manifest).write_bytes(b"not a file any more")
    assert [e.verdict for e in lake.ask(*days).values()] == [PASSED, UNKNOWN, PASSED, PASSED]


@pytest.mark.parametrize(
    ("rows", "others", "verdict", "whole"),
    [
        (5, [5, 5, 5], PASSED, PASSED),
        (10, [5, 5, 5], FAILED, FAILED),
        (2, [5, 5, 5], FAILED, FAILED),
        (0, [5, 5, 5], FAILED, FAILED),
        (0, [], FAILED, FAILED),
        (5, [5, 5], UNKNOWN, PASSED),
        (5, [0, 0, 0], UNKNOWN, UNKNOWN),
        (8, [5, 5, 5, 500, 500], PASSED, PASSED),
    ],
    ids=["usual", "doubled", "short", "empty", "empty and alone", "too few others", "all others empty",
         "median, not mean"],
)  # fmt: skip
def test_expected_volume(
    tmp_path: Path, rows: int, others: list[int], verdict: Verdict, whole: Verdict
) -> None:
    lake = RawLake(tmp_path, BUYER)
    day = "2024-03-10"
    lake.put(day, rows_of(day, rows))
    for number, count in enumerate(others, start=11):
        lake.put(f"2024-03-{number}", rows_of(f"2024-03-{number}", count))
    evidence = lake.ask(day)[day]
    assert verdicts(evidence)["expected_volume"] == verdict
    assert evidence.verdict is whole
    item = evidence.measured["expectations"][-1]
    assert item["blocking"] is not (len(others) < 3 and rows > 0)


def test_volume_compares_with_the_nearest_days(tmp_path: Path) -> None:
    lake = RawLake(tmp_path, BUYER, volume=Volume(neighbours=3, at_least=0.5, at_most=1.7))
    counts = [2, 2, 2, 2, 20, 20, 20, 20]
    days = [f"2024-03-{number:02d}" for number in range(1, 9)]
    for day, count in zip(days, counts, strict=True):
        lake.put(day, rows_of(day, count))
    found = lake.ask(*days)
    assert verdicts(found[days[0]])["expected_volume"] == "PASSED"
    assert verdicts(found[days[-1]])["expected_volume"] == "PASSED"


def test_a_volume_that_only_warns_does_not_fail(tmp_path: Path) -> None:
    lake = RawLake(tmp_path, BUYER, volume=Volume(severity="warning"))
    days = lake.days(4)
    lake.put(days[0], rows_of(days[0], 20))
    assert lake.ask(days[0])[days[0]].verdict is PASSED


@pytest.mark.parametrize(
    ("change", "moves"),
    [
        (lambda lake: lake.suite.write_text(json.dumps(json.loads(lake.suite.read_text()), indent=8)), False),
        (lambda lake: lake.declare(PRICE, BUYER), True),
        (lambda lake: lake.declare({**PRICE, "severity": "warning"}, BUYER, NOTE), True),
        (lambda lake: lake.suite.unlink(), True),
    ],
    ids=["layout", "one less", "severity", "deleted"],
)
def test_contract_version_follows_what_is_asked(tmp_path: Path, change: Any, moves: bool) -> None:
    lake = RawLake(tmp_path)
    before = declared_contract(lake.source, lake.suite).version
    change(lake)
    assert (declared_contract(lake.source, lake.suite).version != before) is moves


def test_found_again_the_earlier_evidence_stays(tmp_path: Path) -> None:
    lake = RawLake(tmp_path)
    days = lake.days(4)
    first = lake.ask(*days)
    lake.put("2024-03-09", rows_of("2024-03-09", 6, first=900))  # moves the medians, and no verdict
    assert lake.ask(*days) == first
    assert len(lake.stores.evidence.history("contract", "raw/orders", days[0])) == 1


# Days together must give what each day alone gives, whatever is planted where.
SUITE = (
    PRICE,
    NOTE,
    expect("column_values_to_not_be_null", column="note"),
    expect("column_values_to_be_unique", column="id"),
    expect("column_values_to_be_between", "warning", column="price", min_value=0, max_value=3, mostly=0.6),
    expect("column_values_to_be_in_set", column="express", value_set=[True]),
    expect("column_mean_to_be_between", column="price", min_value=0, max_value=3),
    expect("column_max_to_be_between", column="price", max_value=50),
    expect("column_value_z_scores_to_be_less_than", column="price", threshold=1.2, double_sided=True),
    expect("column_values_to_be_increasing", column="price"),
    expect("column_values_to_match_regex", column="note", regex="^[a-z]+$"),
    expect("column_pair_values_a_to_be_greater_than_b", column_A="buyer", column_B="id"),
)
ROW = st.tuples(
    st.sampled_from([0.0, 1.0, 2.0, -1.0, 60.0, 500.0]),
    st.sampled_from([None, "gift", "new", "RUDE"]),
    st.sampled_from([None, True, False]),
)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(days=st.lists(st.lists(ROW, max_size=4), min_size=2, max_size=4), same_ids=st.booleans())
# what stands out on its day, and not among all: z-scores are no matter of single rows
@example(days=[[(p, "gift", True) for p in (0.0, 0.0, 0.0, 1.0)], [(60.0, "gift", True)] * 4], same_ids=False)
# the same ids on two days are unique on each
@example(days=[[(1.0, "gift", True)] * 2, [(1.0, "gift", True)] * 2], same_ids=True)
def test_days_together_are_judged_like_days_alone(
    tmp_path: Path, days: list[list[tuple[float, str | None, bool | None]]], same_ids: bool
) -> None:
    run = _opened(tmp_path)
    tables = {}
    for number, rows in enumerate(days):
        day = f"2024-03-{number + 1:02d}"
        table = rows_of(day, len(rows), first=0 if same_ids else 100 * number)
        for name, position, kind in (
            ("price", 0, pa.float64()),
            ("note", 1, pa.string()),
            ("express", 2, pa.bool_()),
        ):
            table = with_column(table, name, pa.array([row[position] for row in rows], kind))
        tables[day] = table
    together = run.findings(tables)
    alone = {day: run.findings({day: table})[day] for day, table in tables.items()}
    for day in tables:
        assert [(f.name, f.verdict, f.failing) for f in together[day]] == [
            (f.name, f.verdict, f.failing) for f in alone[day]
        ]


_RUNS: list[ExpectationRun] = []


def _opened(folder: Path) -> ExpectationRun:
    if not _RUNS:
        lake = RawLake(folder, *SUITE)
        _RUNS.append(
            ExpectationRun(lake.source, declared_contract(lake.source, lake.suite).suite.expectations)
        )
    return _RUNS[0]


@pytest.mark.parametrize("which", ["generated", "real"])
def test_the_contract_of_card_transactions_is_green(tmp_path: Path, which: str) -> None:
    if which == "real" and not EXTERNAL.is_dir():
        pytest.skip("needs the external data beside the checkout")
    repository = read_repository([REPOSITORY])
    source = repository.source("card_transactions")
    stores = Stores.at(Home.at(tmp_path))
    variables = {"PLATFORM_SOURCE": str(EXTERNAL)} if which == "real" else {}
    reader = open_source(source, REPOSITORY, variables)
    days = list(reader.days())[:71:5]
    for day in days:
        ingest_day(stores, source, reader, day, cause="test", run_id="")
    found = evaluate_contract(stores, source, repository.contract_path(source), days)
    for evidence in found.values():
        assert set(verdicts(evidence).values()) == {"PASSED"}, evidence.reason
        assert len(verdicts(evidence)) >= 10
