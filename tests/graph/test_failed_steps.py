"""What a failed run says in the web UI: our own words with the fix, before any of the framework's."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.events import DagsterEvent

from platform_assets import vocabulary
from platform_assets.definitions import build_definitions
from platform_assets.step_failure import failing_plainly

A_DAY = {vocabulary.PARTITION_TAG: "2018-06-01"}


@pytest.fixture(scope="module")
def definitions() -> dg.Definitions:
    return build_definitions()


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    """An empty home."""
    monkeypatch.setenv("PLATFORM_HOME", str(tmp_path / "home"))
    with dg.instance_for_test() as made:
        yield made


def failures(
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    job: str,
    asset: str | None = None,
    tags: dict[str, str] | None = None,
) -> list[DagsterEvent]:
    """Failed steps of a job, or of one of its assets."""
    done = definitions.resolve_job_def(job).execute_in_process(
        instance=instance,
        asset_selection=[dg.AssetKey(asset.split("/"))] if asset else None,
        tags=tags or {},
        raise_on_error=False,
    )
    assert not done.success
    return [event for event in done.all_events if event.is_step_failure]


def told(failure: DagsterEvent) -> str:
    """What the web UI writes first, checked to be the same on the run's own failure."""
    data = failure.step_failure_data
    assert data.user_failure_data is not None, data.error
    said = str(data.user_failure_data.description)
    assert data.error is not None
    assert data.error.message.strip().endswith(said)
    return said


@pytest.mark.parametrize(
    ("job", "asset", "tags", "says"),
    [
        ("card_transactions_features", "features/transaction_calendar", A_DAY, "ingest the day"),
        ("card_transactions_online", "features/online_terminal_risk", {}, "build its days first"),
        ("card_fraud_training", "card_fraud/training_set", {}, "ingest it first"),
        ("card_fraud_training", "card_fraud/training_run", {}, "take raw data in first"),
        ("card_fraud_promotion", "card_fraud/promotion", {}, "materialize registered_model first"),
        ("card_fraud_predictions", "card_fraud/predictions", A_DAY, "has no champion"),
        ("card_fraud_reproduce", None, {}, "materialize registered_model first"),
    ],
    ids=lambda value: value if isinstance(value, str) and "/" in value else "",
)
def test_on_an_empty_home_what_is_missing_is_told_with_what_to_do(
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    job: str,
    asset: str | None,
    tags: dict[str, str],
    says: str,
) -> None:
    (failure,) = failures(definitions, instance, job, asset, tags)
    assert says in told(failure)


@pytest.mark.parametrize(
    "job", ["card_transactions_raw", "card_transactions_features", "card_fraud_predictions"]
)
def test_a_job_of_days_that_was_given_none_asks_for_one(
    definitions: dg.Definitions, instance: dg.DagsterInstance, job: str
) -> None:
    for failure in failures(definitions, instance, job):
        assert "no day was chosen" in told(failure)


def test_a_day_that_the_source_does_not_have(
    definitions: dg.Definitions, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    """It is declared, but no file holds it."""
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "choices.json").write_text(
        f'{{"sources": {{"card_transactions": {{"PLATFORM_SOURCE": "{tmp_path / "inbox"}"}}}}}}'
    )
    (tmp_path / "inbox").mkdir()
    (failure,) = failures(definitions, instance, "card_transactions_raw", tags=A_DAY)
    assert "no file of pattern '{day}.parquet' holds day 2018-06-01" in told(failure)


def test_a_home_that_is_a_file(
    definitions: dg.Definitions, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    (tmp_path / "home").write_text("a file where the home should be")
    (failure,) = failures(definitions, instance, "card_transactions_raw", tags=A_DAY)
    assert "name a folder" in told(failure)


def test_a_full_disk_is_told_with_what_to_do_and_other_errors_stay_as_they_are() -> None:
    @dg.op
    @failing_plainly
    def full() -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    @dg.op
    @failing_plainly
    def wrong() -> None:
        raise ValueError("a mistake of ours")

    @dg.job
    def both() -> None:
        full()
        wrong()

    done = both.execute_in_process(raise_on_error=False)
    by_step = {event.step_key: event.step_failure_data for event in done.all_events if event.is_step_failure}
    assert "the disk is full: free some space" in str(by_step["full"].user_failure_data.description)
    assert by_step["wrong"].user_failure_data is None
    assert "a mistake of ours" in by_step["wrong"].error.cause.message
