"""Fills killed at any moment, readers that never stop, and two writers at once, on both stores."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sales_world import DAYS, NEWEST, REPOSITORY, SHOP_TRADE, SOURCE, World, sales, write_raw

from platform_assets.features.compute import build_feature_days
from platform_assets.online.feast_objects import feast_name
from platform_assets.online.feast_registry import Fault, open_online_store
from platform_assets.online.online_store import fill_online, serve
from platform_assets.online.whole_state import read_all_events

WORLDS = Path(__file__).resolve().parents[1] / "worlds"
EPOCH = datetime(1970, 1, 1)
VARIANTS = {"more": 60, "fewer": 30}


class Filler:
    """A process that fills when told, in a child of its own that can be killed at any moment."""

    PROGRAM = """
import os, sys
import feast, pyarrow.parquet, duckdb, redis, mmh3  # before the fork, so that a kill meets the fill itself
from sales_world import REPOSITORY, SHOP_TRADE
from platform_assets.home import Home
from platform_assets.online.online_store import fill_online
from platform_assets.stores import Stores
stores = Stores.at(Home.at(sys.argv[1], sys.argv[2]))
print("ready", flush=True)
for _ in sys.stdin:
    child = os.fork()
    if not child:
        fill_online(stores, REPOSITORY, SHOP_TRADE, cause="may be killed")
        os._exit(0)
    print(child, flush=True)
    print(os.waitpid(child, 0)[1], flush=True)
