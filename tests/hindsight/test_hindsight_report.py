"""The report on planted late rows and corrections: what it counts, what it says hindsight adds, its verdict."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from parcels import DAYS, Parcel, Service, on_time

from platform_assets.automation.product_observation import observe_hindsight
from platform_assets.declaration.monitor import HindsightMonitor
from platform_assets.declaration.product import Product
from platform_assets.evidence.evidence import Evidence, Verdict
from platform_assets.hindsight.hindsight_report import KIND, hindsight_report
from platform_assets.lake.manifest import Manifest
from platform_assets.parity.parity_report import parity_report
from platform_assets.training.mlflow_store import open_mlflow
from platform_assets.training.training_run import train
from platform_assets.vocabulary import raw_table

KNOWN = {"bulk_history": "known_at_once"}


def parcels() -> list[Parcel]:
    """Sixty parcels a day; weight tells nothing about which are lost."""
    random = np.random.default_rng(7)
    return [
        Parcel(
            n, at, int(random.integers(1, 9)), int(random.integers(1, 500)), int(random.random() < 0.3), at
        )
        for n, at in enumerate(sorted(random.integers(0, 7 * 24, 420).tolist()))
    ]


@dataclass
class Trained:
    """A service with a training set and its model."""

    service: Service
    rows: Manifest
    run: Manifest

    @classmethod
    def of(cls, service: Service) -> Trained:
        rows = service.training_set()
        run = train(service.stores, service.repository, service.product, rows, cause="test")
        return cls(service, rows, run)

    def report(self, **hindsight: Any) -> Evidence:
        product = self.service.product.model_dump(mode="json")
        product["hindsight"] |= hindsight
        return hindsight_report(
            self.service.stores,
            self.service.repository,
            Product.model_validate(product),
            self.rows,
            self.run,
        )


def service(root: Path) -> Service:
    made = Service(root / "home")
    made.deliver(on_time(parcels()))
    open_mlflow(made.stores)
    return made


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Nothing came late and nothing was corrected."""
    return Trained.of(service(tmp_path_factory.mktemp("quiet")))


