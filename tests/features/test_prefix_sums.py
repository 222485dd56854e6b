"""Prefix sums give the bits that DuckDB's windows give, and leave to it what they cannot do."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import function_world
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from platform_assets.declaration.feature_view import Entity, Feature, FeatureView
from platform_assets.declaration.source import Column, Source
from platform_assets.features import engine_choice, prefix_sums
from platform_assets.features.engine_choice import feature_rows, uses_prefix_sums
from platform_assets.features.prefix_sums import PrefixSums, window_features
from platform_assets.features.timeline import OutOfRange, Timeline
from platform_assets.features.window_sql import view_sql

MONDAY = datetime(2020, 1, 6, tzinfo=UTC).replace(tzinfo=None)
DAYS = [(MONDAY + timedelta(days=number)).date().isoformat() for number in range(5)]

SOURCE = Source(
    name="orders",
    owners=("team:x",),
    location="x",
    start=MONDAY.date(),
    columns=(
        Column(name="id", type="int64"),
        Column(name="at", type="timestamp"),
        Column(name="shop", type="string", nullable=True),
        Column(name="buyer", type="int64"),
        Column(name="cents", type="float64", scale=2),
        Column(name="maybe", type="float64", scale=2, nullable=True),
        Column(name="free", type="float64", nullable=True),
        Column(name="whole", type="int64", nullable=True),
        Column(name="flag", type="bool"),
        Column(name="word", type="string", nullable=True),
    ),
    primary_key=("id",),
    event_timestamp="at",
    contract="x.json",
)
SHOP, BUYER = Entity(name="shop", join_key="shop"), Entity(name="buyer", join_key="buyer")


def view_of(*features: dict[str, Any], entity: str = "shop") -> FeatureView:
    return FeatureView(
        name="v",
        owners=("team:x",),
        source="orders",
        entity=entity,
        features=tuple(Feature(**{"name": f"f{number}", **f}) for number, f in enumerate(features)),
    )


def raw_table(rows: Sequence[dict[str, Any]]) -> pa.Table:
    def column(name: str, otherwise: Any, kind: pa.DataType) -> pa.Array:
        return pa.array([row.get(name, otherwise) for row in rows], kind)

    moments = [MONDAY + timedelta(minutes=r.get("minute", 0), microseconds=r.get("us", 0)) for r in rows]
    return pa.table(
        {
            "id": pa.array(range(len(rows)), pa.int64()),
            "at": pa.array(moments, pa.timestamp("us")),
            "shop": column("shop", "a", pa.string()),
            "buyer": column("buyer", 1, pa.int64()),
            "cents": column("cents", 1.1, pa.float64()),
            "maybe": column("maybe", 1.1, pa.float64()),
            "free": column("free", 1.5, pa.float64()),
            "whole": column("whole", 3, pa.int64()),
            "flag": column("flag", True, pa.bool_()),
            "word": column("word", "w", pa.string()),
            "_available_at": pa.array(moments, pa.timestamp("us")),
        }
    )


def both(view: FeatureView, raw: pa.Table, days: Sequence[str] = DAYS) -> tuple[pa.Table, pa.Table]:
    """By the chosen engine, which must be prefix sums, and by DuckDB."""
    entity = SHOP if view.entity == "shop" else BUYER
    assert uses_prefix_sums(SOURCE, entity, view)
    with duckdb.connect() as connection:
        connection.register("raw_in", raw)
        ours = feature_rows(connection, SOURCE, entity, view, "raw_in", days)
        query = view_sql(SOURCE, entity, view, relation="raw_in", days=days)
        return ours.sort_by("id"), connection.sql(query).to_arrow_table().sort_by("id")


def by_hand(features: Sequence[Feature], keys: Sequence[pa.ChunkedArray], moments: Any) -> dict[str, Any]:
    """Counts of rows given as arrays."""
    found = window_features(features, Timeline.of(keys, np.asarray(moments, np.int64), features), {})
    return {name: column.to_pylist() for name, column in found.items()}


def same_bits(ours: pa.Table, theirs: pa.Table) -> None:
    assert [(f.name, f.type) for f in ours.schema] == [(f.name, f.type) for f in theirs.schema]
    for name in theirs.column_names:
        one, other = ours.column(name).combine_chunks(), theirs.column(name).combine_chunks()
        assert one.is_null().equals(other.is_null()), name
        if pa.types.is_floating(one.type):
            one, other = (c.fill_null(0).to_numpy().view(np.int64).tolist() for c in (one, other))
            assert one == other, name
        else:
            assert one.equals(other), (name, one.to_pylist(), other.to_pylist())


COUNT = {"function": "count", "window": "1d"}
ROWS: list[dict[str, Any]] = [
    {"minute": 0, "cents": 0.29, "maybe": None, "whole": None, "word": None, "free": float("nan")},
    {"minute": 0, "cents": -1.01, "maybe": 7.77, "whole": -4, "flag": False},
    {"minute": 1440, "cents": 33.33, "word": None},
    {"minute": 1440, "us": 1, "shop": "b", "buyer": 2, "maybe": None},
    {"minute": 1470, "shop": None, "buyer": 2, "cents": 2.5},
    {"minute": 1471, "shop": None, "buyer": 2, "whole": 9},
    {"minute": 2880, "cents": 0.07, "free": None},
    {"minute": 2880, "us": -1, "cents": 0.01, "shop": "b"},
    {"minute": 7199, "cents": 99.99, "whole": None},
]
TABLE: dict[str, list[dict[str, Any]]] = {
    "count": [COUNT],
    "count, a short and a long window": [COUNT, {**COUNT, "window": "30m"}, {**COUNT, "window": "90d"}],
    "count with a delay": [{**COUNT, "delay": "1d"}],
    "count without the own row": [{**COUNT, "include_current_row": False}],
    "count without the own row, delayed": [{**COUNT, "include_current_row": False, "delay": "30m"}],
    "count of a nullable column": [{**COUNT, "column": "maybe"}],
    "count of a nullable text": [{**COUNT, "column": "word"}],
    "count of a nullable double": [{**COUNT, "column": "free"}],
    "count of values without the own row": [{**COUNT, "column": "whole", "include_current_row": False}],
    "count, declared empty": [{**COUNT, "delay": "2d", "empty": -1}],
    "sum of cents": [{**COUNT, "function": "sum", "column": "cents"}],
    "sum of nullable cents": [{**COUNT, "function": "sum", "column": "maybe"}],
    "sum of whole numbers": [{**COUNT, "function": "sum", "column": "whole", "window": "2d"}],
    "sum of flags": [{**COUNT, "function": "sum", "column": "flag"}],
    "sum without the own row": [{**COUNT, "function": "sum", "column": "maybe", "include_current_row": False}],
    "sum, declared empty": [{**COUNT, "function": "sum", "column": "maybe", "delay": "2d", "empty": 0}],
    "mean of cents": [{**COUNT, "function": "mean", "column": "cents"}],
    "mean of nullable whole numbers": [{**COUNT, "function": "mean", "column": "whole"}],
    "mean beside its count": [COUNT, {**COUNT, "function": "mean", "column": "cents"}],
    "mean without the own row": [
        {**COUNT, "function": "mean", "column": "cents", "include_current_row": False}
    ],
    "mean, declared empty": [{**COUNT, "function": "mean", "column": "flag", "delay": "2d", "empty": -0.5}],
    "row functions beside windows": [
        {"function": "weekend"},
        COUNT,
        {"function": "hour_at_most", "hour": 6},
        {"function": "value", "column": "free"},
    ],
}  # fmt: skip


@pytest.mark.parametrize("entity", ["shop", "buyer"])
@pytest.mark.parametrize("features", TABLE.values(), ids=TABLE.keys())
def test_same_bits_as_duckdb(features: list[dict[str, Any]], entity: str) -> None:
    same_bits(*both(view_of(*features, entity=entity), raw_table(ROWS)))


@pytest.mark.parametrize("days", [DAYS[1:2], [DAYS[4], DAYS[0]], ["2031-01-01"], []], ids=str)
def test_days_keep_rows_after_their_windows_have_looked(days: list[str]) -> None:
    view = view_of({**COUNT, "window": "2d"}, {"function": "mean", "column": "maybe", "window": "3d"})
    same_bits(*both(view, raw_table(ROWS), days))


def test_no_raw_row_at_all() -> None:
    ours, theirs = both(view_of(COUNT, {**COUNT, "function": "sum", "column": "maybe"}), raw_table([]))
    assert ours.num_rows == 0
    same_bits(ours, theirs)


amount = st.integers(-300, 300).map(lambda cents: cents / 100)
row = st.fixed_dictionaries(
    {
        # few moments, on the edges of the windows below: ties and edges are common
        "minute": st.integers(0, 8).map(lambda n: n * 30) | st.sampled_from([720, 1440, 1470, 2880]),
        "us": st.sampled_from([0, 0, 0, 1]),
        "shop": st.sampled_from(["a", "a", "b", "", None]),
        "buyer": st.sampled_from([0, 1, -(2**63), 2**63 - 1]),
        "cents": amount,
        "maybe": st.none() | amount | st.just(float("nan")),
        "whole": st.none() | st.integers(-(10**9), 10**9),
        "flag": st.booleans(),
    }
)
declared = st.fixed_dictionaries(
    {
        "function": st.sampled_from(["count", "sum", "mean", "stddev"]),
        "where": st.sampled_from([None, None, "flag", "whole > 0", "maybe is null"]),
        "column": st.sampled_from(["cents", "maybe", "whole", "flag"]),
        "window": st.sampled_from(["30m", "90m", "12h", "1d", "2d"]),
        "delay": st.sampled_from(["0s", "0s", "30m", "1d"]),
        "include_current_row": st.booleans(),
        "empty": st.sampled_from([None, 0.0, -1.0]),
    }
)


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that windows of a few rows span several blocks."""
    monkeypatch.setattr(prefix_sums, "BLOCK", 5)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    features=st.lists(declared, min_size=1, max_size=5),
    rows=st.lists(row, max_size=14),
    entity=st.sampled_from(["shop", "buyer"]),
    days=st.sets(st.sampled_from(DAYS), min_size=1),
)
def test_same_bits_as_duckdb_on_any_rows(
    features: list[dict[str, Any]], rows: list[dict[str, Any]], entity: str, days: set[str]
) -> None:
    same_bits(*both(view_of(*features, entity=entity), raw_table(rows), sorted(days)))