"""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def fill(self, kill_after: float | None = None) -> int:
        """The child's wait status: 0 when it filled, 9 when it was killed before it had."""
        child = self.begin()
        if kill_after is not None:
            time.sleep(kill_after)
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        return self.end()

    def begin(self) -> int:
        """Begin a fill; the child's process id."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def end(self) -> int:
        assert self.process.stdout is not None
        return int(self.process.stdout.readline())


@contextmanager
def filler(world: World) -> Iterator[Filler]:
    words = [sys.executable, "-c", Filler.PROGRAM, str(world.stores.home.root), world.stores.home.online]
    with subprocess.Popen(
        words,
        env={**os.environ, "PYTHONPATH": str(WORLDS)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "ready\n"
            yield Filler(process)
        finally:
            process.kill()


def events_by_hand(world: World) -> dict[str, list[tuple[int, str, int]]]:
    """What each shop's state must hold, from the raw rows and in plain Python: nothing of the fill's own."""
    after = 1709683200_000000 - (1 + 2) * 86_400_000_000  # 2024-03-06, the widest window, and a day
    found: dict[str, list[tuple[int, str, int]]] = {}
    for day in DAYS:
        for row in world.raw(day).to_pylist():
            moment = (row["sold_at"] - EPOCH) // timedelta(microseconds=1)
            if row["shop"] is not None and moment > after:
                key = f'["{row["till"]}", {row["slip"]}]'
                found.setdefault(row["shop"], []).append((moment, key, round(row["price"] * 100)))
    return {shop: sorted(rows) for shop, rows in found.items()}


def events_stored(world: World) -> dict[str, list[tuple[int, str, int]]]:
    whole = read_all_events(world.stores, REPOSITORY, SHOP_TRADE)
    assert whole.is_promised
    assert whole.foreign == []
    found = {}
    for place, shop in enumerate(whole.entities):
        events = whole.events(place)
        rows = zip(events.times.tolist(), events.keys.tolist(), events.values["price"].tolist(), strict=True)
        found[shop] = sorted(rows)
    return found


def served_by_feast(world: World) -> dict[str, Any]:
    store = open_online_store(world.stores, REPOSITORY)
    shops = [{"shop": f"shop {n}"} for n in range(5)]
    return dict(store.get_online_features([f"{feast_name(SHOP_TRADE)}:sales_6h"], shops).to_dict())


def newest_by_hand(world: World) -> dict[str, set[int]]:
    """Of each shop the counts that its newest rows have; rows of one moment may differ in nothing here."""
    rows = world.stores.lake.table("features/shop_trade").read([NEWEST]).to_pylist()
    newest = {r["shop"]: max(o["sold_at"] for o in rows if o["shop"] == r["shop"]) for r in rows if r["shop"]}
    return {
        shop: {r["sales_6h"] for r in rows if (r["shop"], r["sold_at"]) == (shop, at)}
        for shop, at in newest.items()
    }


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_thirty_kills_leave_nothing_that_the_next_fill_does_not_heal(tmp_path: Path, online: str) -> None:
    """Whatever was killed: what is served until the next run is one whole state, and then it is the truth."""
    world = World.at(tmp_path, online=online)
    world.build()
    world.fill()
    rows = world.raw()
    chance = random.Random(7)
    with filler(world) as fills:
        started = time.perf_counter()
        write_raw(world.stores, DAYS[-2], sales(DAYS[-2], rows=45))
        world.build()
        assert fills.fill() == 0
        takes = time.perf_counter() - started
        killed = 0
        for n in range(30):
            before = serve(world.stores, REPOSITORY, SHOP_TRADE, rows)
            write_raw(world.stores, DAYS[-2], sales(DAYS[-2], rows=30 + n))
            build(world)
            killed += fills.fill(kill_after=chance.uniform(0, takes)) == signal.SIGKILL
            between = serve(world.stores, REPOSITORY, SHOP_TRADE, rows)
            assert fills.fill() == 0
            after = serve(world.stores, REPOSITORY, SHOP_TRADE, rows)
            assert between in (before, after)
            assert events_stored(world) == events_by_hand(world)
            newest = newest_by_hand(world)
            found = served_by_feast(world)
            for shop, count in zip(found["shop"], found["sales_6h"], strict=True):
                assert count in newest.get(shop, {None})
            told: list[Fault] = []
            fill_online(world.stores, REPOSITORY, SHOP_TRADE, cause="again", tell=told.append)
            assert told == []
            print(n, "killed so far:", killed)
    assert killed >= 10


def build(world: World) -> None:
    """The feature day whose rows are published."""
    entity = REPOSITORY.entity_of(SHOP_TRADE)
    build_feature_days(world.stores, SOURCE, entity, SHOP_TRADE, [NEWEST], untrusted={}, cause="test")


@contextmanager
def two_states(world: World) -> Iterator[list[dict[str, list[Any]]]]:
    """What is served of either of two variants of a day; the second is the present one."""
    found = []
    for count in VARIANTS.values():
        write_raw(world.stores, DAYS[-2], sales(DAYS[-2], rows=count))
        fill_online(world.stores, REPOSITORY, SHOP_TRADE, cause="variant")
        found.append(serve(world.stores, REPOSITORY, SHOP_TRADE, world.raw()))
    assert found[0] != found[1]
    yield found


def test_a_reader_that_never_stops_sees_no_failure_and_no_mixture(tmp_path: Path, online: str) -> None:
    """The writer is another process; every answer is one whole state, also of Feast's own client."""
    world = World.at(tmp_path, online=online)
    rows = world.raw()
    with two_states(world) as whole, filler(world) as fills:
        reads, seen = 0, set()
        for n in range(4):
            write_raw(world.stores, DAYS[-2], sales(DAYS[-2], rows=list(VARIANTS.values())[n % 2]))
            child = fills.begin()
            while Path(f"/proc/{child}/status").exists():
                answer = serve(world.stores, REPOSITORY, SHOP_TRADE, rows)
                assert answer in whole
                seen.add(whole.index(answer))
                reads += 1
            assert fills.end() == 0
        assert serve(world.stores, REPOSITORY, SHOP_TRADE, rows) == whole[1]
        assert reads > 10
        assert seen == {0, 1}


def test_two_fills_of_one_view_wait_for_each_other(tmp_path: Path, online: str) -> None:
    world = World.at(tmp_path, online=online)
    world.fill()
    write_raw(world.stores, NEWEST, sales(NEWEST, rows=40))
    with filler(world) as one, filler(world) as other:
        one.begin()
        other.begin()
        assert (one.end(), other.end()) == (0, 0)
    assert events_stored(world) == events_by_hand(world)
    # the second found everything in place: one new state, not two
    assert len(world.stores.lake.table("online/shop_trade").history("current")) == 2
