"""Training runs: one MLflow run an attempt, the same model from the same inputs, and cures for accidents."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from platform_assets.errors import Blocked, LakeError, PlatformError
from platform_assets.lake.manifest import Manifest
from platform_assets.training.attempt import attempt
from platform_assets.training.estimator import score
from platform_assets.training.mlflow_store import open_mlflow
from platform_assets.training.training_run import load_model, train
from platform_assets.training.training_set import read_training_set
from platform_assets.vocabulary import product_table


def _runs(bank):
    client = open_mlflow(bank.stores)
    experiment = client.get_experiment_by_name(bank.product.name)
    return client.search_runs([experiment.experiment_id]) if experiment else []


def _train(bank, made: Manifest) -> Manifest:
    return train(bank.stores, bank.repository, bank.product, made, cause="test")


def test_a_run_tells_everything_the_model_was_made_from(bank) -> None:
    made = bank.training_set()
    run = _train(bank, made)
    payload = bank.stores.lake.table(run.table).document_of(run)
    assert payload["training_set_digest"] == made.digest
    assert payload["inputs"] == list(bank.repository.input_columns(bank.product))
    assert payload["views"] == {v.name: v.code_version for v in bank.repository.views_of(bank.product)}
    assert payload["gates_version"] == bank.product.gates_version
    assert len(payload["gates"]) == 7
    assert run.inputs == {made.table: {made.partition: made.digest}}
    (logged,) = _runs(bank)
    assert (logged.info.status, logged.info.run_id) == ("FINISHED", run.notes["mlflow_run_id"])
    assert logged.data.params["estimator"] == "sklearn.linear_model.LogisticRegression"
    assert logged.data.params["train_rows"] == str(made.notes["train_rows"])
    assert logged.data.tags["model_digest"] == payload["model_digest"]
    assert logged.data.tags["training_set"].endswith(made.digest)
    assert {"code_version", "lock_digest", "view.terminal_risk"} <= logged.data.tags.keys()
    folder = bank.stores.home.root / run.notes["artifact_path"]
    assert {"MLmodel", "input_example.json", "requirements.txt"} <= {p.name for p in folder.iterdir()}
    assert "signature" in (folder / "MLmodel").read_text()
    model = load_model(bank.stores, run.notes["artifact_path"], run.notes["artifact_digest"])
    scores = score(model, read_training_set(bank.stores, made, "test"))
    assert len(scores) == made.notes["test_rows"]
    assert 0 <= scores.min() < scores.max() <= 1


@pytest.mark.parametrize(
    "path",
    [
        "sklearn.linear_model.LogisticRegression",
        "sklearn.ensemble.RandomForestClassifier",
        "lightgbm.LGBMClassifier",
    ],
)
def test_the_same_inputs_give_the_same_model(bank, path: str) -> None:
    parameters = {"n_estimators": 20, "n_jobs": 2} if "Logistic" not in path else {}
    bank = bank.declaring(estimator={"path": path, "parameters": parameters})
    made = bank.training_set()
    first, second = _train(bank, made), _train(bank, made)
    assert second == first
    assert len(_runs(bank)) == 2
    other = bank.declaring(estimator={"parameters": {**parameters, "random_state": 5}})
    if "Logistic" not in path:
        assert _train(other, made).digest != first.digest


def test_a_failed_attempt_is_told_and_leaves_nothing(bank) -> None:
    made = bank.training_set()
    # each value is right by itself: only fitting finds out
    bad = bank.declaring(estimator={"parameters": {"solver": "lbfgs", "penalty": "l1"}})
    with pytest.raises(PlatformError, match=r"could not be fitted on \d+ rows.*lbfgs"):
        _train(bad, made)
    (logged,) = _runs(bank)
    assert logged.info.status == "FAILED"
    assert "lbfgs" in logged.data.tags["error"]
    assert bank.stores.lake.table(product_table("card_fraud", "training_run")).partitions() == []


def test_a_training_set_of_another_declaration_is_refused(bank) -> None:
    made = bank.training_set()
    with pytest.raises(Blocked, match="another declaration"):
        _train(bank.declaring(inputs=["TX_AMOUNT"]), made)


KILLED = """
import sys
from platform_assets.home import Home
from platform_assets.stores import Stores
from platform_assets.training.attempt import attempt
with attempt(Stores.at(Home.at(sys.argv[1])), "card_fraud", {}):
    print("running", flush=True)
    sys.stdin.read()  # until it is killed
"""


def test_an_attempt_whose_process_is_gone_is_ended_by_the_next(bank) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(bank.stores.home.root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "running\n"
    with attempt(bank.stores, "card_fraud", {}):
        assert [run.info.status for run in _runs(bank)] == ["RUNNING", "RUNNING"], "one alive is left alone"
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    with attempt(bank.stores, "card_fraud", {}) as mine:
        pass
    statuses = {run.info.run_id: run.info.status for run in _runs(bank)}
    assert sorted(statuses.values()) == ["FINISHED", "FINISHED", "KILLED"]
    assert statuses[mine.id] == "FINISHED"


@pytest.mark.parametrize("accident", ["edited", "lost"])
def test_training_again_cures_a_broken_model_folder(bank, accident: str) -> None:
    made = bank.training_set()
    first = _train(bank, made)
    folder = bank.stores.home.root / first.notes["artifact_path"]
    if accident == "edited":
        (folder / "model.pkl").write_bytes(b"something else")
    else:
        shutil.rmtree(folder)
    with pytest.raises(LakeError, match=r"changed|gone"):
        load_model(bank.stores, first.notes["artifact_path"], first.notes["artifact_digest"])
    second = _train(bank, made)
    assert (second.digest, second.sequence) == (first.digest, 1), "the recorded folder was healed"
    model = load_model(bank.stores, first.notes["artifact_path"], first.notes["artifact_digest"])
    assert np.all(score(model, read_training_set(bank.stores, made)) <= 1)


def test_a_fresh_database_survives_being_opened_at_once(bank) -> None:
    shutil.rmtree(bank.stores.home.mlflow)
    all_begun = threading.Barrier(6)

    def run(number: int) -> str:
        with attempt(bank.stores, "card_fraud", {"split": str(number)}) as mine:
            all_begun.wait(60)
            return mine.id

    with ThreadPoolExecutor(6) as pool:
        identifiers = list(pool.map(run, range(6)))
    assert {r.info.run_id for r in _runs(bank)} == set(identifiers)


def test_a_model_saved_with_other_bytes_gets_a_manifest_of_its_own(bank) -> None:
    """Under another lock the same scores may be saved otherwise; the broken folder is then given up."""
    made = bank.training_set()
    first = _train(bank, made)
    table = bank.stores.lake.table(product_table("card_fraud", "training_run"))
    path = table.folder / "manifests" / first.partition / "000001.json"
    path.write_bytes(path.read_bytes().replace(first.notes["artifact_digest"].encode(), b"f" * 32))
    second = _train(bank, made)
    assert second.sequence == 2
    assert second.notes["artifact_path"] != first.notes["artifact_path"]


def test_training_twice_saves_the_same_bytes(bank) -> None:
    made = bank.training_set()
    first = _train(bank, made)
    shutil.rmtree(bank.stores.home.root / first.notes["artifact_path"])
    _train(bank, made)
    load_model(bank.stores, first.notes["artifact_path"], first.notes["artifact_digest"])
