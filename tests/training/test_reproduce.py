"""Reproduction: from raw rows alone in a fresh process, and what it says when that is not possible."""

from __future__ import annotations

import re
import shutil

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from platform_assets.training.rebuilding import rebuild, recorded_version
from platform_assets.training.reproduce import compare, reproduce
from platform_assets.vocabulary import raw_table


def test_a_fresh_process_finds_identical_predictions(registered) -> None:
    found = reproduce(registered.stores, registered.repository, registered.product, "1")
    assert found.identical, found.summary()
    assert (found.different_scores, found.max_difference, found.differences) == (0, 0.0, ())
    assert found.rows > found.test_rows > 0
    assert "identical predictions" in found.summary()


def _correct_a_day(bank) -> None:
    rows = bank.raw("2018-04-16")
    doubled = pc.multiply(rows["TX_AMOUNT"], 2.0)
    bank.write_raw(rows.set_column(rows.column_names.index("TX_AMOUNT"), "TX_AMOUNT", doubled))
    bank.build_features()
    bank.train()


def _change_declaration(bank) -> None:
    changed = bank.with_view("terminal_risk", ttl="3d").declaring(
        inputs=["TX_AMOUNT"], estimator={"parameters": {"C": 0.01}}
    )
    changed.build_features()
    changed.train()


def _lose_features(bank) -> None:
    shutil.rmtree(bank.stores.lake.root / "tables/features")


@pytest.mark.parametrize(
    "later", [_correct_a_day, _change_declaration, _lose_features], ids=lambda change: change.__name__
)
def test_what_happened_since_does_not_matter(registered, later) -> None:
    later(registered)
    found = compare(registered.stores, "card_fraud", "1")
    assert found.identical, found.summary()


def _edit_model(bank) -> None:
    run = bank.stores.lake.table("products/card_fraud/training_run").manifest("2018-04-15_7_7_7")
    path = bank.stores.home.root / run.notes["artifact_path"] / "model.pkl"
    path.write_bytes(path.read_bytes() + b" ")


def _lose_raw(bank) -> None:
    table = bank.stores.lake.table(raw_table("card_transactions"))
    table.path(table.manifest("2018-04-09")).unlink()


def _edit_raw(bank) -> None:
    """Other rows in the file of a version that says it never changes."""
    table = bank.stores.lake.table(raw_table("card_transactions"))
    path = table.path(table.manifest("2018-04-16"))
    rows = pq.read_table(path, partitioning=None)
    doubled = pc.multiply(rows["TX_AMOUNT"], 2.0)
    pq.write_table(rows.set_column(rows.column_names.index("TX_AMOUNT"), "TX_AMOUNT", doubled), path)


@pytest.mark.parametrize(
    ("spoil", "version", "told"),
    [
        (_edit_model, "1", "saved model cannot be compared: .*changed"),
        (_lose_raw, "1", "could not be rebuilt: .*is gone"),
        (_edit_raw, "1", r"training set differs.*\n.*model digest differs.*\n.*predictions differ in \d+ of"),
        (lambda bank: None, "7", "version 7 was never registered"),
    ],
    ids=["model edited", "raw version gone", "raw file edited", "no such version"],
)
def test_what_differs_is_told(registered, spoil, version: str, told: str) -> None:
    spoil(registered)
    found = reproduce(registered.stores, registered.repository, registered.product, version)
    assert not found.identical
    assert re.search(told, found.summary()), found.summary()


def test_other_packages_are_named_beside_equal_predictions(registered) -> None:
    """The saved model's own files say what it was saved with."""
    run = registered.stores.lake.table("products/card_fraud/training_run").manifest("2018-04-15_7_7_7")
    folder = registered.stores.home.root / run.notes["artifact_path"]
    required = folder / "requirements.txt"
    required.write_text(re.sub(r"numpy==.*", "numpy==1.0.0", required.read_text()))
    differences = compare(registered.stores, "card_fraud", "1").differences
    assert f"numpy differs: 1.0.0 when it was trained, {np.__version__} now" in differences


def test_rebuilt_rows_are_those_of_the_training_set(registered) -> None:
    recorded = recorded_version(registered.stores, "card_fraud", "1")
    rebuilt = rebuild(registered.stores, recorded)
    assert rebuilt.training_set_digest == recorded.training_set.digest
    assert rebuilt.rows.num_rows == recorded.training_set.rows


LOGISTIC = "sklearn.linear_model.LogisticRegression"


@pytest.mark.slow
@pytest.mark.parametrize(
    "estimator",
    [
        {"path": "lightgbm.LGBMClassifier", "parameters": {"n_estimators": 10, "verbosity": -1}},
        {"path": "xgboost.XGBClassifier", "parameters": {"n_estimators": 10}},
        {"path": "sklearn.ensemble.IsolationForest", "parameters": {"n_estimators": 20}},
        {"path": "sklearn.neighbors.KernelDensity", "parameters": {}, "preprocessing": ["standardise"]},
        {"path": LOGISTIC, "parameters": {}, "calibration": {"method": "sigmoid", "fraction": 0.4}},
    ],
    ids=["lightgbm", "xgboost", "outliers", "density", "calibrated"],
)
def test_every_kind_of_estimator_is_reproduced_in_a_fresh_process(bank, estimator) -> None:
    declared = bank.declaring(estimator=estimator)
    run = declared.train()
    declared.register()
    found = reproduce(declared.stores, declared.repository, declared.product, "1")
    assert found.identical, found.summary()
    assert found.differences == ()
    # training again makes the same folder, byte for byte
    shutil.rmtree(declared.stores.home.root / run.notes["artifact_path"])
    declared.train()
    assert reproduce(declared.stores, declared.repository, declared.product, "1").identical