def test_same_bits_on_many_rows_in_any_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prefix_sums, "BLOCK", 7000)
    rng = np.random.default_rng(7)
    n = 20_000
    raw = pa.table(
        {
            "id": pa.array(rng.permutation(n)),
            "at": pa.array(
                np.datetime64(MONDAY, "us") + rng.integers(0, 5 * 86_400, n).astype("timedelta64[s]")
            ),
            "shop": pa.array([f"s{number}" for number in rng.integers(0, 40, n)]),
            "buyer": pa.array(rng.integers(0, 300, n)),
            "cents": pa.array(rng.integers(-30_000, 30_000, n) / 100),
            "maybe": pa.array(rng.integers(0, 30_000, n) / 100, mask=rng.random(n) < 0.3),
            "free": pa.array(rng.normal(size=n)),
            "whole": pa.array(rng.integers(-(10**6), 10**6, n)),
            "flag": pa.array(rng.random(n) < 0.1),
            "word": pa.array(["w"] * n),
        }
    )
    raw = raw.append_column("_available_at", raw.column("at"))
    features = [
        {"function": function, "column": column, "window": window, "delay": delay}
        for function, column in [("count", None), ("sum", "cents"), ("mean", "maybe"), ("mean", "flag")]
        for window, delay in [("1h", "0s"), ("1d", "0s"), ("2d", "1d")]
    ]
    for entity in ("shop", "buyer"):
        ours, theirs = both(view_of(*features, entity=entity), raw)
        assert ours.num_rows == n
        same_bits(ours, theirs)


