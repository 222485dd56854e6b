"""A training set as known then, against a judge that looks at every version of every parcel by hand."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from parcels import DAYS, Judge, Parcel, Service, by_parcel, on_time

from platform_assets.hindsight.difference import difference
from platform_assets.hindsight.known_then import evaluated_as_of, known_then
from platform_assets.hindsight.row_versions import row_versions
from platform_assets.training.split import SplitDays
from platform_assets.training.training_set import read_training_set
from platform_assets.vocabulary import raw_table

HOURS = 7 * 24


@st.composite
def parcels(draw: st.DrawFn) -> list[Parcel]:
    """A few parcels a day, both labels among those that train."""
    hours = draw(st.lists(st.integers(0, HOURS - 1), min_size=8, max_size=24))
    hours += [25, 49, 73, 5 * 24 + 1, HOURS - 1]
    return [
        Parcel(n, at, draw(st.integers(1, 2)), draw(st.integers(1, 9)), n % 2, at)
        for n, at in enumerate(hours)
    ]


@st.composite
def later(draw: st.DrawFn, first: Sequence[Parcel]) -> list[Parcel]:
    """Versions that arrive after the first delivery: parcels unheard of, and corrected ones."""
    found: list[Parcel] = []
    for number in range(draw(st.integers(0, 5))):
        known = draw(st.integers(1, 12 * 24))
        if draw(st.booleans()):
            at = draw(st.integers(0, min(known, HOURS - 1)))
            found.append(
                Parcel(1000 + number, at, draw(st.integers(1, 2)), draw(st.integers(1, 9)), 0, known)
            )
        else:
            old = draw(st.sampled_from(first))
            at = old.day * 24 + draw(st.integers(0, 23))
            changed = replace(
                old, at=at, shop=draw(st.integers(1, 2)), grams=old.grams + 1, lost=draw(st.integers(0, 1))
            )
            found.append(replace(changed, known=max(known, old.at + 1, at)))
    # two last words at the same moment would be no history
    return sorted({(p.parcel, p.known): p for p in found}.values(), key=lambda p: p.known)


@st.composite
def deliveries(draw: st.DrawFn) -> tuple[list[Parcel], list[Parcel]]:
    first = draw(parcels())
    return first, draw(later(first))


# a late parcel takes the features of the one before it, whose window begins before the late one's would
WINDOW_OF_AN_OLDER_ROW = (
    [Parcel(n, at, 1, 5, 1, at) for n, at in enumerate((19, 90))]
    + [Parcel(10 + n, at, 2, 5, n % 2, at) for n, at in enumerate((25, 49, 73, 121, HOURS - 1))],
    [Parcel(1000, 95, 1, 5, 0, 100)],
)
# the older row is of the day before, and its window begins on a day that no window of this day reaches
WINDOW_FROM_THE_DAY_BEFORE = (
    [Parcel(n, at, 1, 5, 1, at) for n, at in enumerate((47, 118))]
    + [Parcel(10 + n, at, 2, 5, n % 2, at) for n, at in enumerate((25, 49, 73, 121, HOURS - 1))],
    [Parcel(1000, 121, 1, 5, 0, 130)],
)


@settings(max_examples=10, deadline=None)
@given(deliveries())
@example(WINDOW_OF_AN_OLDER_ROW)
@example(WINDOW_FROM_THE_DAY_BEFORE)
def test_it_is_what_a_judge_finds_by_hand(delivered: tuple[list[Parcel], list[Parcel]]) -> None:
    first, corrections = delivered
    keep_both_labels = {p.parcel for p in first[-5:]}
    corrections = [p for p in corrections if p.parcel not in keep_both_labels]
    with tempfile.TemporaryDirectory() as folder:
        service = Service(Path(folder) / "home")
        service.deliver(on_time(first))
        for day in range(len(DAYS)):
            service.write(day)
        for parcel in corrections:
            service.deliver([parcel])
        training_set = service.training_set()
        versions = row_versions(
            service.stores,
            service.source,
            training_set.inputs[raw_table("parcels")],
            loaded_within=timedelta(days=2),
        )
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("platform_assets.hindsight.known_then.ROWS_AT_ONCE", 3)
            then = known_then(service.stores, service.repository, service.product, training_set, versions)
        now = read_training_set(service.stores, training_set)
        judge = Judge([*first, *corrections])
        assert by_parcel(now) == judge.now()
        assert by_parcel(then.rows) == judge.then()
        found = difference(
            now,
            then.rows,
            key=["parcel"],
            inputs=service.repository.input_columns(service.product),
            label="lost",
        )
        _check_counts(found, judge)


def test_only_rows_that_hindsight_reaches_are_computed_anew(tmp_path: Path) -> None:
    """A parcel of hour 121 is told at 130: rows before it, and those from then on, saw what they see now."""
    first = [Parcel(n, at, 1, 5, 1, at) for n, at in enumerate((47, 118, 130, 140))]
    first += [Parcel(10 + n, at, 2, 5, n % 2, at) for n, at in enumerate((25, 49, 73, 121, HOURS - 1))]
    service = Service(tmp_path / "home")
    service.deliver(first)
    for day in range(len(DAYS)):
        service.write(day)
    service.deliver([Parcel(1000, 121, 1, 5, 0, 130)])
    training_set = service.training_set()
    versions = row_versions(
        service.stores,
        service.source,
        training_set.inputs[raw_table("parcels")],
        loaded_within=timedelta(days=2),
    )
    then = known_then(service.stores, service.repository, service.product, training_set, versions)
    assert then.reached == 1
    assert then.rows.num_rows == read_training_set(service.stores, training_set).num_rows


def test_test_rows_are_read_once_the_last_label_was_due(tmp_path: Path) -> None:
    product = Service(tmp_path / "home").product
    split = SplitDays(("2024-02-25",), ("2024-02-27", "2024-02-28", "2024-02-29"), "2024-02-27", "x")
    assert evaluated_as_of(product, split) == "2024-03-02T00:00:00"


def _check_counts(found, judge: Judge) -> None:
    now, then = judge.now(), judge.then()
    both = [p for p in now if p in then and now[p]["_split"] == then[p]["_split"]]
    assert (found.added, found.removed) == (len(now) - len(both), len(then) - len(both))
    for line in found.columns:
        assert line["rows"] == sum(now[p][line["name"]] != then[p][line["name"]] for p in both), line
    compared = [line["name"] for line in found.columns]
    assert found.rows_changed == sum(any(now[p][n] != then[p][n] for n in compared) for p in both)
