"""One entity's events and one request: every function in every window is what its definition says."""

from __future__ import annotations

import json
import math
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pytest
from function_world import SOURCE, by_definition, features, repository_of, table_of, view_of
from hypothesis import given, settings
from hypothesis import strategies as st

from platform_assets.declaration.feature_view import FeatureView
from platform_assets.errors import DeclarationError
from platform_assets.online.serving_windows import (
    HORIZON,
    MISSING,
    MISSING_TEXT,
    OWN_KEY,
    TEXT,
    Events,
    Measure,
    filter_name,
    finish,
    keeps_keys,
    measures,
    place_of_own,
    retention,
    row_value,
)

HOUR = 3_600_000_000
VIEW = view_of(*features().values())
CONDITIONS = {
    "whole > 0 and not kind = 'a'": lambda row: row["whole"] > 0 and row["kind"] not in (None, "a"),
    "maybe >= 1.1 or flag": lambda row: (row["maybe"] is not None and row["maybe"] >= 1.1) or row["flag"],
    "not free is null": lambda row: row["free"] is not None and not math.isnan(row["free"]),
}
Row = dict[str, Any]


def microseconds_of(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1)) // timedelta(microseconds=1)


def key_of(row: Row) -> str:
    return json.dumps([row["till"], row["slip"]])


def measured(measure: Measure, row: Row) -> Any:
    """What events hold of a row, as Measure and the stand-ins for missing values say it."""
    if measure.where is not None:
        return int(CONDITIONS[measure.where](row))
    value = row[measure.column]
    if measure.is_text:
        return MISSING_TEXT if value is None else TEXT + value
    if not measure.exact:
        return math.nan if value is None else value
    return MISSING if value is None else round(value * measure.unit)


def events_of(rows: list[Row], kept: tuple[Measure, ...]) -> Events:
    rows = sorted(rows, key=lambda row: (row["at"], row["till"], row["slip"]))
    types = {"int64": np.int64, "float64": np.float64, "string": object}
    return Events(
        np.array([microseconds_of(row["at"]) for row in rows], np.int64),
        np.array([key_of(row) for row in rows], object),
        {m.column: np.array([measured(m, row) for row in rows], types[m.kind]) for m in kept},
    )


def finished(view: FeatureView, row: Row, stored: list[Row]) -> list[Any]:
    """Each feature of a view at one row that is among those stored, or is not."""
    kept = measures(SOURCE, view)
    events, moment = events_of(stored, kept).without(key_of(row)), microseconds_of(row["at"])
    own = {measure.column: measured(measure, row) for measure in kept} | {OWN_KEY: key_of(row)}
    return [finish(SOURCE, feature, events, moment, own) for feature in view.windows]


def one_row(**values: Any) -> Row:
    return table_of([values]).to_pylist()[0]


def test_without_an_own_row_only_events_count() -> None:
    """A request of nobody, such as one whose entity is null."""
    view = view_of(
        {"function": "count", "window": "1d"}, {"function": "sum", "column": "whole", "window": "1d"}
    )
    row = one_row(minute=60)
    events, moment = (
        events_of([one_row(minute=0, whole=5)], measures(SOURCE, view)),
        microseconds_of(row["at"]),
    )
    assert [finish(SOURCE, f, events, moment, None) for f in view.windows] == [1, 5.0]


def test_an_entity_without_events_has_its_own_row() -> None:
    """Nothing is known of it, so there are no keys either."""
    view = view_of(
        {"function": "last", "column": "whole", "window": "1d"},
        {"function": "max", "column": "cents", "window": "1d"},
        {"function": "count", "column": "place", "window": "1d"},
        {"function": "count", "column": "place", "window": "1d", "include_current_row": False},
    )
    row, kept = one_row(whole=4, cents=2.51), measures(SOURCE, view)
    nobody = Events(np.empty(0, np.int64), None, events_of([], kept).values)
    own = {measure.column: measured(measure, row) for measure in kept} | {OWN_KEY: key_of(row)}
    found = [finish(SOURCE, f, nobody, microseconds_of(row["at"]), own) for f in view.windows]
    assert found == [4.0, 2.51, 1, 0]


def test_the_own_row_is_left_out_of_the_stored_ones_only_where_it_is() -> None:
    rows = table_of([{"slip": n, "minute": n} for n in range(3)]).to_pylist()
    events = events_of(rows, measures(SOURCE, VIEW))
    assert events.without("another").times is events.times
    rest = events.without(key_of(rows[1]))
    assert rest.keys is not None
    assert rest.keys.tolist() == [key_of(rows[0]), key_of(rows[2])]
    assert rest.times.tolist() == [microseconds_of(rows[n]["at"]) for n in (0, 2)]
    assert {len(values) for values in rest.values.values()} == {2}
    keyless = Events(events.times, None, events.values)
    assert keyless.without(key_of(rows[1])) is keyless