DERIVED: list[dict[str, Any]] = [
    {"name": "share", "function": "ratio", "numerator": "big", "denominator": "all", "empty": 0},
    {"name": "odd", "function": "expression", "expression": "(cents - mean) / spread + coalesce(free, 1)"},
    {"name": "twice", "function": "expression", "expression": "odd * 2 > 1 and not flag and all > 1"},
    {"name": "big", "function": "count", "window": "1d", "where": "cents > 1.1"},
    {"name": "all", "function": "count", "window": "1d"},
    {"name": "mean", "function": "mean", "column": "cents", "window": "2d"},
    {"name": "spread", "function": "stddev", "column": "cents", "window": "2d"},
    {"name": "late", "function": "weekend"},
    {"name": "raw", "function": "value", "column": "free"},
]  # fmt: skip
DECLARED = {
    told: feature
    for told, feature in function_world.features().items()
    if uses_prefix_sums(
        function_world.SOURCE, function_world.ENTITIES["who"], function_world.view_of(feature)
    )
}


@pytest.mark.parametrize("entity", ["who", ["who", "place"]], ids=["one entity", "a pair"])
@pytest.mark.parametrize("declared", [list(DECLARED.values()), DERIVED], ids=["every function", "derived"])
def test_same_bits_as_duckdb_for_every_function(declared: list[dict[str, Any]], entity: Any) -> None:
    source, view = function_world.SOURCE, function_world.view_of(*declared, entity=entity)
    who = function_world.repository_of(view).entity_of(view)
    assert uses_prefix_sums(source, who, view)
    raw = function_world.random_rows()
    days = sorted({str(moment)[:10] for moment in raw.column("at").to_pylist()})[1:]
    with duckdb.connect() as connection:
        connection.register("raw_in", raw)
        ours = feature_rows(connection, source, who, view, "raw_in", days)
        query = view_sql(source, who, view, relation="raw_in", days=days)
        theirs = connection.sql(query).to_arrow_table()
    keys = [("till", "ascending"), ("slip", "ascending")]
    assert ours.num_rows > 100
    same_bits(ours.sort_by(keys), theirs.sort_by(keys))


