"""Feature days are computed in chunks that fit in memory, and nothing shows where one ended."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from platform_assets.declaration.feature_view import Entity, Feature, FeatureView
from platform_assets.declaration.source import Column, Source
from platform_assets.features import compute, engine_choice
from platform_assets.features.compute import build_feature_days
from platform_assets.features.day_chunks import (
    COMPUTED,
    COMPUTED_FEATURE,
    LOOKED_AT,
    LOOKED_AT_COLUMN,
    day_chunks,
)
from platform_assets.features.memory_budget import LARGEST_BUDGET, memory_budget
from platform_assets.features.reach import raw_days
from platform_assets.home import Home
from platform_assets.lake.lake import Table
from platform_assets.stores import Stores
from platform_assets.vocabulary import feature_table, raw_table

START = date(2020, 1, 1)
SOURCE = Source(
    name="events",
    owners=("team:x",),
    location="x",
    start=START,
    columns=(
        Column(name="id", type="int64"),
        Column(name="at", type="timestamp"),
        Column(name="who", type="int64"),
        Column(name="cents", type="float64", scale=2),
    ),
    primary_key=("id",),
    event_timestamp="at",
    contract="x.json",
)
WHO = Entity(name="who", join_key="who")


def view_of(*functions: str, window: str = "2d", delay: str = "3d") -> FeatureView:
    return FeatureView(
        name="v",
        owners=("team:x",),
        source="events",
        entity="who",
        features=tuple(
            Feature(name=f"f{number}", function=function, column="cents", window=window, delay=delay)  # type: ignore[arg-type]
            for number, function in enumerate(functions)
        ),
    )


SUMS, SMALLEST = view_of("sum", "count"), view_of("min")


def day(number: int) -> str:
    return (START + timedelta(days=number)).isoformat()


DAYS = [day(number) for number in range(12)]


def cost(view: FeatureView, chunk: list[str], rows: dict[str, int]) -> int:
    """A chunk's bytes, said again."""
    reaching = sum(rows.get(name, 0) for name in raw_days(chunk, view, start=START))
    own = sum(rows.get(name, 0) for name in chunk)
    return (LOOKED_AT + LOOKED_AT_COLUMN) * reaching + (
        COMPUTED + COMPUTED_FEATURE * len(view.features)
    ) * own


@settings(max_examples=80, deadline=None)
@given(
    rows=st.dictionaries(st.sampled_from(DAYS), st.integers(0, 1000)),
    days=st.sets(st.sampled_from(DAYS)),
    limit=st.integers(1, 3_000_000),
)
def test_chunks_hold_every_day_once_in_order_and_within_the_limit(
    rows: dict[str, int], days: set[str], limit: int
) -> None:
    made = day_chunks(sorted(days, reverse=True), SUMS, rows, start=START, memory=limit)
    chunks = [chunk.days for chunk in made]
    assert [chunk.bytes for chunk in made] == [cost(SUMS, chunk, rows) for chunk in chunks]
    assert [chunk.reaching for chunk in made] == [raw_days(chunk, SUMS, start=START) for chunk in chunks]
    assert [name for chunk in chunks for name in chunk] == sorted(days)
    assert all(len(chunk) == 1 or cost(SUMS, chunk, rows) <= limit for chunk in chunks)
    for chunk, following in pairwise(chunks):
        assert cost(SUMS, [*chunk, following[0]], rows) > limit, "the next day would have fitted"


def test_more_memory_gives_fewer_chunks() -> None:
    rows = dict.fromkeys(DAYS, 1000)
    counts = [len(day_chunks(DAYS, SUMS, rows, start=START, memory=n)) for n in (1, 2 * 10**6, 10**7, 10**9)]
    assert counts == sorted(counts, reverse=True)
    assert (counts[0], counts[-1]) == (12, 1)


