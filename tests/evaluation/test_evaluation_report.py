"""The evaluation report: what it writes, what it binds to, and what it says when it could not measure."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from platform_assets.errors import Blocked, LakeError, TrainingError
from platform_assets.evaluation.evaluation_report import evaluation_version
from platform_assets.evaluation.metrics import evaluate_metrics
from platform_assets.evaluation.report_files import write_report_files
from platform_assets.evidence.evidence import Verdict
from platform_assets.lake.digest import digest_of_digests

SPLIT = "2024-01-01_2_1_2"
KEYS = ("roc_auc", "average_precision", "card_precision_5")


def payload_of(shop, report):
    return shop.table("evaluation_report").document_of(report)


def test_metrics_are_those_of_the_stored_scores(evaluated) -> None:
    shop, _, _, report = evaluated
    scores = shop.table("test_scores").read([SPLIT])
    test = shop.table("training_set").read([SPLIT])
    test = test.filter(pc.equal(test.column("_split"), "test"))  # both sorted by primary key
    assert scores.column("order_id").equals(test.column("order_id"))
    labels, values = test.column("returned").to_numpy(), scores.column("score").to_numpy()
    metrics = payload_of(shop, report)["metrics"]
    assert tuple(metrics) == tuple(sorted(KEYS))
    assert metrics["roc_auc"] == pytest.approx(roc_auc_score(labels, values))
    assert metrics["average_precision"] == pytest.approx(average_precision_score(labels, values))
    assert (
        metrics["card_precision_5"]
        == evaluate_metrics(shop.product, shop.repository, test, values)["card_precision_5"]
    )
    assert 0.6 < metrics["roc_auc"] < 1


def test_report_names_what_it_was_made_from(evaluated) -> None:
    shop, rows, run, report = evaluated
    assert report.is_made_from(
        evaluation_version(shop.product), {rows.table: {SPLIT: rows.digest}, run.table: {SPLIT: run.digest}}
    )
    payload = payload_of(shop, report)
    assert payload["training_set_digest"] == rows.digest
    assert payload["model_digest"] == shop.table("training_run").document_of(run)["model_digest"]
    assert (payload["train_rows"], payload["test_rows"]) == (600, 600)
    assert payload["test_positives"] == rows.notes["test_positives"]


def test_evidence_is_bound_to_training_set_and_model(evaluated) -> None:
    shop, rows, _, report = evaluated
    payload = payload_of(shop, report)
    evidence = shop.evidence()
    assert evidence.verdict is Verdict.PASSED
    assert evidence.measured == payload["metrics"]
    assert evidence.holds_for({"training_set": rows.digest, "model": payload["model_digest"]})


def test_metrics_file_is_what_other_programs_read(evaluated) -> None:
    shop, rows, _, report = evaluated
    figures, payload = json.loads((shop.reports / "metrics.json").read_bytes()), payload_of(shop, report)
    for name in ("train_rows", "train_positives", "test_rows", "test_positives", "model_digest"):
        assert figures[name] == payload[name]
    assert {key: figures[key] for key in KEYS} == payload["metrics"]
    assert figures["training_set_digest"] == rows.digest
    assert figures["data_digest"] == digest_of_digests(rows.inputs["raw/orders"])
    assert (figures["product"], figures["split"]) == ("order_returns", SPLIT)
    assert (figures["train_days"], figures["test_days"]) == (
        ["2024-01-01", "2024-01-02"],
        ["2024-01-04", "2024-01-05"],
    )
    assert figures["estimator"]["path"] == "sklearn.linear_model.LogisticRegression"


def test_files_for_people_are_all_there_and_nothing_else(evaluated) -> None:
    shop, _, _, report = evaluated
    assert report.notes["not_drawn"] == {}
    assert sorted(path.name for path in shop.reports.iterdir()) == [
        "calibration.png", "card_precision_5_per_day.png", "evidently.html", "metrics.json",
        "precision_recall.png", "roc.png", "score_distribution.png",
    ]  # fmt: skip
    for path in shop.reports.glob("*.png"):
        assert path.read_bytes().startswith(b"\x89PNG")


def test_no_personal_data_in_what_people_pass_around(evaluated) -> None:
    shop, _, _, report = evaluated
    assert "buyer_id" not in (shop.reports / "evidently.html").read_text()
    assert "b042" not in json.dumps(payload_of(shop, report))


def test_evaluating_again_changes_nothing(evaluated) -> None:
    shop, rows, run, report = evaluated
    before = (shop.reports / "metrics.json").read_bytes()
    again = shop.evaluate(rows, run)
    assert (again.digest, again.sequence) == (report.digest, report.sequence)
    assert (shop.reports / "metrics.json").read_bytes() == before
    assert len(shop.stores.evidence.history("evaluation", report.table, SPLIT)) == 1


def test_killed_before_the_report_it_is_all_done_again(evaluated) -> None:
    shop, rows, run, report = evaluated
    (shop.table("evaluation_report").folder / "manifests" / SPLIT / "current").unlink()
    (shop.reports / "metrics.json").unlink()
    assert shop.evaluate(rows, run).digest == report.digest
    assert (shop.reports / "metrics.json").exists()


@pytest.mark.parametrize("label", [0, 1])
def test_one_class_is_unknown_with_a_reason_never_a_number(shop, label: int) -> None:
    rows = shop.training_set(rows_a_day=60, test_labels=label)
    shop.reports.mkdir(parents=True)
    (shop.reports / "roc.png").write_bytes(b"of an earlier model")
    report = shop.evaluate(rows, shop.train(rows))
    payload, evidence = payload_of(shop, report), shop.evidence()
    assert payload["metrics"] == dict.fromkeys(KEYS)
    assert payload["curves"] == {"roc": [], "precision_recall": [], "calibration": []}
    assert evidence.verdict is Verdict.UNKNOWN
    assert f"all 120 test rows have label {label}" in evidence.reason
    assert json.loads((shop.reports / "metrics.json").read_bytes())["roc_auc"] is None
    assert not (shop.reports / "roc.png").exists()


def test_no_test_rows_are_unknown(shop) -> None:
    rows = shop.training_set(rows_a_day=60)
    table = shop.table("training_set").read([SPLIT])
    only_train = table.filter(pc.equal(table.column("_split"), "train"))
    rows = shop.table("training_set").write(
        SPLIT, only_train, key=["order_id"], code_version=rows.code_version, inputs=rows.inputs, cause="test",
        notes=rows.notes,
    )  # fmt: skip
    report = shop.evaluate(rows, shop.train(rows))
    assert shop.evidence().verdict is Verdict.UNKNOWN
    assert "no test rows" in shop.evidence().reason
    assert payload_of(shop, report)["metrics"] == dict.fromkeys(KEYS)


def test_a_model_of_other_rows_is_refused(evaluated) -> None:
    shop, rows, run, _ = evaluated
    other = type(rows)(**{**rows.__dict__, "digest": "0" * 32})
    with pytest.raises(Blocked, match="materialize training_run first"):
        shop.evaluate(other, run)


def test_a_changed_model_file_is_refused_and_nothing_is_written(shop) -> None:
    rows = shop.training_set(rows_a_day=60)
    run = shop.train(rows)
    model = shop.stores.home.root / run.notes["artifact_path"] / "model.pkl"
    model.write_bytes(model.read_bytes() + b"\0")
    with pytest.raises(LakeError, match="was changed"):
        shop.evaluate(rows, run)
    assert shop.table("evaluation_report").manifest(SPLIT) is None
    assert not shop.reports.exists()


def test_other_metrics_make_another_version_of_the_report(evaluated) -> None:
    shop, *_ = evaluated
    fewer = shop.declaring(metrics=["roc_auc"])
    assert evaluation_version(fewer.product) != evaluation_version(shop.product)


def test_a_card_without_a_name_is_told(shop) -> None:
    rows = pa.table(
        {
            "at": pa.array([0, 1], pa.timestamp("us")),
            "buyer_id": pa.array(["b1", None]),
            "returned": pa.array([0, 1]),
        }
    )
    with pytest.raises(TrainingError, match=r"'buyer_id' has no value in 1 of 2"):
        evaluate_metrics(shop.product, shop.repository, rows, np.array([0.1, 0.2]))


def test_readers_never_see_half_a_file_and_a_failed_drawing_is_told(shop) -> None:
    """Four writers and a reader at once; every read parses and is of one writer."""

    def fail(folder: Path) -> None:
        raise RuntimeError("no ink")

    def write(number: int) -> None:
        for _ in range(20):
            told = write_report_files(
                shop.stores, "order_returns", {"writer": number, "padding": [number] * 5000}, {"plots": fail}
            )
            assert told == {"plots": "RuntimeError: no ink"}

    write(0)
    writers = [threading.Thread(target=write, args=(number,)) for number in range(1, 5)]
    for writer in writers:
        writer.start()
    reads = 0
    while any(writer.is_alive() for writer in writers) or reads == 0:
        figures = json.loads((shop.reports / "metrics.json").read_bytes())
        assert set(figures["padding"]) == {figures["writer"]}
        reads += 1
    assert [path.name for path in shop.reports.iterdir()] == ["metrics.json"]