def test_which_functions_are_taken() -> None:
    """Of the table above: what is made of whole numbers, in every window; without a filter, the time since."""
    names = {told.split(",")[0] for told in DECLARED}
    assert names == {
        "count", "count of a column", "sum", "mean", "stddev", "stddev of whole numbers", "stddev with nulls",
        "time since last",
    }  # fmt: skip
    assert len(DECLARED) == 7 * len(function_world.WINDOWS) + 4


@pytest.mark.parametrize("most", [40_000, 10**6, 2 * 10**9], ids=str)
def test_squares_of_large_numbers(most: int) -> None:
    """Up to 2^63 the squares are ours, beyond it DuckDB's; nothing shows where."""
    rng = np.random.default_rng(1)
    rows = [{"minute": int(m), "whole": int(w)} for m, w in rng.integers(-most, most, (30, 2)) % [5000, most]]
    same_bits(*both(view_of({"function": "stddev", "column": "whole", "window": "2d"}), raw_table(rows)))


def test_a_long_formula_is_planned() -> None:
    """Twice the text for each operation would be 2^40 times the text."""
    formula = " + ".join(["cents"] * 40)
    raw = function_world.random_rows()
    for windows in (
        [{"function": "count", "window": "1d"}],
        [{"function": "max", "column": "free", "window": "1d"}],
    ):
        view = function_world.view_of({"function": "expression", "expression": formula}, *windows)
        who = function_world.repository_of(view).entity_of(view)
        days = {str(moment)[:10] for moment in raw.column("at").to_pylist()}
        with duckdb.connect() as connection:
            connection.register("raw_in", raw)
            found = feature_rows(connection, function_world.SOURCE, who, view, "raw_in", days)
        assert pc.sum(found.column("f0")).as_py() == pytest.approx(40 * pc.sum(raw.column("cents")).as_py())


