"""Training sets: which rows and values are in, and when none is built."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from platform_assets.errors import Blocked, DeclarationError, TrainingError
from platform_assets.evidence.evidence import Verdict
from platform_assets.evidence.standing import today
from platform_assets.evidence.waiver import record_waiver
from platform_assets.evidence.withdrawal import record_withdrawal
from platform_assets.features.equality import feature_equality
from platform_assets.training.leakage import leakage_guard
from platform_assets.training.training_set import (
    expected_training_inputs,
    newest_split,
    read_training_set,
)
from platform_assets.vocabulary import AVAILABLE_AT, feature_table, product_table, raw_table

EXTERNAL = Path(__file__).resolve().parents[2].parent / "shared/data/card_transactions"


def _bare(bank):
    """Without features: what is asked of rows and labels alone."""
    return bank.declaring(inputs=["TX_AMOUNT"], feature_views=[])


def _published_split(frame: pd.DataFrame, start: date, train: int, delay: int, test: int):
    """`get_train_test_set` of the handbook, day by day: an oracle that shares no code with ours."""
    day = frame["TX_DATETIME"].dt.date
    train_rows = frame[(day >= start) & (day < start + timedelta(days=train))]
    known = set(train_rows[train_rows.TX_FRAUD == 1].CUSTOMER_ID)
    parts = []
    for number in range(test):
        rows = frame[day == start + timedelta(days=train + delay + number)]
        newly = frame[day == start + timedelta(days=train + number - 1)]
        known |= set(newly[newly.TX_FRAUD == 1].CUSTOMER_ID)
        parts.append(rows[~rows.CUSTOMER_ID.isin(known)])
    return train_rows, pd.concat(parts)


@pytest.mark.parametrize(
    ("train", "delay", "test"), [(7, 7, 7), (3, 7, 10), (5, 8, 1)], ids=["published", "long test", "one day"]
)
def test_rows_equal_the_published_split(bank, train: int, delay: int, test: int) -> None:
    bank = _bare(bank).declaring(split={"train_days": train, "delay_days": delay, "test_days": test})
    made = bank.training_set()
    table = bank.stores.lake.table(raw_table(bank.product.source))
    frame = table.read(table.partitions()).to_pandas()
    expected = _published_split(frame, date.fromisoformat(made.notes["train_days"][0]), train, delay, test)
    for part, rows in zip(("train", "test"), expected, strict=True):
        ours = read_training_set(bank.stores, made, part).to_pandas()
        assert sorted(ours.TRANSACTION_ID) == sorted(rows.TRANSACTION_ID)
        assert (len(ours), ours.TX_FRAUD.sum()) == (
            made.notes[f"{part}_rows"],
            made.notes[f"{part}_positives"],
        )
    everything = frame[frame.TX_DATETIME.dt.strftime("%Y-%m-%d").isin(made.notes["test_days"])]
    assert made.notes["removed_known_rows"] == len(everything) - len(expected[1]) > 0


def test_without_removal_every_test_row_stays(bank) -> None:
    made = _bare(bank).declaring(split={"remove_known": None}).training_set()
    assert made.notes["removed_known_rows"] == 0
    assert made.notes["test_rows"] == sum(bank.raw(day).num_rows for day in made.notes["test_days"])


def test_values_are_those_of_the_row_itself_and_columns_stand_in_declared_order(bank) -> None:
    made = bank.training_set()
    rows = read_training_set(bank.stores, made)
    inputs = bank.repository.input_columns(bank.product)
    assert [name for name in rows.column_names if name in inputs] == list(inputs)
    assert rows.column_names[-2:] == ["TX_FRAUD", "_split"]
    assert len(set(rows.column_names)) == 1 + 3 + 15 + 2
    days = (*made.notes["train_days"], *made.notes["test_days"])
    for view in bank.repository.views_of(bank.product):
        own = (
            bank.stores.lake.table(feature_table(view.name))
            .read(days)
            .select(["TRANSACTION_ID", *view.feature_names])
            .to_pandas()
            .set_index("TRANSACTION_ID")
        )
        ours = rows.select(["TRANSACTION_ID", *view.feature_names]).to_pandas().set_index("TRANSACTION_ID")
        own = own.loc[ours.index]
        # a card that pays twice in one second sees both payments in both windows, so values agree
        np.testing.assert_allclose(ours.to_numpy(dtype=float), own.to_numpy(dtype=float), atol=1e-9)


def test_built_again_it_is_the_same_version(bank) -> None:
    first = bank.training_set()
    assert bank.training_set() == first
    split = newest_split(bank.stores, bank.repository, bank.product)
    inputs = expected_training_inputs(bank.stores, bank.repository, bank.product, split)
    assert first.is_made_from(bank.product.training_version, inputs)
    # every raw day that reaches a 30 day window delayed by 7 days, from the first row on
    assert min(first.inputs[raw_table(bank.product.source)]) == "2018-04-01"


def _forget(bank, table: str, day: str) -> None:
    shutil.rmtree(bank.stores.lake.table(table).folder / "manifests" / day)


def _correct(bank, day: str) -> None:
    rows = bank.raw(day)
    bank.write_raw(
        rows.set_column(rows.column_names.index("TX_AMOUNT"), "TX_AMOUNT", pc.add(rows["TX_AMOUNT"], 1.0))
    )


def _fail_contract(bank, day: str) -> None:
    manifest = bank.stores.lake.table(raw_table(bank.product.source)).manifest(day)
    bank.contract(manifest, Verdict.FAILED)


@pytest.mark.parametrize(
    ("break_it", "told"),
    [
        (lambda b: _forget(b, "features/terminal_risk", "2018-04-20"),
         r"'terminal_risk' on 2018-04-20: 1 days missing, 0 made from other.*\nmaterialize"),
        (lambda b: _forget(b, "features/customer_spending", "2018-04-14"), r"customer_spending.*2018-04-14"),
        (lambda b: _correct(b, "2018-04-20"),
         r"'transaction_calendar' on 2018-04-20: 0 days missing, 1 made.*\n"
         r".*'customer_spending' on 2018-04-20 to 2018-04-21, 2018-04-28 to 2018-05-05: 0 days.*\n"
         r".*'terminal_risk' on 2018-04-20, 2018-04-28 to 2018-05-05: 0 days missing, 9 made"),
        (lambda b: _fail_contract(b, "2018-04-02"), r"1 raw days .*not trusted:\n  2018-04-02"),
        (lambda b: _forget(b, "raw/card_transactions", "2018-04-23"), r"2018-04-23"),
    ],
    ids=["missing feature day", "missing day looked back to", "stale feature days", "red raw day",
         "missing raw day"],
)  # fmt: skip
def test_nothing_is_built_on_a_day_that_is_missing_stale_or_red(bank, break_it, told: str) -> None:
    break_it(bank)
    with pytest.raises(Blocked, match=told):
        bank.training_set()
    assert bank.stores.lake.table(product_table("card_fraud", "training_set")).partitions() == []


def test_nothing_is_built_on_a_red_day_whose_waiver_was_withdrawn(bank) -> None:
    table = bank.stores.lake.table(raw_table("card_transactions"))
    _fail_contract(bank, "2018-04-16")
    red = bank.stores.evidence.latest("contract", table.name, "2018-04-16")
    owner = bank.repository.source("card_transactions").owners[0]
    waiver = record_waiver(bank.stores.ledger, red, owner, "known", today(), by="ana@payments.example")
    assert bank.training_set().rows > 0
    record_withdrawal(bank.stores.ledger, waiver.sequence, "ana@payments.example", "it was wrong after all")
    with pytest.raises(Blocked, match="1 raw days of source 'card_transactions' that reach its rows are not"):
        bank.training_set()


def test_a_view_of_another_version_is_stale(bank) -> None:
    with pytest.raises(Blocked, match=r"customer_spending.*made from other raw versions or view code"):
        bank.with_view("customer_spending", version=2).training_set()


def test_a_raw_day_that_reaches_nothing_does_not_matter(bank) -> None:
    bank.write_raw(_day_after(bank), trusted=False)
    fixed = bank.declaring(split={"kind": "fixed", "train_start": "2018-04-15"})
    assert fixed.training_set().partition == "2018-04-15_7_7_7"


def _day_after(bank) -> pa.Table:
    rows = bank.raw("2018-05-05").slice(0, 50).drop_columns([AVAILABLE_AT])
    moved = pc.add(rows["TX_DATETIME"], pa.scalar(timedelta(days=1), pa.duration("us")))
    rows = rows.set_column(rows.column_names.index("TX_DATETIME"), "TX_DATETIME", moved)
    ids = pc.add(rows["TRANSACTION_ID"], 10_000_000)
    return rows.set_column(rows.column_names.index("TRANSACTION_ID"), "TRANSACTION_ID", ids)


def _relabel(bank, values) -> None:
    """Rewrite the train days with other labels."""
    for day in newest_split(bank.stores, bank.repository, bank.product).train:
        rows = bank.raw(day)
        labels = pa.array(values(rows.num_rows), pa.int64())
        bank.write_raw(rows.set_column(rows.column_names.index("TX_FRAUD"), "TX_FRAUD", labels))


@pytest.mark.parametrize(
    ("values", "told"),
    [
        (lambda n: np.zeros(n), r"one class only .*: 0 positives in \d+ rows"),
        (lambda n: np.ones(n), "one class only"),
        (lambda n: np.full(n, 2), r"neither 0 nor 1 in \d+ of \d+ rows"),
    ],
    ids=["all negative", "all positive", "another number"],
)
def test_labels_that_cannot_train(bank, values, told: str) -> None:
    bank = _bare(bank)
    _relabel(bank, values)
    with pytest.raises(TrainingError, match=told):
        bank.training_set()


def test_rows_without_a_label_are_left_out_and_counted(bank) -> None:
    bank = _bare(bank)
    before = bank.training_set().notes
    _relabel(bank, lambda n: [None, *([0, 1] * n)][:n])
    after = bank.training_set().notes
    assert after["unlabelled_rows"] == 7
    assert after["train_rows"] == before["train_rows"] - 7


def _with_label_time(bank, delays):
    """The same bank with a column that tells when each label became known."""
    source = bank.repository.source(bank.product.source)
    column = {"name": "LABEL_AT", "type": "timestamp"}
    changed = type(source).model_validate(
        {**source.model_dump(mode="json"), "columns": [*source.model_dump(mode="json")["columns"], column]}
    )
    repository = replace(bank.repository, sources={source.name: changed})
    bank = replace(_bare(bank), repository=repository).declaring(
        label={"available_at": "LABEL_AT"}, split={"delay_days": 2}
    )
    table = bank.stores.lake.table(raw_table(source.name))
    for day in table.partitions():
        rows = table.read([day])
        known = pc.add(rows["TX_DATETIME"], pa.array(delays(rows), pa.duration("us")))
        bank.write_raw(rows.append_column("LABEL_AT", known))
    return bank


def test_labels_not_known_in_time_are_left_out_and_counted(bank) -> None:
    # frauds take nine days to be told, the split waits two
    bank = _with_label_time(
        bank,
        lambda rows: [
            timedelta(days=9 if fraud and i % 2 else 1)
            for i, fraud in enumerate(rows["TX_FRAUD"].to_pylist())
        ],
    )
    made = bank.training_set()
    split = newest_split(bank.stores, bank.repository, bank.product)
    frame = pa.concat_tables([bank.raw(day) for day in split.train]).to_pandas()
    known = frame[split.trained_as_of.removesuffix("Z") >= frame.LABEL_AT]
    assert 0 < made.notes["label_not_yet_known_rows"] == len(frame) - len(known)
    assert made.notes["train_positives"] == known.TX_FRAUD.sum()


def test_no_label_known_in_time_is_an_error(bank) -> None:
    bank = _with_label_time(bank, lambda rows: [timedelta(days=30)] * rows.num_rows)
    with pytest.raises(TrainingError, match=r"none of the \d+ labels .*raise split.delay_days"):
        bank.training_set()


def test_as_known_then_leaves_out_train_rows_that_arrived_later(bank) -> None:
    bank = _bare(bank)
    day = newest_split(bank.stores, bank.repository, bank.product).train[0]
    rows = bank.raw(day)
    late = pc.if_else(
        pc.less(rows["TRANSACTION_ID"], rows["TRANSACTION_ID"][5]),
        pa.scalar(pd.Timestamp("2030-01-01").to_pydatetime(), pa.timestamp("us")),
        rows[AVAILABLE_AT],
    )
    bank.write_raw(rows.set_column(rows.column_names.index(AVAILABLE_AT), AVAILABLE_AT, late))
    now = bank.training_set().notes
    then = bank.declaring(split={"reading": "as_known_then"}).training_set().notes
    assert (then["arrived_later_rows"], then["reading"]) == (5, "as_known_then")
    assert then["train_rows"] == now["train_rows"] - 5


@pytest.mark.parametrize(
    ("changes", "error", "told"),
    [
        ({"inputs": ["TX_DATETIME"]}, DeclarationError, "input 'TX_DATETIME' is declared timestamp"),
        (
            {"split": {"train_days": 40}},
            TrainingError,
            "the split needs .* but source .* starts at 2018-04-01",
        ),
        ({"split": {"delay_days": 3}}, DeclarationError, "split.delay_days is 3"),
        ({"inputs": ["TX_AMOUNTS"]}, DeclarationError, "did you mean 'TX_AMOUNT'"),
    ],
    ids=["time as input", "longer than the source", "labels not waited for", "input that does not exist"],
)
def test_declarations_that_cannot_train(bank, changes, error, told: str) -> None:
    with pytest.raises(error, match=told):
        bank.declaring(**changes).training_set()


@pytest.mark.external
@pytest.mark.skipif(not EXTERNAL.is_dir(), reason="external data is not here (../shared/data)")
def test_time_and_id_order_is_the_order_of_ids_on_published_data() -> None:
    """The published models were fitted in order of TRANSACTION_ID; ours in order of time, then id."""
    for path in sorted(EXTERNAL.glob("*.parquet"))[:71:10]:
        rows = pq.read_table(path, columns=["TRANSACTION_ID", "TX_DATETIME"])
        by_time = rows.sort_by([("TX_DATETIME", "ascending"), ("TRANSACTION_ID", "ascending")])
        assert by_time["TRANSACTION_ID"].equals(rows.sort_by("TRANSACTION_ID")["TRANSACTION_ID"])


def test_a_correction_counts_as_known_now_and_not_as_known_then(bank) -> None:
    """A train row whose amount was corrected later keeps its own features in the present reading."""
    day = newest_split(bank.stores, bank.repository, bank.product).train[0]
    rows = bank.raw(day)
    arrived = pa.array([datetime(2018, 12, 1)] * rows.num_rows, pa.timestamp("us"))
    late = rows.set_column(rows.column_names.index(AVAILABLE_AT), AVAILABLE_AT, arrived)
    bank.build_features()
    before = read_training_set(bank.stores, bank.training_set())
    bank.write_raw(late)
    bank.build_features()
    now = read_training_set(bank.stores, bank.training_set())
    assert now.equals(before)
    guard = leakage_guard(bank.stores, bank.repository, bank.product, bank.training_set())
    assert guard.verdict is Verdict.PASSED, guard.reason
    equality = feature_equality(bank.stores, bank.repository, bank.product, bank.training_set())
    assert equality.verdict is Verdict.PASSED, equality.reason
    then = bank.declaring(split={"reading": "as_known_then"})
    assert then.training_set().notes["arrived_later_rows"] == rows.num_rows
