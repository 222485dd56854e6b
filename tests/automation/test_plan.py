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


def test_a_change_counts_only_for_the_range_it_lies_in() -> None:
    def changes(marks: dict[str, str]) -> dict:
        work = [Work("features", ("features", "v"), marks)]
        return {request.days: request.change for request in next_requests(work, STAGES)}

    days = ["2018-04-01", "2018-04-02", "2018-04-03", "2018-04-08", "2018-04-09"]
    before = changes(dict.fromkeys(days, "a"))
    assert list(before) == [("2018-04-01", "2018-04-03"), ("2018-04-08", "2018-04-09")]
    for day in days:
        after = changes({**dict.fromkeys(days, "a"), day: "b"})
        moved = {span for span in before if before[span] != after[span]}
        assert moved == {span for span in before if span[0] <= day <= span[1]}, day


def test_requests_stand_in_the_order_of_their_days() -> None:
    work = [view("v", "2018-04-08"), view("w", "2018-04-01", "2018-04-02"), view("x", "2018-04-01")]
    found = [(request.days, len(request.assets)) for request in next_requests(work, STAGES)]
    assert found == [
        (("2018-04-01", "2018-04-01"), 1),
        (("2018-04-01", "2018-04-02"), 1),
        (("2018-04-08", "2018-04-08"), 1),
    ]


def test_the_run_key_says_everything() -> None:
    (ranged,) = next_requests([view("v", "2018-04-01")], STAGES)
    assert ranged.run_key(3) == f"features:2018-04-01-2018-04-01:{ranged.change}:3"
    (whole,) = next_requests([Work("training", ("p", "t"), {"": "m"})], STAGES)
    assert whole.run_key(0) == f"training:all:{whole.change}:0"


def test_long_ranges_stay_whole() -> None:
    days = [(datetime(2018, 1, 30) + timedelta(days=n)).strftime("%Y-%m-%d") for n in range(35)]
    assert unbroken(days) == [("2018-01-30", "2018-03-05")]
    assert unbroken([*days[:2], *days[3:6], days[9]]) == [
        (days[0], days[1]), (days[3], days[5]), (days[9], days[9]),
    ]  # fmt: skip


def test_epochs_by_number() -> None:
    assert cooldown_epoch(datetime(1970, 1, 1, 1, 59, 59, tzinfo=UTC), timedelta(hours=1)) == 1
    assert cooldown_epoch(datetime(1970, 1, 1, 0, 0, 5, tzinfo=UTC), timedelta(0)) == 5
    assert cooldown_epoch(datetime(1970, 1, 1, 0, 0, 5, tzinfo=UTC), timedelta(milliseconds=1)) == 5