LEFT_TO_SQL: dict[str, list[dict[str, Any]]] = {
    "smallest": [{"function": "min", "column": "cents", "window": "1d"}],
    "standard deviation of a double": [{"function": "stddev", "column": "free", "window": "1d"}],
    "newest value": [{"function": "last", "column": "cents", "window": "1d"}],
    "different values": [{"function": "distinct_count", "column": "whole", "window": "1d"}],
    "time since a row of a kind": [{"function": "time_since_last", "window": "1d", "where": "flag"}],
    "mean of a double": [{"function": "mean", "column": "free", "window": "1d"}],
    "sum of a text": [{"function": "sum", "column": "word", "window": "1d"}],
    "no window": [{"function": "weekend"}],
}


@pytest.mark.parametrize("features", LEFT_TO_SQL.values(), ids=LEFT_TO_SQL.keys())
def test_left_to_sql(features: list[dict[str, Any]]) -> None:
    assert not uses_prefix_sums(SOURCE, SHOP, view_of(*features))


def test_a_declaration_that_says_more_is_left_to_sql(monkeypatch: pytest.MonkeyPatch) -> None:
    """A field that this engine was never told of must not be ignored."""
    view = view_of({**COUNT, "delay": "1d"})
    assert uses_prefix_sums(SOURCE, SHOP, view)
    monkeypatch.setattr(engine_choice, "_FEATURE_FIELDS", engine_choice._FEATURE_FIELDS - {"delay"})
    assert not uses_prefix_sums(SOURCE, SHOP, view)


BEYOND: dict[str, list[dict[str, Any]]] = {
    "largest": [{"whole": 2**63 - 1}] * 3,
    "smallest": [{"whole": -(2**63)}] * 3,
    "just over 2^53": [{"whole": 2**52}, {"whole": 2**52}, {"whole": 1}],
    "just over -2^53": [{"whole": -(2**52)}, {"whole": -(2**52)}, {"whole": -1}],
}


@pytest.mark.parametrize("rows", BEYOND.values(), ids=BEYOND.keys())
def test_sums_beyond_exact_doubles_are_left_to_sql(rows: list[dict[str, Any]]) -> None:
    view = view_of({"function": "sum", "column": "whole", "window": "1d"})
    raw = raw_table(rows)
    same_bits(*both(view, raw))
    timeline = Timeline.of([raw.column("shop")], np.zeros(3, np.int64), view.windows)
    sums = {("whole", None): PrefixSums.of(raw.column("whole"), 1, timeline)}
    with pytest.raises(OutOfRange, match="could pass 2"):
        window_features(view.windows, timeline, sums)


def test_a_part_of_a_second_and_a_window_without_values() -> None:
    rows = [{"minute": 1, "whole": None}, {"minute": 1, "us": 250_000, "whole": None}]
    view = view_of(
        {"function": "time_since_last", "window": "1d"},
        {"function": "mean", "column": "whole", "window": "1d"},
    )
    with np.errstate(all="raise"):  # nothing is divided by no value
        ours, theirs = both(view, raw_table(rows))
    same_bits(ours, theirs)
    assert ours.column("f0").to_pylist() == [None, 0.25]
    assert ours.column("f1").to_pylist() == [None, None]


ROOT = 1_518_500_249  # two of these and one more: the first whole number whose square passes 2^63


@pytest.mark.parametrize(
    ("function", "numbers", "ours"),
    [
        pytest.param("sum", [2**52, 2**52], True, id="exactly 2^53"),
        pytest.param("sum", [2**52 + 1, 2**52], False, id="one more"),
        pytest.param("sum", [-(2**52), -(2**52)], True, id="exactly -2^53"),
        pytest.param("sum", [-(2**52) - 1, -(2**52)], False, id="one less"),
        pytest.param("stddev", [ROOT, -ROOT], True, id="square below 2^63"),
        pytest.param("stddev", [ROOT + 1, -ROOT], False, id="square above 2^63"),
    ],
)
def test_where_whole_numbers_end(function: str, numbers: list[int], ours: bool) -> None:
    view = view_of({"function": function, "column": "whole", "window": "1d"})
    raw = raw_table([{"whole": number} for number in numbers])
    same_bits(*both(view, raw))
    timeline = Timeline.of([raw.column("shop")], np.zeros(2, np.int64), view.windows)
    sums = {("whole", None): PrefixSums.of(raw.column("whole"), 1, timeline, squares=function == "stddev")}
    if ours:
        found = window_features(view.windows, timeline, sums)["f0"].to_pylist()
        right = sum(numbers) if function == "sum" else np.std(numbers, ddof=1)
        assert found == pytest.approx([right, right], rel=1e-15)
    else:
        with pytest.raises(OutOfRange, match="could pass 2"):
            window_features(view.windows, timeline, sums)