@pytest.mark.parametrize(
    ("function", "empty"),
    [("time_since_last", None), ("time_since_last", -1.0), ("count", 0), ("count", 7)],
)
def test_what_an_empty_window_is_worth(function: str, empty: float | None) -> None:
    view = view_of({"function": function, "window": "12h", "delay": "1h", "empty": empty})
    (got,) = finished(view, one_row(minute=0), [])
    assert got == empty
    assert type(got) is (type(None) if empty is None else float if function == "time_since_last" else int)


def test_time_since_last_is_in_seconds() -> None:
    view = view_of({"function": "time_since_last", "window": "12h"})
    stored = [one_row(slip=1, minute=1), one_row(slip=2, minute=2, us=250_000)]
    assert finished(view, one_row(slip=3, minute=3), stored) == [59.75]


def test_an_infinite_value_has_no_deviation() -> None:
    view = view_of(
        {"function": "stddev", "column": "free", "window": "1d", "empty": -1},
        {"function": "max", "column": "free", "window": "1d"},
    )
    stored = [one_row(slip=1, free=math.inf), one_row(slip=2, free=3.0)]
    assert finished(view, one_row(slip=3, free=2.0), stored) == [-1.0, math.inf]


def test_deviations_of_large_whole_numbers_are_exact() -> None:
    view = view_of({"function": "stddev", "column": "whole", "window": "1d"})
    values = [4_000_000_000, 4_000_000_001, 4_000_000_003]
    stored = [one_row(slip=n, whole=value) for n, value in enumerate(values[:2])]
    assert finished(view, one_row(slip=9, whole=values[2]), stored) == [
        pytest.approx(math.sqrt(7 / 3), rel=1e-15)
    ]


# the place of the own row among those of its moment

TEXT_KEY = SOURCE.model_copy(update={"primary_key": ("till",)})


@pytest.mark.parametrize(
    ("key", "place"),
    [('["a", 1]', 1), ('["a", 10]', 2), ('["b", 1]', 3), ('["c", 0]', 4), (None, 4)],
    ids=["first of its moment", "numbers, not texts", "between", "last", "without a key"],
)
def test_the_own_row_stands_where_its_key_does(key: str | None, place: int) -> None:
    """The first event is older, however large its key."""
    keys = np.array(['["z", 9]', '["a", 9]', '["a", 11]', '["b", 2]'], object)
    assert place_of_own(SOURCE, np.array([6, 7, 7, 7]), keys, 7, key) == place


def test_a_key_that_the_source_could_not_have_stands_last() -> None:
    keys = np.array(['["a", 9]', "no json", '["a", "nine"]'], object)
    times = np.array([7, 7, 7])
    assert place_of_own(SOURCE, times, keys, 7, '["a", 1]') == 3
    assert place_of_own(SOURCE, times[:2], keys[:2], 7, '["a", 1]') == 2
    assert place_of_own(SOURCE, times[:1], keys[:1], 7, "no json either") == 1


def test_a_key_of_one_column_is_as_it_is() -> None:
    times = np.array([7, 7])
    assert place_of_own(TEXT_KEY, times, np.array(["[1", "[3"], object), 7, "[2") == 1
    assert place_of_own(TEXT_KEY, times, np.array([9, 11]), 7, 10) == 1
    assert place_of_own(TEXT_KEY, times, np.array([9, 11]), 7, 9) == 0, (
        "the stored one of its key comes after"
    )


# what is kept


def test_what_events_hold() -> None:
    wheres = [m.where for m in measures(SOURCE, VIEW) if m.where is not None]
    assert sorted(wheres) == sorted(CONDITIONS)
    assert measures(SOURCE, VIEW) == (
        Measure("maybe", exact=True, unit=100, nullable=True),
        Measure("free", exact=False, nullable=True),
        Measure("cents", exact=True, unit=100),
        Measure("whole", exact=True),
        Measure("kind", exact=False, nullable=True, is_text=True),
        Measure("flag", exact=True),
        *(Measure(filter_name(where), exact=True, where=where) for where in wheres),
    )
    kinds = {m.column: m.kind for m in measures(SOURCE, VIEW)}
    assert (kinds["kind"], kinds["maybe"], kinds["free"], kinds["flag"]) == (
        "string", "int64", "float64", "int64",
    )  # fmt: skip
    assert {kinds[filter_name(where)] for where in wheres} == {"int64"}
    assert [m.reads for m in measures(SOURCE, VIEW)[-4:]] == [
        ("flag",), ("whole", "kind"), ("maybe", "flag"), ("free",),
    ]  # fmt: skip


