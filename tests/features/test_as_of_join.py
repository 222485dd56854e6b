"""As-of join: rows out = rows in, nothing from after t, and the same as a plain loop says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from platform_assets.errors import DeclarationError, LakeError
from platform_assets.features.as_of_join import AsOfView, as_of_join

NOON = datetime(2020, 1, 1, 12, tzinfo=UTC).replace(tzinfo=None)
STAMP = pa.timestamp("us")


def at(minutes: float | None) -> datetime | None:
    return None if minutes is None else NOON + timedelta(minutes=minutes)


def feature_file(path: Path, rows: list[tuple[Any, float, float | None, float | None]]) -> str:
    """Feature rows (key, event minute, known minute, value), in the order of their primary key."""
    table = pa.table(
        {
            "id": pa.array(range(len(rows)), pa.int64()),
            "who": pa.array([row[0] for row in rows], pa.int64()),
            "ts": pa.array([at(row[1]) for row in rows], STAMP),
            "_available_at": pa.array([at(row[2]) for row in rows], STAMP),
            "f": pa.array([row[3] for row in rows], pa.float64()),
        }
    )
    pq.write_table(table, path)
    return str(path)


def view(*paths: str, ttl: timedelta | None = None, **changes: Any) -> AsOfView:
    fields: dict[str, Any] = {
        "name": "v", "paths": paths, "join_keys": ("who",), "event_timestamp": "ts",
        "available_at": "_available_at", "features": ("f",), "ttl": ttl,
    }  # fmt: skip
    return AsOfView(**{**fields, **changes})


def requests(*rows: tuple[Any, float | None]) -> pa.Table:
    return pa.table(
        {
            "who": pa.array([row[0] for row in rows], pa.int64()),
            "ts": pa.array([at(row[1]) for row in rows], STAMP),
        }
    )


CASES = {
    "newest at or before t": ([(1, 0, 0, 10.0), (1, 5, 5, 20.0)], (1, 5), None, 20.0),
    "nothing from after t": ([(1, 6, 6, 30.0)], (1, 5), None, None),
    "other entity": ([(2, 0, 0, 10.0)], (1, 5), None, None),
    "null key": ([(1, 0, 0, 10.0), (None, 0, 0, 9.0)], (None, 5), None, None),
    "null time": ([(1, 0, 0, 10.0)], (1, None), None, None),
    "newest not yet known: the one before": ([(1, 0, 0, 10.0), (1, 4, 9, 20.0)], (1, 5), None, 10.0),
    "late one known by now": ([(1, 0, 0, 10.0), (1, 4, 5, 20.0)], (1, 5), None, 20.0),
    "late one older than the newest": ([(1, 0, 4, 10.0), (1, 2, 2, 20.0)], (1, 5), None, 20.0),
    "two late, the older one known first": ([(1, 1, 3, 10.0), (1, 2, 8, 20.0)], (1, 5), None, 10.0),
    "never known": ([(1, 0, None, 10.0)], (1, 5), None, None),
    "exactly ttl old": ([(1, 0, 0, 10.0)], (1, 5), 5, 10.0),
    "older than ttl": ([(1, 0, 0, 10.0)], (1, 5.01), 5, None),
    "older than ttl, late rows": ([(1, 0, 1, 10.0)], (1, 5.01), 5, None),
    "ttl zero, own moment": ([(1, 5, 5, 10.0)], (1, 5), 0, 10.0),
    "tie: last by row": ([(1, 0, 0, 10.0), (1, 0, 0, 20.0)], (1, 5), None, 20.0),
    "tie: known last wins over row": ([(1, 0, 0, 10.0), (1, 0, -1, 20.0)], (1, 5), None, 10.0),
    "tie among late rows": ([(1, 0, 2, 10.0), (1, 0, 1, 20.0)], (1, 5), None, 10.0),
    "a null value is a value": ([(1, 0, 0, 10.0), (1, 3, 3, None)], (1, 5), None, None),
}


@pytest.mark.parametrize(("rows", "request_row", "ttl", "expected"), CASES.values(), ids=CASES.keys())
def test_one_request(tmp_path: Path, rows: Any, request_row: Any, ttl: Any, expected: Any) -> None:
    limit = None if ttl is None else timedelta(minutes=ttl)
    joined = as_of_join(
        requests(request_row),
        [view(feature_file(tmp_path / "a.parquet", rows), ttl=limit)],
        event_timestamp="ts",
    )
    assert joined.column("f").to_pylist() == [expected]


def by_loop(rows: list[Any], wanted: list[Any], ttl: float | None) -> list[float | None]:
    found: list[float | None] = []
    for who, t in wanted:
        usable = [
            (event, known, number)
            for number, (key, event, known, _) in enumerate(rows)
            if key == who and who is not None and event <= t and known <= t
        ]
        best = max(usable, default=None)
        too_old = best is None or (ttl is not None and t - best[0] > ttl)
        found.append(None if too_old or best is None else rows[best[2]][3])
    return found


minute = st.integers(0, 12)
key = st.one_of(st.none(), st.integers(1, 3))


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(st.tuples(key, minute, st.one_of(st.just(0), st.integers(-2, 9))), max_size=14),
    wanted=st.lists(st.tuples(key, minute), min_size=1, max_size=12),
    ttl=st.one_of(st.none(), st.integers(0, 8)),
    late=st.booleans(),
)
def test_equals_a_plain_loop(tmp_path_factory: Any, rows: Any, wanted: Any, ttl: Any, late: bool) -> None:
    # without late rows the fast path is taken, with them the other one
    made = [
        (who, event, event + (delay if late else min(delay, 0)), float(number))
        for number, (who, event, delay) in enumerate(rows)
    ]
    file = feature_file(tmp_path_factory.mktemp("asof") / "a.parquet", made)
    limit = None if ttl is None else timedelta(minutes=ttl)
    joined = as_of_join(requests(*wanted), [view(file, ttl=limit)], event_timestamp="ts")
    assert joined.select(["who", "ts"]).equals(requests(*wanted))
    assert joined.column("f").to_pylist() == by_loop(made, wanted, ttl)


@pytest.mark.parametrize("late", [0, 30], ids=["all known at once", "some late"])
def test_many_rows_keep_their_order_and_own_features(tmp_path: Path, late: int) -> None:
    """The entity is the row itself: each row finds exactly its own feature row."""
    n = 5000
    rows = [(number, (number * 37) % 1000, (number * 37) % 1000, float(number)) for number in range(n)]
    if late:
        rows[7] = (7, 259, 259 + late, 7.0)
    wanted = [((number * 7919) % n, (((number * 7919) % n) * 37) % 1000) for number in range(n)]
    file = feature_file(tmp_path / "a.parquet", rows)
    joined = as_of_join(requests(*wanted), [view(file, ttl=timedelta(0))], event_timestamp="ts")
    expected = [None if late and who == 7 else float(who) for who, _ in wanted]
    assert joined.column("f").to_pylist() == expected


def test_views_and_files_together(tmp_path: Path) -> None:
    first = feature_file(tmp_path / "a.parquet", [(1, 0, 0, 10.0)])
    second = feature_file(tmp_path / "b.parquet", [(1, 3, 3, 20.0), (2, 3, 3, 5.0)])
    renamed = str(tmp_path / "c.parquet")
    pq.write_table(pq.read_table(second).rename_columns(["id", "who", "ts", "_available_at", "g"]), renamed)
    joined = as_of_join(
        requests((2, 9), (1, 2), (1, 9)),
        [view(first, second), view(renamed, name="w", features=("g",))],
        event_timestamp="ts",
    )
    assert joined.to_pydict()["f"] == [5.0, 10.0, 20.0]
    assert joined.to_pydict()["g"] == [5.0, None, 20.0]


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        ({"join_keys": ("nobody",)}, DeclarationError, "no column 'nobody'"),
        ({"features": ("who",)}, DeclarationError, "'who' is there already"),
        ({"paths": ()}, LakeError, "no feature files"),
    ],
    ids=["missing key", "name taken", "no files"],
)
def test_refuses(tmp_path: Path, changes: Any, error: type[Exception], says: str) -> None:
    file = feature_file(tmp_path / "a.parquet", [(1, 0, 0, 10.0)])
    with pytest.raises(error, match=says):
        as_of_join(requests((1, 5)), [view(**{"paths": (file,), **changes})], event_timestamp="ts")


def test_plain_as_of_on_the_event_timestamp_would_leak(tmp_path: Path) -> None:
    """The mistake this join avoids: the newest row by event time, known or not."""
    import duckdb

    file = feature_file(tmp_path / "a.parquet", [(1, 0, 0, 10.0), (1, 4, 9, 20.0)])
    rows = requests((1, 5))
    plain = duckdb.sql(
        f"SELECT f FROM rows ASOF LEFT JOIN '{file}' v ON rows.who = v.who AND rows.ts >= v.ts"
    )
    right = as_of_join(rows, [view(file)], event_timestamp="ts").column("f").to_pylist()
    assert plain.fetchall() == [(20.0,)]
    assert right == [10.0]
