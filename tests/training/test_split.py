"""Which days train and which test."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from platform_assets.declaration.product import Split
from platform_assets.errors import DeclarationError
from platform_assets.training.split import check_label_delay, resolve_split


@pytest.mark.parametrize(
    ("split", "train", "test"),
    [
        (Split(kind="fixed", train_start=date(2018, 7, 25), train_days=7, delay_days=7, test_days=7),
         ("2018-07-25", "2018-07-31"), ("2018-08-08", "2018-08-14")),
        (Split(train_days=7, delay_days=7, test_days=7),
         ("2018-09-10", "2018-09-16"), ("2018-09-24", "2018-09-30")),
        (Split(train_days=1, delay_days=0, test_days=1),
         ("2018-09-29", "2018-09-29"), ("2018-09-30", "2018-09-30")),
    ],
    ids=["fixed, as published", "rolling ends with the newest day", "no delay"],
)  # fmt: skip
def test_days(split: Split, train: tuple[str, str], test: tuple[str, str]) -> None:
    days = resolve_split(split, "2018-09-30")
    assert (days.train[0], days.train[-1]) == train
    assert (days.test[0], days.test[-1]) == test
    assert days.trained_as_of == f"{test[0]}T00:00:00.000000Z"
    assert days.id == f"{train[0]}_{split.train_days}_{split.delay_days}_{split.test_days}"


@given(
    st.integers(1, 40), st.integers(0, 20), st.integers(1, 40), st.dates(date(2000, 1, 1), date(2090, 1, 1))
)
def test_rolling_split_fills_its_days_exactly(train: int, delay: int, test: int, newest: date) -> None:
    days = resolve_split(Split(train_days=train, delay_days=delay, test_days=test), newest.isoformat())
    assert (len(days.train), len(days.test), days.test[-1]) == (train, test, newest.isoformat())
    first, last = (date.fromisoformat(day) for day in (days.train[-1], days.test[0]))
    assert last - first == timedelta(days=delay + 1)
    assert list(days.days) == sorted(set(days.days))


@pytest.mark.parametrize(
    ("delay", "label", "refused"),
    [
        (7, {"column": "TX_FRAUD", "delay": "7d"}, False),
        (6, {"column": "TX_FRAUD", "delay": "7d"}, True),
        (7, {"column": "TX_FRAUD", "delay": "169h"}, True),
        (0, {"column": "TX_FRAUD", "delay": 0}, False),
        (0, {"column": "TX_FRAUD", "delay": "7d", "available_at": "TX_DATETIME"}, False),
    ],
    ids=["long enough", "a day short", "an hour short", "known at once", "told by a column"],
)
def test_a_split_waits_for_its_labels(bank, delay: int, label: dict, refused: bool) -> None:
    product = bank.declaring(split={"delay_days": delay}, label=label).product
    if refused:
        with pytest.raises(DeclarationError, match=r"split.delay_days is \d.*label.delay .*at least [78]"):
            check_label_delay(product)
    else:
        check_label_delay(product)
