"""What features come out as on the source as it was known at a row's time, against a plain loop."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from parcels import TRAIN_DAYS, Parcel, Service

from platform_assets.errors import DeclarationError
from platform_assets.training.cut_source import changed_columns, sampled
from platform_assets.training.training_set import read_training_set

HOURS, TTL, DELAY = 7 * 24, 6, 24
FILLERS = [Parcel(900 + n, at, 3, 5, n % 2, at) for n, at in enumerate((25, 49, 73, 121, HOURS - 1))]


def lost(name: str, window: int, delay: int, **more: Any) -> dict[str, Any]:
    """A window over labels, in hours."""
    return {
        "name": name, "function": "sum", "column": "lost", "window": f"{window}h", "delay": f"{delay}h",
        "empty": 0, **more,
    }  # fmt: skip


VIEW = {
    "features": [
        {"name": "count_1d", "function": "count", "window": "1d"},
        {"name": "grams_2d", "function": "sum", "column": "grams", "window": "2d"},
        lost("known_lost", 48, 24),
        lost("known_lost_late", 24, 30),
        lost("early_lost", 48, 23),
        lost("own_lost", 24, 0),
        {"name": "share_lost", "function": "mean", "column": "lost", "window": "24h"},
    ]
}
WINDOWS = {
    "known_lost": (48, 24), "known_lost_late": (24, 30), "early_lost": (48, 23), "own_lost": (24, 0),
}  # fmt: skip


def features_of(parcel: Parcel, told: Sequence[Parcel], label_delay: int) -> dict[str, Any]:
    """Features of a row from the rows told; labels not known by its time count as nothing."""
    mine = [p for p in told if p.shop == parcel.shop and p.at <= parcel.at]
    fresh = [p for p in mine if p.at >= parcel.at - TTL]
    if not fresh:
        return dict.fromkeys(["count_1d", "grams_2d", "share_lost", *WINDOWS])
    end = max((p.at, p.known, p.parcel) for p in fresh)[0]

    def within(window: int, delay: int) -> list[Parcel]:
        return [p for p in mine if end - delay - window < p.at <= end - delay]

    def known(parcels: list[Parcel]) -> list[int]:
        return [p.lost for p in parcels if p.at + label_delay <= parcel.at]

    found: dict[str, Any] = {name: sum(known(within(*edges))) for name, edges in WINDOWS.items()}
    of_the_day = known(within(24, 0))
    found["share_lost"] = sum(of_the_day) / len(of_the_day) if of_the_day else None
    return found | {"count_1d": len(within(24, 0)), "grams_2d": sum(p.grams for p in within(48, 0))}


def changed(made: dict[str, Any], cut: dict[str, Any]) -> set[str]:
    return {name for name, value in cut.items() if value != made[name]}


@st.composite
def parcels(draw: st.DrawFn) -> list[Parcel]:
    hours = draw(st.lists(st.integers(20, 5 * 24), min_size=6, max_size=20))
    return [
        Parcel(n, at, draw(st.integers(1, 2)), draw(st.integers(1, 9)), draw(st.integers(0, 1)), at)
        for n, at in enumerate(hours)
    ]


@settings(max_examples=8, deadline=None)
@given(parcels())
def test_each_input_differs_in_as_many_rows_as_a_loop_finds(rows: list[Parcel]) -> None:
    delivered = [*rows, *FILLERS]
    with tempfile.TemporaryDirectory() as folder:
        found, training_set = cut(Service(Path(folder) / "home", view=VIEW), delivered)
    train = [p for p in delivered if p.day in TRAIN_DAYS]
    differs = [changed(training_set[p.parcel], features_of(p, delivered, DELAY)) for p in train]
    names = ("count_1d", "grams_2d", "share_lost", *WINDOWS)
    expected = {name: sum(name in each for each in differs) for name in names}
    assert found == {"grams": 0, **expected}
    assert found["known_lost"] == found["known_lost_late"] == found["count_1d"] == 0


def cut(service: Service, delivered: Sequence[Parcel]) -> tuple[dict[str, int], dict[int, dict[str, Any]]]:
    """What differs on the cut source, in all train rows; and the rows of the training set by parcel."""
    service.deliver(delivered)
    for day in range(7):
        service.write(day)
    made = service.training_set()
    rows = read_training_set(service.stores, made)
    train = rows.filter(pc.equal(rows.column("_split"), "train"))
    found = changed_columns(service.stores, service.repository, service.product, made, train)
    return found, {row["parcel"]: row for row in rows.to_pylist()}


def test_a_label_used_an_hour_early_is_counted(tmp_path: Path) -> None:
    """Parcels of one shop, 24 hours less one apart: the feature sees the label an hour before it is known."""
    rows = [Parcel(0, 26, 1, 5, 1, 26), Parcel(1, 49, 1, 5, 1, 49), Parcel(2, 74, 1, 5, 0, 74)]
    found, made = cut(Service(tmp_path / "home", view=VIEW), [*rows, *FILLERS])
    # parcel 1 at 49 sees 26 (23 h before); parcel 2 at 74 sees 49 (25 h before), which is known by then
    assert made[1]["early_lost"] == 1
    # the fillers' shop: 49 sees 25 (24 h before, known by then), whose label is 0 anyway
    assert found["early_lost"] == 1
    assert found["own_lost"] == sum(p.lost for p in [*rows, *FILLERS] if p.day in TRAIN_DAYS)
    assert found["known_lost"] == 0


def test_the_label_cannot_be_an_input(tmp_path: Path) -> None:
    service = Service(tmp_path / "home", view=VIEW, inputs=["grams", "lost", "shop_parcels"])
    with pytest.raises(DeclarationError, match="input 'lost' is the label itself"):
        cut(service, FILLERS)


SQL_VIEW = {
    "features": [{"name": name, "function": "sql"} for name in ("ahead", "gap", "labels")],
    "sql": """SELECT parcel, shop, "at",
        lead(grams) OVER (PARTITION BY shop ORDER BY "at", parcel) AS ahead,
        grams - lag(grams, 1, grams) OVER (PARTITION BY shop ORDER BY "at", parcel) AS gap,
        sum(lost) OVER (PARTITION BY shop ORDER BY "at" RANGE INTERVAL 1 HOUR PRECEDING) AS labels
        FROM {source}""",
    "reach": "1d",
    "online": False,
}


def test_a_view_in_sql_is_run_on_what_was_known(tmp_path: Path) -> None:
    """The next parcel's grams are not known, the last one's are; a label is not known within a day."""
    rows = [Parcel(n, 28 + 5 * n, 1, n + 1, 1, 28 + 5 * n) for n in range(6)]
    found, made = cut(Service(tmp_path / "home", view=SQL_VIEW), [*rows, *FILLERS])
    train = [p for p in [*rows, *FILLERS] if p.day in TRAIN_DAYS]
    assert found["ahead"] == sum(made[p.parcel]["ahead"] is not None for p in train) > 3
    assert found["gap"] == 0
    assert found["labels"] == len(train)


@pytest.mark.parametrize("late_at", [73, 76, 77], ids=["within the TTL", "exactly as old", "too old"])
@pytest.mark.parametrize(
    ("view", "name", "value"), [(SQL_VIEW, "gap", 7), (VIEW, "grams_2d", 11)], ids=["in SQL", "windows"]
)
def test_a_late_row_takes_what_was_known_of_its_entity_the_day_before(
    tmp_path: Path, view: dict[str, Any], name: str, value: int, late_at: int
) -> None:
    """Told four hours after it happened, it could see only the parcel of 22 o'clock, and no other shop's."""
    rows = [Parcel(0, 60, 1, 2, 1, 60), Parcel(1, 70, 1, 9, 1, 70), Parcel(2, late_at, 1, 4, 1, late_at + 4)]
    rows += [Parcel(10 + n, at, 0, 3 + n, 0, at) for n, at in enumerate((61, 71, 72))]
    split = {"train_days": 3, "delay_days": 1, "test_days": 2, "reading": "as_known_then"}
    found, made = cut(Service(tmp_path / "home", view=view, split=split), [*rows, *FILLERS])
    assert made[2][name] == (value if late_at <= 76 else None)
    assert found[name] == 0


@pytest.mark.parametrize(
    ("count", "positives", "negatives"),
    [(6, 3, 3), (7, 4, 3), (1, 1, 0), (20, 8, 12), (30, 8, 22), (100, 8, 52), (0, 0, 0)],
)
def test_a_sample_is_half_positives_by_the_hash_of_the_key(
    count: int, positives: int, negatives: int
) -> None:
    """MD5 by another hand, so that a sample stays the same whatever computes it."""
    keys = [(f"d{n % 7}" if n % 9 else None, n) for n in range(60)]
    labels = [float(n % 8 == 3) for n in range(60)]
    table = pa.table({"day": [k[0] for k in keys], "id": [k[1] for k in keys], "lost": labels})
    order = sorted(
        range(60), key=lambda n: hashlib.md5(f"{keys[n][0] or ''}|{keys[n][1]}".encode()).hexdigest()
    )
    first = [n for n in order if labels[n]][:positives]
    rest = [n for n in order if not labels[n]][:negatives]
    found = sampled(table, ["day", "id"], "lost", count)
    assert found.column("id").to_pylist() == sorted([*first, *rest])