@pytest.fixture
def stores(tmp_path: Path) -> Stores:
    rng = np.random.default_rng(5)
    stores = Stores.at(Home.at(tmp_path))
    for number, name in enumerate(DAYS):
        n = 40
        moments = np.datetime64(name, "us") + rng.integers(0, 86_400, n).astype("timedelta64[s]")
        rows = pa.table(
            {
                "id": np.arange(n) + number * n,
                "at": moments,
                "who": rng.integers(0, 5, n),
                "cents": rng.integers(0, 10_000, n) / 100,
                "_available_at": moments,
            }
        )
        stores.lake.table(raw_table("events")).write(
            name, rows, key=["id"], code_version="1", inputs={}, cause="test"
        )
    return stores


def build(stores: Stores, view: FeatureView, memory: int | None = None) -> list[str]:
    made = build_feature_days(stores, SOURCE, WHO, view, DAYS, untrusted={}, cause="test", memory=memory)
    return [manifest.digest for manifest in made]


SMALL = 30_000  # bytes: a few days of forty rows


@pytest.fixture
def sizes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many days were computed at a time."""
    sizes: list[int] = []
    real = compute.compute_features

    def noted(*arguments: Any, **named: Any) -> pa.Table:
        sizes.append(len(arguments[-1]))
        return real(*arguments, **named)

    monkeypatch.setattr(compute, "compute_features", noted)
    return sizes


@pytest.mark.parametrize("view", [SUMS, SMALLEST], ids=["prefix sums", "SQL"])
def test_chunks_give_what_one_query_gives(
    stores: Stores, view: FeatureView, sizes: list[int], tmp_path: Path
) -> None:
    at_once = build(stores, view)
    assert sizes == [len(DAYS)]
    sizes.clear()
    stores.lake.table(feature_table("v")).folder.rename(tmp_path / "aside")
    assert build(stores, view, SMALL) == at_once
    assert len(sizes) > 2
    assert sum(sizes) == len(DAYS)


def test_what_a_stopped_run_wrote_is_kept_and_the_rest_follows(
    stores: Stores, sizes: list[int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    at_once = build(stores, SUMS)
    stores.lake.table(feature_table("v")).folder.rename(tmp_path / "aside")
    real = Table.write

    def full_disk(table: Table, partition: str, *arguments: Any, **named: Any) -> Any:
        if partition == DAYS[7]:
            raise OSError("no space left on device")
        return real(table, partition, *arguments, **named)

    monkeypatch.setattr(Table, "write", full_disk)
    with pytest.raises(OSError, match="no space left"):
        build(stores, SUMS, SMALL)
    assert stores.lake.table(feature_table("v")).partitions() == DAYS[:7]
    monkeypatch.setattr(Table, "write", real)
    sizes.clear()
    assert build(stores, SUMS, SMALL) == at_once
    assert sum(sizes) == 5, "days that were there already are not computed again"


def test_a_day_reads_its_reach_and_nothing_else(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[list[str]] = []
    real = compute.compute_features

    def noted(*arguments: Any, **named: Any) -> pa.Table:
        read.append([Path(path).parent.name for path in arguments[3]])
        return real(*arguments, **named)

    monkeypatch.setattr(compute, "compute_features", noted)
    build_feature_days(stores, SOURCE, WHO, SUMS, [DAYS[11]], untrusted={}, cause="test")
    assert read == [[DAYS[6], DAYS[7], DAYS[8], DAYS[11]]]


def test_a_day_that_does_not_fit_is_left_to_the_engine_that_spills(
    stores: Stores, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    at_once = build(stores, SUMS)
    stores.lake.table(feature_table("v")).folder.rename(tmp_path / "aside")

    def no_memory(*_: Any) -> Any:
        raise MemoryError

    monkeypatch.setattr(engine_choice, "window_features", no_memory)
    assert build(stores, SUMS, 1) == at_once
    stores.lake.table(feature_table("v")).folder.rename(tmp_path / "aside again")
    with pytest.raises(MemoryError):
        build(stores, SUMS, SMALL)


def test_a_container_may_use_half_of_its_limit(tmp_path: Path) -> None:
    file = tmp_path / "memory.max"
    machine = memory_budget(())
    assert 0 < machine <= LARGEST_BUDGET
    for told, budget in ((str(2**30), 2**29), ("max", machine), (str(2**63 - 4096), machine)):
        file.write_text(told)
        assert memory_budget((tmp_path / "not there", file)) == budget
