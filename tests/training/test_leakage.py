"""The leakage guard names what knows too much, and stays quiet on what does not."""

from __future__ import annotations

import re

import numpy as np
import pyarrow as pa
import pytest
from sklearn.metrics import average_precision_score

from platform_assets.errors import DeclarationError
from platform_assets.evidence.evidence import Verdict
from platform_assets.training.leakage import leakage_guard, single_columns
from platform_assets.vocabulary import raw_table


def _delay(delay: str):
    """The terminal view with another delay on every window."""

    def change(bank):
        view = bank.repository.feature_view("terminal_risk").model_dump(mode="json")
        return bank.with_view(
            "terminal_risk", features=[{**feature, "delay": delay} for feature in view["features"]]
        )

    return change


def _customer_fraud(**options):
    """A customer view that also looks at the customer's own labels."""

    def change(bank):
        view = bank.repository.feature_view("customer_spending").model_dump(mode="json")
        feature = {"name": "OWN_FRAUDS", "function": "sum", "column": "TX_FRAUD", "window": "1d", **options}
        return bank.with_view("customer_spending", features=[*view["features"], feature])

    return change


def _inputs(*names: str, **gate):
    """Further raw columns as inputs, perhaps with another leakage gate."""

    def change(bank):
        gates = [
            {**g, **gate} if g["kind"] == "leakage" else g
            for g in bank.product.model_dump(mode="json")["gates"]
        ]
        return bank.declaring(inputs=[*bank.product.inputs, *names], gates=gates)

    return change


def _in_sql(gap: str, **view):
    """The customer view in SQL, beside the terminal's."""

    def change(bank):
        sql = f"SELECT TRANSACTION_ID, CUSTOMER_ID, TX_DATETIME, {gap} AS GAP FROM {{source}}"
        features = [{"name": "GAP", "function": "sql"}]
        return bank.with_view(
            "customer_spending", features=features, sql=sql, reach="1d", online=False, **view
        )

    return change


OWN = "PARTITION BY CUSTOMER_ID ORDER BY TX_DATETIME, TRANSACTION_ID"
CASES = {
    "clean": (lambda bank: bank, Verdict.PASSED, ()),
    "no label delay": (_delay("0s"), Verdict.FAILED, ("TERMINAL_ID_RISK_1DAY_WINDOW changes",
                                                      "TERMINAL_ID_RISK_30DAY_WINDOW changes")),
    "delay a day short": (_delay("6d"), Verdict.FAILED, ("TERMINAL_ID_RISK_1DAY_WINDOW changes",)),
    "delay longer than labels take": (_delay("8d"), Verdict.PASSED, ()),
    "own label in a window": (_customer_fraud(), Verdict.FAILED, ("OWN_FRAUDS changes",)),
    "others' labels in a window": (
        _customer_fraud(include_current_row=False), Verdict.FAILED, ("OWN_FRAUDS changes",)),
    "made from the label": (_inputs("TX_FRAUD_SCENARIO"), Verdict.FAILED, (
        "TX_FRAUD_SCENARIO alone has average precision 1.000 against TX_FRAUD, above 0.8",)),
    "made from the label, allowed": (
        _inputs("TX_FRAUD_SCENARIO", allow=["TX_FRAUD_SCENARIO"]), Verdict.PASSED, ()),
    "a stricter limit": (_inputs(single_column_limit=0.05), Verdict.FAILED, ("TX_AMOUNT alone",)),
    "SQL that looks back": (_in_sql(f"TX_AMOUNT - lag(TX_AMOUNT) OVER ({OWN})"), Verdict.PASSED, ()),
    "SQL that looks at others": (
        _in_sql("count(*) OVER (ORDER BY TX_DATETIME RANGE INTERVAL 1 HOUR PRECEDING)"), Verdict.PASSED, ()),
    "SQL that looks ahead": (
        _in_sql(f"lead(TX_AMOUNT) OVER ({OWN})"), Verdict.FAILED, ("GAP changes",)),
    "SQL that reads labels": (
        _in_sql(f"lag(TX_FRAUD) OVER ({OWN})"), Verdict.FAILED, ("GAP changes",)),
}  # fmt: skip
# each sampled row is a run of the SELECT
SLOW = ("SQL that looks back", "SQL that looks at others", "SQL that reads labels")


@pytest.mark.parametrize(
    ("change", "verdict", "named"),
    [pytest.param(*case, marks=[pytest.mark.slow] if name in SLOW else []) for name, case in CASES.items()],
    ids=CASES,
)
def test_verdict(bank, change, verdict: Verdict, named: tuple[str, ...]) -> None:
    bank = change(bank)
    bank.build_features()
    made = bank.training_set()
    found = leakage_guard(bank.stores, bank.repository, bank.product, made)
    assert found.verdict is verdict, found.reason
    for text in named:
        assert text in found.reason
    if verdict is Verdict.PASSED:
        assert found.measured["changed_columns"] == {}
    assert found.measured["sampled_rows"] == 200
    assert found.versions["training_set"] == made.digest
    assert bank.stores.evidence.latest("leakage", made.table, made.partition) == found
    # nothing else is accused
    for name in found.measured["changed_columns"]:
        assert any(name in text for text in named) or name.startswith("TERMINAL_ID_RISK")


def _remove_raw(bank, made) -> None:
    table = bank.stores.lake.table(raw_table(bank.product.source))
    table.path(table.manifest("2018-04-20")).unlink()


@pytest.mark.parametrize(
    ("change", "spoil", "told"),
    [
        (
            lambda bank: bank.with_view("customer_spending", version=2),
            lambda *_: None,
            "feature views changed",
        ),
        (lambda bank: bank, _remove_raw, "could not be measured: .*is gone"),
    ],
    ids=["views changed since", "raw version gone"],
)
def test_what_cannot_be_measured_is_unknown(bank, change, spoil, told: str) -> None:
    made = bank.training_set()
    spoil(bank, made)
    later = change(bank)
    found = leakage_guard(later.stores, later.repository, later.product, made)
    assert found.verdict is Verdict.UNKNOWN
    assert re.search(told, found.reason)


def test_the_label_itself_is_refused_before_any_row_is_read(bank) -> None:
    """The guard masks the label; as an input of its own it never gets that far."""
    with pytest.raises(DeclarationError, match="input 'TX_FRAUD' is the label itself"):
        bank.declaring(inputs=[*bank.product.inputs, "TX_FRAUD"]).training_set()


def test_average_precision_is_that_of_scikit_learn() -> None:
    random = np.random.default_rng(1)
    values = {f"c{i}": random.integers(0, 3 + 10 * i, 500).astype(float) for i in range(4)}
    labels = random.integers(0, 2, 500)
    ours = single_columns(pa.table({**values, "y": labels}), list(values), "y")
    for name, column in values.items():
        theirs = max(average_precision_score(labels, column), average_precision_score(labels, -column))
        assert ours[name] == pytest.approx(theirs, abs=1e-12)
