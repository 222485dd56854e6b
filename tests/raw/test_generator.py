"""The generator against its published figures, and against 71 days that somebody else generated."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from raw_sources import EXTERNAL

from platform_assets.declaration.repository import read_repository
from platform_assets.declaration.source import Source
from platform_assets.errors import SourceError
from platform_assets.raw.generator import generate
from platform_assets.raw.source_reader import open_source

START = date(2018, 4, 1)
Columns = dict[str, np.ndarray]


def declared() -> Source:
    return read_repository([Path(__file__).resolve().parents[2] / "feature_repo"]).source("card_transactions")


def columns_of(rows: pa.Table) -> Columns:
    return {name: rows.column(name).to_numpy() for name in rows.column_names}


@pytest.fixture(scope="module")
def full() -> Columns:
    return columns_of(generate(5000, 10_000, 183, START, 5, 0))


@pytest.fixture(scope="module")
def real() -> Columns:
    if not EXTERNAL.is_dir():
        pytest.skip("needs the external data beside the checkout")
    reader = open_source(declared(), Path(), {"PLATFORM_SOURCE": str(EXTERNAL)})
    return columns_of(pa.concat_tables([reader.read(day) for day in reader.days()]))


def first_days(rows: Columns, days: int) -> Columns:
    kept = rows["TX_TIME_DAYS"] < days
    return {name: values[kept] for name, values in rows.items()}


# The sum of 5,000 rates uniform on (0,4) alone moves the number of rows by 0.8 % (one deviation).
PUBLISHED = {
    "rows": (lambda t: len(t["TX_FRAUD"]), 1.75e6, 0.03),
    "share of fraud": (lambda t: t["TX_FRAUD"].mean(), 0.0084, 0.05),
    "rows a day": (lambda t: np.bincount(t["TX_TIME_DAYS"]).mean(), 9600, 0.03),
    "frauds a day once filled": (
        lambda t: np.bincount(t["TX_TIME_DAYS"], weights=t["TX_FRAUD"])[28:].mean(), 80, 0.1
    ),
}  # fmt: skip


@pytest.mark.parametrize("figure", PUBLISHED)
def test_published_figures(full: Columns, figure: str) -> None:
    measure, published, allowed = PUBLISHED[figure]
    assert measure(full) == pytest.approx(published, rel=allowed)


def _shares(values: np.ndarray, bins: int) -> np.ndarray:
    return np.bincount(values, minlength=bins)[:bins] / len(values)


def _by_customer(rows: Columns) -> np.ndarray:
    """Amounts that no campaign touched, divided by their customer's mean."""
    kept = np.isin(rows["TX_FRAUD_SCENARIO"], (0, 2))
    amount, customer = rows["TX_AMOUNT"][kept], rows["CUSTOMER_ID"][kept]
    count = np.bincount(customer)
    mean = np.bincount(customer, weights=amount) / np.maximum(count, 1)
    often = count[customer] > 60
    return amount[often] / mean[customer[often]]