def test_prefix_sums_may_wrap_around_where_no_window_does() -> None:
    """Together the numbers pass 2^63; no window holds more than one."""
    rows = [{"minute": 60 * n, "whole": 2**53 - n} for n in range(1100)]
    view = view_of({"function": "sum", "column": "whole", "window": "30m"})
    days = [(MONDAY + timedelta(days=n)).date().isoformat() for n in range(50)]
    ours, theirs = both(view, raw_table(rows), days)
    same_bits(ours, theirs)
    assert ours.column("f0").to_pylist() == [float(2**53 - n) for n in range(1100)]


def test_many_entities_over_a_long_time_are_counted_in_coarser_ticks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A million entities over a century of microseconds pass 2^63; in whole seconds they fit."""
    monkeypatch.setattr(prefix_sums, "BLOCK", 2**18)
    rng = np.random.default_rng(3)
    buyers = np.concatenate([np.arange(1_000_000), rng.integers(0, 5, 200)])
    moments = np.concatenate([np.zeros(1_000_000, np.int64), rng.integers(0, 10**5, 200) * 30_000_000])
    moments[-1] = 100 * 365 * 86_400_000_000
    features = view_of({**COUNT, "window": "30d"}, {**COUNT, "delay": "30m"}).windows
    found = by_hand(features, [pa.chunked_array([buyers])], moments)
    for name, low, high in (("f0", 0, 30 * 86_400), ("f1", 1800, 86_400 + 1800)):
        for index in range(1_000_000, 1_000_200, 17):
            age = (moments[index] - moments) // 1_000_000
            expected = ((buyers == buyers[index]) & (age >= low) & (age < high)).sum()
            assert found[name][index] == expected
    with pytest.raises(OutOfRange, match="do not fit"):
        by_hand(features, [pa.chunked_array([buyers])], moments + np.arange(len(moments)))


def test_a_null_key_that_is_not_declared_is_left_to_sql() -> None:
    """SQL takes such rows for one entity; nobody knows what is right, but both must say the same."""
    view = view_of(COUNT, entity="buyer")
    same_bits(*both(view, raw_table([{"buyer": None}, {"buyer": None}, {"buyer": 2}])))


def test_pairs_of_keys() -> None:
    one = pa.chunked_array([pa.array(["a", "a", "b", None, "a"])])
    other = pa.chunked_array([pa.array([1, 2, 1, 1, 1])])
    assert by_hand(view_of(COUNT).windows, [one, other], np.zeros(5)) == {"f0": [2, 1, 1, 0, 2]}


def test_a_window_never_reaches_the_entity_before() -> None:
    """The mistake that a stretch without room for the widest window would make."""
    keys = pa.chunked_array([pa.array([1, 2])])
    features = view_of({**COUNT, "window": "30d"}, {**COUNT, "window": "30d", "delay": "30d"}).windows
    for moments in ([0, 0], [10, 0], [0, 10]):
        found = by_hand(features, [keys], np.array(moments) * 86_400_000_000)
        assert list(found.values()) == [[1, 1], [0, 0]]


def test_fallback_is_used_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    """`both` would compare DuckDB with itself if the engine were never reached."""
    reached: list[int] = []
    real = prefix_sums.window_features

    def seen(*arguments: Any) -> dict[str, pa.Array]:
        reached.append(1)
        return real(*arguments)

    monkeypatch.setattr(engine_choice, "window_features", seen)
    both(view_of(COUNT), raw_table(ROWS))
    assert reached