@pytest.fixture(scope="module")
def weighed_again(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Lost parcels get weight 9999 in the books, a week after everybody knows that they are lost."""
    made = service(tmp_path_factory.mktemp("weighed"))
    made.deliver([replace(p, grams=9999, known=20 * 24) for p in parcels() if p.lost])
    return Trained.of(made)


@pytest.fixture(scope="module")
def one_late(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """One parcel of a test day, heard of after the evaluation."""
    made = service(tmp_path_factory.mktemp("late"))
    made.deliver([Parcel(9000, 6 * 24 + 23, 99, 5, 0, 20 * 24)])
    return Trained.of(made)


def test_without_late_rows_nothing_is_computed(quiet: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "platform_assets.hindsight.hindsight_report.known_then", lambda *_: pytest.fail("computed in vain")
    )
    found = quiet.report(**KNOWN)
    assert found.verdict is Verdict.PASSED, found.reason
    assert found.measured["raw_rows_late_or_corrected"] == 0
    assert found.measured["added"] == 0
    assert quiet.service.stores.evidence.latest(KIND, found.subject, quiet.rows.partition) == found
    assert found.versions["training_set"] == quiet.rows.digest
    assert found.versions["training_run"] == quiet.run.digest


@pytest.mark.parametrize(
    ("hindsight", "verdict", "told"),
    [
        (
            {},
            Verdict.UNKNOWN,
            "7 of 7 raw days (2024-03-04 to 2024-03-10) were loaded in bulk, so nobody can",
        ),
        (KNOWN, Verdict.PASSED, "were loaded in bulk and are declared known at once"),
        ({"loaded_within": "20000d"}, Verdict.PASSED, "none of the raw rows of 7 days came late"),
    ],
    ids=["bulk history", "declared known at once", "loaded in time"],
)
def test_history_loaded_in_bulk(quiet: Trained, hindsight: dict, verdict: Verdict, told: str) -> None:
    found = quiet.report(**hindsight)
    assert found.verdict is verdict
    assert told in found.reason
    assert ("bulk" in found.reason) == (found.measured["raw_days_assumed"] > 0)


def test_what_was_learned_too_late_is_told_with_what_it_adds(weighed_again: Trained) -> None:
    found = weighed_again.report(**KNOWN)
    assert found.verdict is Verdict.FAILED
    assert "more than 25.00% of the rows and more than 0.02 of roc_auc" in found.reason
    lost = [p for p in parcels() if p.lost]
    assert found.measured["raw_rows_late_or_corrected"] == 2 * len(lost)
    grams = next(line for line in found.measured["features"] if line["name"] == "grams")
    assert grams["rows"] == sum(1 for p in lost if p.day in (1, 2, 3, 5, 6))
    assert grams["largest_difference"] > 9000
    by_metric = {line["metric"]: line for line in found.measured["metrics"]}
    line = by_metric["roc_auc"]
    assert line["now"] > 0.95, "the weight gives the label away"
    assert line["then"] < 0.75, "and nobody had it"
    assert (
        found.measured["added"] == pytest.approx(line["added"]) == pytest.approx(line["now"] - line["then"])
    )
    assert line["added"] == pytest.approx(line["by_fitting"] + line["by_testing"])
    assert found.measured["added_lower"] <= found.measured["added"] <= found.measured["added_upper"]


def test_wide_limits_let_the_same_pass(weighed_again: Trained) -> None:
    found = weighed_again.report(**KNOWN, rows_at_most=1, metric_at_most=1)
    assert found.verdict is Verdict.PASSED, found.reason
    assert weighed_again.report(rows_at_most=1, metric_at_most=1).verdict is Verdict.UNKNOWN
    assert weighed_again.report(rows_at_most=0).verdict is Verdict.FAILED


def test_a_row_that_came_after_the_evaluation_is_only_known_now(one_late: Trained) -> None:
    found = one_late.report(**KNOWN)
    assert found.measured["rows_added"] == 1
    assert found.measured["rows_removed"] == 0
    assert found.measured["features"] == []
    assert found.measured["added"] == 0, "the test rows of both sides are scored alike"
    assert found.verdict is Verdict.PASSED, found.reason


def test_superseded_rows_that_were_collected_are_missed(weighed_again: Trained) -> None:
    stores = weighed_again.service.stores
    table = stores.lake.table(raw_table("parcels"))
    file = table.folder / table.history(DAYS[2])[0].file
    kept = file.read_bytes()
    file.unlink()
    try:
        found = weighed_again.report(**KNOWN)
    finally:
        file.write_bytes(kept)
    assert found.verdict is Verdict.UNKNOWN
    assert f"rows of {DAYS[2]} as they were" in found.reason
    assert "collected as garbage" in found.reason


def test_a_model_of_another_training_set_is_not_measured(quiet: Trained, one_late: Trained) -> None:
    mixed = Trained(one_late.service, one_late.rows, quiet.run)
    table = one_late.service.stores.lake.table(quiet.run.table)
    payload = quiet.service.stores.lake.table(quiet.run.table).document_of(quiet.run)
    mixed.run = table.write_document("2024-01-01_1_1_1", payload, code_version="1", inputs={}, cause="test")
    found = mixed.report(**KNOWN)
    assert found.verdict is Verdict.UNKNOWN
    assert "materialize lost_parcels/training_run first" in found.reason


def test_a_changed_view_is_not_measured(quiet: Trained) -> None:
    service = quiet.service
    other = Service(service.stores.home.root.parent / "other", view={"version": 2})
    other.stores = service.stores
    found = Trained(other, quiet.rows, quiet.run).report(**KNOWN)
    assert found.verdict is Verdict.UNKNOWN
    assert "changed since the training set was built" in found.reason


def test_it_alone_is_asked_for_when_only_its_limits_changed(quiet: Trained) -> None:
    stores, product = quiet.service.stores, quiet.service.product
    quiet.report()
    assert observe_hindsight(stores, product, quiet.rows, quiet.run) == []
    stricter = product.model_copy(update={"hindsight": HindsightMonitor(metric_at_most=0.01)})
    (work,) = observe_hindsight(stores, stricter, quiet.rows, quiet.run)
    assert work.asset == ("lost_parcels", "hindsight_report")
    looser = product.model_copy(update={"hindsight": HindsightMonitor(metric_at_most=0.03)})
    assert observe_hindsight(stores, looser, quiet.rows, quiet.run)[0].days != work.days


@pytest.fixture(scope="module")
def in_sql(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A view in SQL among the inputs, and one corrected parcel."""
    view = {
        "sql": 'SELECT parcel, "at", shop, grams * 2 AS twice FROM {source}',
        "reach": "0d",
        "online": False,
        "features": [{"name": "twice", "function": "sql"}],
    }
    made = Service(tmp_path_factory.mktemp("sql") / "home", view=view)
    made.deliver(on_time(parcels()))
    made.deliver([replace(parcels()[100], grams=6, known=20 * 24)])
    open_mlflow(made.stores)
    return Trained.of(made)


def test_a_view_in_sql_gets_no_verdict_of_hindsight(in_sql: Trained) -> None:
    found = in_sql.report(**KNOWN)
    assert (found.verdict, "shop_parcels is declared in sql" in found.reason) == (Verdict.UNKNOWN, True)


def test_a_view_in_sql_gets_no_verdict_of_parity(in_sql: Trained) -> None:
    """It is not served, so a product that reads it and has the gate is not promoted."""
    made = in_sql.service
    found = parity_report(made.stores, made.repository, made.product)
    assert (found.verdict, "declared in sql and not served" in found.reason) == (Verdict.UNKNOWN, True)
