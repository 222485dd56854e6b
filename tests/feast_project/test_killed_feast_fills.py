"""Materializations of a Feast view killed at any moment: never a wrong pass, and the next one heals."""

from __future__ import annotations

import os
import random
import signal
import time
from contextlib import suppress
from datetime import timedelta

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from driver_world import END, hourly_rows
from rides_project import HOURLY, Rides, keys

from platform_assets.evidence.evidence import Verdict
from platform_assets.feast_project.online_rows import read_online
from platform_assets.feast_project.online_state import marker
from platform_assets.feast_project.view_parity import view_parity

KILLS = 30
DRIVERS, DAYS = 200, 3
KNOWN = range(1001, 1001 + DRIVERS)


def another_source(rides: Rides, turn: int) -> None:
    """Every value is another one than in the turn before, and one driver is not there."""
    rows = hourly_rows(DRIVERS, DAYS, seed=turn)
    rows = rows.filter(pc.not_equal(rows.column("driver_id"), KNOWN[turn % (DRIVERS - 1)]))
    pq.write_table(rows, rides.world.hourly)


def by_hand(rides: Rides) -> list[tuple[int | None, str | None]]:
    """Trips and city of each driver's newest row, the one created last; nothing beyond a day."""
    newest: dict[int, dict] = {}
    for row in pq.read_table(rides.world.hourly).to_pylist():
        known = newest.get(row["driver_id"])
        when = (row["event_timestamp"], row["created"])
        if known is None or when > (known["event_timestamp"], known["created"]):
            newest[row["driver_id"]] = row
    oldest = END - timedelta(hours=1, days=1)
    rows = [newest.get(driver) for driver in KNOWN]
    return [
        (r["avg_daily_trips"], r["city"]) if r and r["event_timestamp"] >= oldest else (None, None)
        for r in rows
    ]


def stored(rides: Rides) -> list[tuple[int | None, str | None]]:
    found = read_online(rides.opened(), rides.view(), keys(*KNOWN)).values
    return list(zip(found["avg_daily_trips"], found["city"], strict=True))


def killed(rides: Rides, after: float, *, while_writing: bool = False) -> bool:
    """Materialize in a child that gets SIGKILL; False when it had ended before.

    The seconds count from its beginning, or from the moment at which it begins to write online.
    """
    child = os.fork()
    if not child:
        try:
            rides.materialize()
        finally:
            os._exit(0)
    while while_writing and not marker(rides.home, "rides", HOURLY).exists():
        if os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            break
    time.sleep(after)
    with suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_thirty_kills_leave_nothing_that_the_next_run_does_not_heal(rides: Rides) -> None:
    rides.materialize()
    another_source(rides, 0)
    began = time.perf_counter()
    rides.materialize()
    takes = time.perf_counter() - began
    chance = random.Random(5)
    met = halves = 0
    for turn in range(1, KILLS + 1):
        another_source(rides, turn)
        if turn % 2:
            met += killed(rides, chance.uniform(0, takes))
        else:
            met += killed(rides, chance.uniform(0, takes / 10), while_writing=True)
        halves += marker(rides.home, "rides", HOURLY).exists()
        evidence = view_parity(rides.opened(), rides.view())
        if evidence.verdict is not Verdict.UNKNOWN:
            assert evidence.verdict is Verdict.PASSED, evidence.reason
            assert stored(rides) == by_hand(rides)
        opened = rides.materialize()
        assert not marker(rides.home, "rides", HOURLY).exists()
        evidence = view_parity(opened, rides.view())
        assert evidence.verdict is Verdict.PASSED, (turn, evidence.reason)
        assert stored(rides) == by_hand(rides), turn
        assert opened.feast_view(HOURLY).most_recent_end_time == END - timedelta(hours=1)
    assert met > KILLS // 2, "the kills came too late to meet anything"
    assert halves > KILLS // 6, "hardly a kill met the writing itself"


def test_the_judge_sees_another_source(rides: Rides) -> None:
    another_source(rides, 0)
    rides.materialize()
    assert stored(rides) == by_hand(rides)
    another_source(rides, 1)
    assert stored(rides) != by_hand(rides)
