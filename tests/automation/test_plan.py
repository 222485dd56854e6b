"""What to request next: a table of situations."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from platform_assets.automation.plan import Work, cooldown_epoch, next_requests, unbroken

STAGES = ("raw", "features", "training")


def raw(*days: str, mark: str = "a") -> Work:
    return Work("raw", ("raw", "s"), dict.fromkeys(days, mark))


def view(name: str, *days: str, blocked: dict[str, str] | None = None) -> Work:
    return Work("features", ("features", name), dict.fromkeys(days, "a"), blocked or {})


@pytest.mark.parametrize(
    ("work", "expected"),
    [
        ([], []),
        ([raw()], []),
        ([raw("2018-04-01"), view("v", "2018-04-01")], [("raw", 1, ("2018-04-01", "2018-04-01"))]),
        (
            [raw(), view("v", "2018-04-01", "2018-04-08", "2018-04-09")],
            [("features", 1, ("2018-04-01", "2018-04-01")), ("features", 1, ("2018-04-08", "2018-04-09"))],
        ),
        (
            [view("v", "2018-04-01"), view("w", "2018-04-01")],
            [("features", 2, ("2018-04-01", "2018-04-01"))],
        ),
        ([view("v", blocked={"2018-04-01": "red"})], []),
        ([Work("training", ("p", "training_set"), {"": "m"})], [("training", 1, None)]),
    ],
    ids=[
        "nothing",
        "fresh",
        "raw before features",
        "two ranges",
        "two views share a run",
        "blocked is not asked for",
        "unpartitioned",
    ],
)
def test_next_requests(work: list[Work], expected: list) -> None:
    found = [(r.stage, len(r.assets), r.days) for r in next_requests(work, STAGES)]
    assert found == expected


def test_run_key_tells_the_cause_and_the_epoch() -> None:
    first = next_requests([raw("2018-04-01", mark="a:1")], STAGES)[0]
    second = next_requests([raw("2018-04-01", mark="b:2")], STAGES)[0]
    third = next_requests([raw("2018-04-01", mark="a:3")], STAGES)[0]
    assert len({first.run_key(0), second.run_key(0), third.run_key(0)}) == 3, "A -> B -> A asks three times"
    assert first.run_key(0) != first.run_key(1), "what stays open is asked for again after its cooldown"
    assert first.run_key(0) == next_requests([raw("2018-04-01", mark="a:1")], STAGES)[0].run_key(0)


def test_unbroken_spans_month_ends() -> None:
    assert unbroken(["2018-05-01", "2018-04-30", "2018-05-03"]) == [
        ("2018-04-30", "2018-05-01"),
        ("2018-05-03", "2018-05-03"),
    ]


def test_epoch_changes_once_a_cooldown() -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    epochs = {cooldown_epoch(start + timedelta(minutes=m), timedelta(hours=1)) for m in range(0, 120, 5)}
    assert len(epochs) == 2