# name -> (measure, allowed relative difference)
AGAINST_REAL = {
    "amount mean": (lambda t: t["TX_AMOUNT"].mean(), 0.04),
    # which customers there are moves the amounts by some per cent, from seed to seed too ...
    "amount quantiles": (
        lambda t: np.quantile(t["TX_AMOUNT"], [0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 0.999]), 0.15
    ),
    # ... so the sharp comparison is of a payment with its customer's mean
    "amount by customer, quantiles": (
        lambda t: np.quantile(_by_customer(t), [0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99]), 0.03
    ),
    "rows": (lambda t: float(len(t["TX_AMOUNT"])), 0.04),
    "rows of a customer, quantiles": (
        lambda t: np.quantile(np.bincount(t["CUSTOMER_ID"], minlength=5000), [0.1, 0.3, 0.5, 0.7, 0.9]), 0.12
    ),
    "rows of a terminal, quantiles": (
        lambda t: np.quantile(np.bincount(t["TERMINAL_ID"], minlength=10_000), [0.1, 0.5, 0.9]), 0.1
    ),
    "terminals of a customer": (
        lambda t: len(np.unique(t["CUSTOMER_ID"] * 10_000 + t["TERMINAL_ID"])) / 5000, 0.05
    ),
    "hour of day": (lambda t: _shares(t["TX_TIME_SECONDS"] // 3600 % 24, 24), 0.06),
    "day of week": (lambda t: _shares(t["TX_TIME_DAYS"][t["TX_TIME_DAYS"] < 70] % 7, 7), 0.02),
    "scenario 1": (lambda t: float((t["TX_FRAUD_SCENARIO"] == 1).sum()), 0.35),
    "scenario 2": (lambda t: float((t["TX_FRAUD_SCENARIO"] == 2).sum()), 0.15),
    "scenario 3": (lambda t: float((t["TX_FRAUD_SCENARIO"] == 3).sum()), 0.20),
    "amount of scenario 1": (lambda t: t["TX_AMOUNT"][t["TX_FRAUD_SCENARIO"] == 1].mean(), 0.02),
    "amount of scenario 2": (lambda t: t["TX_AMOUNT"][t["TX_FRAUD_SCENARIO"] == 2].mean(), 0.06),
    "amount of scenario 3": (lambda t: t["TX_AMOUNT"][t["TX_FRAUD_SCENARIO"] == 3].mean(), 0.20),
}  # fmt: skip


@pytest.mark.external
@pytest.mark.parametrize("figure", AGAINST_REAL)
def test_like_the_real_days(full: Columns, real: Columns, figure: str) -> None:
    measure, allowed = AGAINST_REAL[figure]
    np.testing.assert_allclose(measure(first_days(full, 71)), measure(real), rtol=allowed)


@pytest.mark.parametrize("which", ["full", "real"])
def test_rules_that_hold_exactly(which: str, request: pytest.FixtureRequest) -> None:
    rows: Columns = request.getfixturevalue(which)
    amount, scenario = rows["TX_AMOUNT"], rows["TX_FRAUD_SCENARIO"]
    assert (amount[scenario == 1] > 220).all()
    assert not (amount[scenario == 0] > 220).any()
    assert (rows["TX_FRAUD"] == (scenario > 0)).all()
    assert (np.abs(amount * 100 - np.rint(amount * 100)) < 1e-6).all()
    assert amount.min() >= 0
    order = np.argsort(rows["TRANSACTION_ID"])
    assert (rows["TRANSACTION_ID"][order] == np.arange(len(order))).all()
    assert (np.diff(rows["TX_DATETIME"][order]) >= np.timedelta64(0, "us")).all()
    seconds = (rows["TX_DATETIME"] - np.datetime64("2018-04-01")).astype("timedelta64[us]").astype(np.int64)
    assert (seconds == rows["TX_TIME_SECONDS"] * 1_000_000).all()
    assert (rows["TX_TIME_DAYS"] == rows["TX_TIME_SECONDS"] // 86_400).all()


def test_campaigns_last_as_long_as_published() -> None:
    rows = columns_of(generate(400, 60, 120, START, 200, 3))
    terminal, day = rows["TERMINAL_ID"], rows["TX_TIME_DAYS"]
    # two of 60 terminals a day, 28 days each: a terminal is free with (1 - 2/60)^28
    free = 1 - (rows["TX_FRAUD_SCENARIO"][day >= 28] == 2).mean()
    assert free == pytest.approx((1 - 2 / 60) ** 28, abs=0.06)
    # all or nothing on a day at a terminal, but for payments that scenario 3 took afterwards
    taken = np.zeros((60, 120), dtype=np.int64)
    np.add.at(taken, (terminal, day), np.where(rows["TX_FRAUD_SCENARIO"] == 2, 1, 0))
    honest = np.zeros_like(taken)
    np.add.at(honest, (terminal, day), np.where(rows["TX_FRAUD_SCENARIO"] < 2, 1, 0))
    assert not ((taken > 0) & (honest > 0)).any()
    runs = _runs(honest == 0)
    assert min(runs) >= 28


def _runs(held: np.ndarray) -> list[int]:
    """Lengths of the runs of days held that end before the last day and begin after the first."""
    found = []
    for row in held.astype(np.int8):
        edges = np.diff(row)
        begins, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
        found += [
            int(end - begin) for begin, end in zip(begins, ends[ends > begins.min(initial=999)], strict=False)
        ]
    return found


@settings(max_examples=15, deadline=None)
@given(days=st.integers(1, 40), more=st.integers(1, 30), seed=st.integers(0, 5), customers=st.integers(1, 60))
def test_a_longer_history_begins_with_the_shorter(days: int, more: int, seed: int, customers: int) -> None:
    short = generate(customers, 50, days, START, 30, seed)
    long = generate(customers, 50, days + more, START, 30, seed)
    assert long.slice(0, short.num_rows).equals(short)
    assert generate(customers, 50, days, START, 30, seed).equals(short)


def test_another_seed_gives_other_rows() -> None:
    assert not generate(20, 50, 5, START, 30, 0).equals(generate(20, 50, 5, START, 30, 1))


def test_a_customer_with_no_terminal_near_makes_no_payment() -> None:
    assert generate(30, 1, 10, START, 0.001, 0).num_rows == 0


def small(**changes: object) -> Source:
    fields = {**declared().model_dump(), "end": date(2018, 4, 11),
              "generator": {"customers": 50, "terminals": 50, "radius": 30}}  # fmt: skip
    return Source.model_validate({**fields, **changes})


def test_as_a_source_it_hands_out_days() -> None:
    reader = open_source(small(), Path(), {})
    days = reader.days()
    assert (len(days), min(days), max(days)) == (10, "2018-04-01", "2018-04-10")
    everything = generate(50, 50, 10, START, 30, 0)
    assert pa.concat_tables([reader.read(day) for day in days]).equals(everything)
    with pytest.raises(SourceError, match="no day 2018-04-11"):
        reader.read("2018-04-11")


@pytest.mark.parametrize(
    ("changes", "moves"),
    [
        ({"end": date(2018, 4, 21)}, False),
        ({"description": "other words"}, False),
        ({"generator": {"customers": 50, "terminals": 50, "radius": 30, "seed": 1}}, True),
        ({"generator": {"customers": 51, "terminals": 50, "radius": 30}}, True),
    ],
    ids=["later end", "description", "seed", "customers"],
)
def test_a_token_moves_with_what_makes_the_rows(changes: dict[str, object], moves: bool) -> None:
    before, after = (open_source(s, Path(), {}).days()["2018-04-03"] for s in (small(), small(**changes)))
    assert (before != after) is moves


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"end": None}, "needs `end`"),
        ({"generator": {"custmers": 5}}, "did you mean 'customers'"),
    ],
    ids=["no end", "unknown setting"],
)
def test_a_generator_that_cannot_work_is_told(changes: dict[str, object], told: str) -> None:
    with pytest.raises(SourceError, match=told):
        open_source(small(**changes), Path(), {})