def test_a_count_of_a_column_without_nulls_is_one_of_rows() -> None:
    counted = {"function": "count", "window": "1d"}
    assert measures(SOURCE, view_of({**counted, "column": "place"}, counted)) == ()
    (kept,) = measures(SOURCE, view_of({**counted, "column": "kind"}))
    assert (kept.column, kept.is_text) == ("kind", True)


@pytest.mark.parametrize(("function", "column"), [("sum", "kind"), ("last", "at"), ("distinct_count", "at")])
def test_a_window_over_what_is_no_number_is_refused(function: str, column: str) -> None:
    feature = {"name": "f", "function": function, "column": column, "window": "1d"}
    told = {"name": "v", "owners": ["team:x"], "source": "events", "entity": "who", "features": [feature]}
    kind = SOURCE.column(column).type
    with pytest.raises(
        DeclarationError,
        match=f"^feature view 'v': column '{column}' is a {kind}, and a window needs a number$",
    ):
        measures(SOURCE, FeatureView.model_validate(told))


def test_stored_states_are_read_by_later_versions() -> None:
    """What stands in a stored state for a missing value, and the name of a condition's measure, stay."""
    assert (MISSING, MISSING_TEXT, TEXT) == (-9223372036854775808, "", "=")
    assert filter_name("amount > 100") == "where_7654ec05f1bc6b2f"


def test_how_long_events_are_kept() -> None:
    assert timedelta(days=1) == HORIZON
    count = {"function": "count", "window": "2d"}
    row = {"name": "now", "function": "value", "column": "cents"}
    assert retention(view_of(count, {**count, "window": "12h", "delay": "3d"}, row)) == timedelta(days=3.5)
    assert retention(view_of(row)) == timedelta()
    assert keeps_keys(view_of(count, {**count, "delay": "1h"}))
    assert not keeps_keys(view_of({**count, "delay": "1h"}, row))


# the request itself


def test_the_weekend_is_saturday_and_sunday() -> None:
    feature = view_of({"function": "weekend"}).features[0]
    monday = microseconds_of(datetime(2024, 3, 4))
    hours = [row_value(feature, monday + n * HOUR, None) for n in range(14 * 24)]
    assert hours == [int(n % 168 >= 120) for n in range(14 * 24)]
    assert row_value(feature, monday - 1, None) == 1


def test_an_hour_counts_to_its_end() -> None:
    feature = view_of({"function": "hour_at_most", "hour": 6}).features[0]
    midnight = microseconds_of(datetime(2024, 3, 4))
    moments = [midnight, midnight + 7 * HOUR - 1, midnight + 7 * HOUR, midnight + 24 * HOUR - 1]
    assert [row_value(feature, moment, None) for moment in moments] == [1, 1, 0, 0]
    assert type(row_value(feature, midnight, None)) is int


def test_a_value_is_a_float_or_missing() -> None:
    feature = view_of({"function": "value", "column": "whole"}).features[0]
    values = [row_value(feature, 0, value) for value in (3, 0, None, math.nan)]
    assert values == [3.0, 0.0, None, None]
    assert type(values[0]) is float
    assert repository_of(VIEW).source("events") == SOURCE


# all of it against a loop over rows

raw_rows = st.fixed_dictionaries(
    {
        "minute": st.integers(0, 10).map(lambda n: 360 * n),
        "till": st.sampled_from("ab"),
        "slip": st.integers(8, 11),
        "cents": st.sampled_from([-2.51, 0.0, 1.1, 7.25]),
        "maybe": st.sampled_from([None, -1.07, 1.1, 2.0]),
        "free": st.sampled_from([None, math.nan, -2.5, 0.0, 4.75]),
        "whole": st.integers(-1, 2),
        "flag": st.booleans(),
        "kind": st.sampled_from([None, "", "a", "b"]),
    }
)


@settings(max_examples=20, deadline=None)
@given(
    st.lists(raw_rows, min_size=1, max_size=9, unique_by=lambda row: (row["till"], row["slip"])),
    st.booleans(),
)
def test_every_function_in_every_window_is_its_definition(told: list[Row], stored: bool) -> None:
    """Each row asked for, among rows before, beside and after it; it counts once, stored or not."""
    rows = table_of(told).to_pylist()
    wanted = [by_definition(VIEW, feature, rows) for feature in VIEW.windows]
    for place, row in enumerate(rows):
        others = rows if stored else [other for other in rows if other is not row]
        for feature, values, got in zip(VIEW.windows, wanted, finished(VIEW, row, others), strict=True):
            want = values[place]
            assert type(got) is type(want), feature
            assert got == (want if want is None else pytest.approx(want, rel=1e-12, abs=1e-12)), feature
