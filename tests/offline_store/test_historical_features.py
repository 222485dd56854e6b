"""`get_historical_features` through Feast's own API: what a plain loop says, each row once, in order."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import feast
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from feast.types import Float64, Int64
from feast_world import day, open_store, source, view
from hypothesis import given, settings
from hypothesis import strategies as st

from platform_assets.features import as_of_sql

NOON = datetime(2024, 1, 1, 12, tzinfo=UTC)
STAMP = pa.timestamp("us", tz="UTC")
DRIVER = feast.Entity(name="driver", join_keys=["driver"], value_type=feast.ValueType.INT64)
SHOP = feast.Entity(name="shop", join_keys=["shop"], value_type=feast.ValueType.STRING)


def at(minute: float | None) -> datetime | None:
    return None if minute is None else NOON + timedelta(minutes=minute)


class Row(NamedTuple):
    """A feature row: two keys, event and created minute; its value is its number."""

    driver: int | None
    shop: str | None
    event: int
    created: int | None


def write_rows(folder: Path, rows: list[Row], files: int) -> None:
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*.parquet"):
        old.unlink()
    for number in range(files):
        part = [(n, row) for n, row in enumerate(rows) if n * files // max(len(rows), 1) == number]
        table = pa.table(
            {
                "driver": pa.array([row.driver for _, row in part], pa.int64()),
                "shop": pa.array([row.shop for _, row in part], pa.string()),
                "ts": pa.array([at(row.event) for _, row in part], STAMP),
                "created": pa.array([at(row.created) for _, row in part], STAMP),
                "f": pa.array([float(n) for n, _ in part], pa.float64()),
                "g": pa.array([n for n, _ in part], pa.int64()),
            }
        )
        pq.write_table(table, folder / f"part-{number}.parquet")


TTLS = {"by_driver": None, "by_driver_ttl": 5, "by_both": 3, "by_none": None, "by_none_ttl": 2}
KEYS = {"by_driver": ("driver",), "by_driver_ttl": ("driver",), "by_both": ("driver", "shop")}


@pytest.fixture(scope="module")
def many_views(tmp_path_factory: pytest.TempPathFactory) -> tuple[feast.FeatureStore, Path]:
    """Views over two folders: one or two join keys and none, with and without TTL."""
    repo = tmp_path_factory.mktemp("repo")
    files = {
        name: source(name, created_timestamp_column="created" if name == "created" else "")
        for name in ("created", "plain")
    }
    entities = {"driver": DRIVER, "shop": SHOP}
    views = [
        view(
            f"{kind}_{name}",
            files[name],
            [entities[key] for key in KEYS.get(kind, ())],
            None if ttl is None else timedelta(minutes=ttl),
            f=Float64,
            g=Int64,
        )
        for kind, ttl in TTLS.items()
        for name in files
    ]
    for name in files:
        write_rows(repo / name, [], 1)
    return open_store(repo, DRIVER, SHOP, *views), repo


def by_loop(
    rows: list[Row], keys: tuple[str, ...], created: bool, then: bool, ttl: int | None, asked: Any
) -> Any:
    """The newest row that may be used, as a person would look for it."""
    driver, shop, t = asked
    wanted = {"driver": driver, "shop": shop}
    usable = []
    for number, row in enumerate(rows):
        if any(getattr(row, key) is None or getattr(row, key) != wanted[key] for key in keys):
            continue
        if t is None or row.event > t:
            continue
        if created and then and (row.created is None or row.created > t):
            continue
        known = -1 if row.created is None else row.created
        usable.append((row.event, known if created else 0, number))
    if not usable or (ttl is not None and t - max(usable)[0] > ttl):
        return None
    return max(usable)[-1]


MINUTE = st.integers(0, 10)
WHO = st.one_of(st.none(), st.integers(1, 2))
WHERE = st.one_of(st.none(), st.sampled_from(["a", "b"]))
ROW = st.builds(Row, WHO, WHERE, MINUTE, st.one_of(st.none(), st.integers(0, 14)))


@settings(max_examples=40, deadline=None)
@given(
    rows=st.lists(ROW, max_size=14),
    asked=st.lists(st.tuples(WHO, WHERE, st.one_of(st.none(), MINUTE)), min_size=1, max_size=8),
    files=st.integers(1, 3),
    then=st.booleans(),
    kinds=st.lists(st.sampled_from(sorted(TTLS)), min_size=1, max_size=3, unique=True),
    name=st.sampled_from(["created", "plain"]),
    many=st.booleans(),
    large=st.booleans(),
)
def test_equals_a_plain_loop(
    many_views: Any,
    rows: Any,
    asked: Any,
    files: Any,
    then: Any,
    kinds: Any,
    name: Any,
    many: Any,
    large: Any,
) -> None:
    store, repo = many_views
    write_rows(repo / name, rows, files)
    if many:  # DuckDB joins fewer than 64 rows by another plan
        asked = asked * 70
    frame = pd.DataFrame(
        {
            "row": range(len(asked)),
            "driver": pd.array([who for who, _, _ in asked], "Int64"),
            "shop": [where for _, where, _ in asked],
            "event_timestamp": pd.to_datetime([at(t) for _, _, t in asked], utc=True),
        }
    )
    features = [f"{kind}_{name}:{feature}" for kind in kinds for feature in ("f", "g")]
    job = store.get_historical_features(
        frame, features, full_feature_names=True, filter_by_created_timestamp=then
    )
    with pytest.MonkeyPatch.context() as patch:
        if large:  # as if there were too many rows to look keys up, and to hold all hashes at once
            patch.setattr(as_of_sql, "_FEW_ROWS", 0)
            patch.setattr(as_of_sql, "_HASHES_AT_ONCE", 3)
        found = job.to_arrow()
    assert found.column("row").to_pylist() == list(range(len(asked)))
    for kind in kinds:
        expected = [
            by_loop(rows, KEYS.get(kind, ()), name == "created", then, TTLS[kind], ask) for ask in asked
        ]
        assert found.column(f"{kind}_{name}__g").to_pylist() == expected
        assert found.column(f"{kind}_{name}__f").to_pylist() == expected  # 3.0 == 3


@pytest.fixture
def drivers(tmp_path: Path) -> Path:
    """One file: two drivers, their value at noon of three days."""
    frame = pd.DataFrame(
        {
            "driver": [1, 1, 1, 2],
            "ts": [day(f"01-0{n} 12:00") for n in (1, 2, 3, 2)],
            "f": [1.0, 2.0, 3.0, 20.0],
            "g": [1, 2, 3, 20],
        }
    )
    frame.to_parquet(tmp_path / "stats.parquet")
    return tmp_path


@pytest.fixture
def stats(drivers: Path) -> feast.FeatureStore:
    return open_store(
        drivers, DRIVER, view("stats", source("stats.parquet"), [DRIVER], None, f=Float64, g=Int64)
    )


ASKED = ["01-02 11:59", "01-02 12:00", "01-02 12:00", "01-01 00:00"]
BERLIN, AUCKLAND = "Europe/Berlin", "Pacific/Auckland"
TIMES = {
    "naive is UTC": lambda utc: utc.tz_localize(None),
    "UTC": lambda utc: utc,
    "another zone": lambda utc: utc.tz_convert(AUCKLAND),
    "seconds": lambda utc: utc.as_unit("s"),
    "microseconds in a zone": lambda utc: utc.tz_convert(BERLIN).as_unit("us"),
    "objects of one zone": lambda utc: utc.tz_convert(BERLIN).astype(object),
    "naive objects": lambda utc: utc.tz_localize(None).astype(object),
}


@pytest.mark.parametrize("change", TIMES.values(), ids=TIMES.keys())
@pytest.mark.parametrize("arrow", [False, True], ids=["pandas", "arrow"])
def test_times_of_any_zone_and_unit(stats: Any, change: Any, arrow: bool) -> None:
    utc = pd.DatetimeIndex([day(text) for text in ASKED]).tz_convert("UTC")
    frame = pd.DataFrame({"driver": [1, 1, 2, 1], "event_timestamp": change(utc)})
    given = pa.Table.from_pandas(frame, preserve_index=False) if arrow else frame
    assert stats.get_historical_features(given, ["stats:g"]).to_arrow().column("g").to_pylist() == [
        1,
        2,
        20,
        None,
    ]


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "UTC", AUCKLAND])
def test_files_of_any_zone_and_unit(drivers: Path, unit: str, zone: str | None) -> None:
    frame = pd.read_parquet(drivers / "stats.parquet")
    stamps = pd.DatetimeIndex(frame["ts"]).tz_convert(zone).as_unit(unit)
    pq.write_table(pa.Table.from_pandas(frame.assign(ts=stamps)), drivers / "stats.parquet")
    store = open_store(
        drivers, DRIVER, view("stats", source("stats.parquet"), [DRIVER], timedelta(days=1), g=Int64)
    )
    asked = pd.DataFrame({"driver": [1, 1, 2, 1], "event_timestamp": [day(text) for text in ASKED]})
    found = store.get_historical_features(asked, ["stats:g"]).to_df()
    assert found["g"].astype("Int64").to_list() == [1, 2, 20, pd.NA]


def test_the_frame_comes_back_as_it_was(stats: Any) -> None:
    frame = pd.DataFrame(
        {
            "driver": pd.array([2, None, 1], "Int64"),
            "colour": pd.Categorical(["red", "blue", "red"]),
            "event_timestamp": pd.to_datetime([day("01-03"), day("01-03"), None]),
            "label": [None, "x", "y"],
            "whole": pd.array([1, 2, 3], "int8"),
        },
        index=[7, 7, 3],
    )
    found = stats.get_historical_features(frame, ["stats:f"]).to_df()
    pd.testing.assert_frame_equal(found[list(frame.columns)], frame.reset_index(drop=True))
    assert found.columns.to_list() == [*frame.columns, "f"]
    assert found["f"].isna().to_list() == [False, True, True]


def test_drivers_that_pandas_made_doubles_are_found(stats: Any) -> None:
    frame = pd.DataFrame({"driver": [2, None], "event_timestamp": [day("01-03"), day("01-03")]})
    assert frame["driver"].dtype == "float64"
    assert stats.get_historical_features(frame, ["stats:g"]).to_arrow().column("g").to_pylist() == [20, None]


def test_doubled_rows_come_out_doubled(stats: Any) -> None:
    frame = pd.DataFrame({"driver": [1] * 100, "event_timestamp": [day("01-04")] * 100})
    assert stats.get_historical_features(frame, ["stats:g"]).to_df()["g"].to_list() == [3] * 100


def test_no_rows_give_the_right_columns(stats: Any) -> None:
    frame = pd.DataFrame({"driver": pd.array([], "int64"), "event_timestamp": pd.DatetimeIndex([], tz="UTC")})
    found = stats.get_historical_features(frame, ["stats:f", "stats:g"]).to_arrow()
    assert found.num_rows == 0
    assert [str(kind) for kind in found.schema.types] == ["int64", "timestamp[ns, tz=UTC]", "double", "int64"]


def test_a_time_of_another_name(stats: Any) -> None:
    frame = pd.DataFrame({"driver": [1], "asked_at": [day("01-02")]})
    assert stats.get_historical_features(frame, ["stats:g"]).to_df()["g"].to_list() == [1]


def test_names_in_the_files_may_differ(drivers: Path) -> None:
    frame = pd.read_parquet(drivers / "stats.parquet")
    frame.rename(columns={"driver": "drv", "ts": "when", "f": "raw f"}).to_parquet(drivers / "stats.parquet")
    files = source("stats.parquet", field_mapping={"drv": "driver", "when": "ts", "raw f": "f"})
    store = open_store(drivers, DRIVER, view("stats", files, [DRIVER], None, f=Float64, g=Int64))
    asked = pd.DataFrame({"driver": [2, 1], "event_timestamp": [day("01-03"), day("01-03")]})
    found = store.get_historical_features(asked, ["stats:f", "stats:g"], full_feature_names=True).to_df()
    assert found[["stats__f", "stats__g"]].to_numpy().tolist() == [[20.0, 20], [2.0, 2]]


def test_one_view_by_two_keys_of_the_frame(stats: Any) -> None:
    stats_view = stats.get_feature_view("stats")
    service = feast.FeatureService(
        name="ride",
        features=[
            stats_view[["g"]].with_name("first").with_join_key_map({"driver": "driver_a"}),
            stats_view[["g"]].with_name("second").with_join_key_map({"driver": "driver_b"}),
        ],
    )
    stats.apply([service])
    asked = pd.DataFrame({"driver_a": [1, 2], "driver_b": [2, 1], "event_timestamp": [day("01-03")] * 2})
    found = stats.get_historical_features(asked, service, full_feature_names=True).to_df()
    assert found["first__g"].to_list() == [2, 20]
    assert found["second__g"].to_list() == [20, 2]


def test_on_demand_views(stats: Any) -> None:
    from feast.on_demand_feature_view import on_demand_feature_view

    request = feast.RequestSource(name="trip", schema=[feast.Field(name="km", dtype=Float64)])

    @on_demand_feature_view(
        sources=[stats.get_feature_view("stats"), request],
        schema=[feast.Field(name="f_times_km", dtype=Float64)],
        mode="pandas",
    )
    def trip_cost(inputs: pd.DataFrame) -> pd.DataFrame:
        return pd.DataFrame({"f_times_km": inputs["f"] * inputs["km"]})

    stats.apply([trip_cost])
    asked = pd.DataFrame({"driver": [2, 1], "km": [2.0, 10.0], "event_timestamp": [day("01-03")] * 2})
    job = stats.get_historical_features(asked, ["stats:g", "trip_cost:f_times_km"])
    assert job.to_df()["f_times_km"].to_list() == [40.0, 20.0]
    assert pa.Table.from_batches(job.to_batches()).column("f_times_km").to_pylist() == [40.0, 20.0]


def test_without_a_frame_the_entities_of_the_period(stats: Any) -> None:
    job = stats.get_historical_features(
        features=["stats:f", "stats:g"], start_date=day("01-02 12:00"), end_date=day("01-02 12:00")
    )
    found = job.to_df().sort_values("driver")
    assert found[["driver", "g"]].to_numpy().tolist() == [[1, 2], [2, 20]]
    assert set(found["event_timestamp"]) == {pd.Timestamp(day("01-02 12:00"))}
    later = stats.get_historical_features(
        features=["stats:g"], start_date=day("01-03"), end_date=day("01-09")
    )
    assert later.to_df()[["driver", "g"]].to_numpy().tolist() == [[1, 3]]


def test_rows_are_read_only_when_asked_for(stats: Any, drivers: Path) -> None:
    asked = pd.DataFrame({"driver": [1], "event_timestamp": [day("01-03")]})
    job = stats.get_historical_features(asked, ["stats:g"])
    assert job.to_df()["g"].to_list() == [2]
    frame = pd.read_parquet(drivers / "stats.parquet")
    frame.assign(g=frame["g"] + 100).to_parquet(drivers / "stats.parquet")
    assert job.to_df()["g"].to_list() == [102]
