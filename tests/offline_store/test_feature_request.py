"""A request for historical features without Feast: which columns of which files, joined how, told when refused."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from platform_assets.errors import DeclarationError, SourceError
from platform_assets.offline_store.historical_features import (
    RequestedView,
    _beside,
    historical_features,
    reading_told,
)

NOON = datetime(2024, 1, 1, 12)
STAMP = pa.timestamp("us")


def at(*minutes: float | None) -> pa.Array:
    return pa.array([None if m is None else NOON + timedelta(minutes=m) for m in minutes], STAMP)


@dataclass
class Files:
    """What the store reads of a Feast `FileSource`."""

    path: str
    name: str = "rides"
    timestamp_field: str = "ts"
    created_timestamp_column: str = ""
    file_format: None = None
    file_options: str = "parquet"


@dataclass
class Repository:
    """A folder of Parquet files, and requests for what they hold."""

    root: Path

    def put(self, name: str, **columns: Any) -> None:
        pq.write_table(pa.table(columns), self.root / f"{name}.parquet")

    def view(self, file: str, *, keys: Any = (("driver", "driver"),), **changes: Any) -> RequestedView:
        given = {name: changes.pop(name) for name in ("features", "ttl", "mapping") if name in changes}
        asked = {"features": (("f", "f"),), "ttl": None, "mapping": {}} | given
        return RequestedView("stats", Files(f"{file}.parquet", **changes), tuple(keys), **asked)

    def request(
        self, *views: RequestedView, frame: Any = None, period: Any = None, then: bool = False
    ) -> Any:
        return historical_features(
            views, frame, repo_path=self.root, period=period, as_known_then=then, memory_limit="1GB"
        )

    def found(self, *views: RequestedView, **asked: Any) -> dict[str, list[Any]]:
        with self.request(*views, **asked).open() as reader:
            return reader.read_all().to_pydict()


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """Driver 1 at minutes 0 and 10, driver 2 at 5, nobody at 7; the row of minute 10 was created at 30."""
    made = Repository(tmp_path)
    made.put(
        "rides", driver=pa.array([1, 1, 2, None]), ts=at(0, 10, 5, 7), made=at(1, 30, 6, 8), f=[1.0, 2.0, 3.0, 4.0],
        g=[10, 20, 30, 40],
    )  # fmt: skip
    return made


def asked(*minutes: float, driver: Any = 1, **more: Any) -> pa.Table:
    return pa.table({"driver": [driver] * len(minutes), "event_timestamp": at(*minutes), **more})


# what is joined


def test_the_frame_comes_back_with_its_features_beside_it(repository: Repository) -> None:
    found = repository.found(
        repository.view("rides", features=(("f", "rides__f"), ("g", "g"))),
        frame=asked(-1, 0, 9, 11, n=[1, 2, 3, 4]),
    )
    assert list(found) == ["driver", "event_timestamp", "n", "rides__f", "g"]
    assert (found["rides__f"], found["g"]) == ([None, 1.0, 1.0, 2.0], [None, 10, 10, 20])
    assert found["n"] == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("created", "then", "values"),
    [("made", True, [1.0, 2.0]), ("made", False, [2.0, 2.0]), ("", True, [2.0, 2.0])],
    ids=["known then", "known now", "no created column"],
)
def test_only_a_created_column_tells_what_was_known(
    repository: Repository, created: str, then: bool, values: list[float]
) -> None:
    view = repository.view("rides", created_timestamp_column=created)
    assert repository.found(view, frame=asked(20, 40), then=then)["f"] == values


@pytest.mark.parametrize(
    ("ttl", "values"),
    [(timedelta(minutes=5), [2.0, None]), (timedelta(0), [2.0, 2.0]), (None, [2.0, 2.0])],
    ids=["five minutes", "none, as Feast says it", "none"],
)
def test_a_row_older_than_the_ttl_is_no_row(repository: Repository, ttl: Any, values: list[Any]) -> None:
    assert repository.found(repository.view("rides", ttl=ttl), frame=asked(15, 15.5))["f"] == values


def test_columns_of_the_files_may_have_other_names(repository: Repository) -> None:
    repository.put("raw", drv=[1], **{"when": at(0), "known at": at(9), "raw f": [5.0]})
    view = repository.view(
        "raw", created_timestamp_column="made",
        mapping={"driver": "drv", "ts": "when", "made": "known at", "f": "raw f"},
    )  # fmt: skip
    assert repository.found(view, frame=asked(8, 9), then=True)["f"] == [None, 5.0]


def test_one_key_of_the_frame_in_files_of_two_types(repository: Repository) -> None:
    repository.put("doubles", driver=[1.0, 2.0], ts=at(0, 0), f=[7.0, 8.0])
    views = (
        repository.view("rides", features=(("f", "a"),)),
        repository.view("doubles", features=(("f", "b"),)),
        repository.view("rides", features=(("g", "c"),)),
    )
    found = repository.found(*views, frame=asked(20, driver=2.0))
    assert (found["a"], found["b"], found["c"]) == ([3.0], [8.0], [30])


@pytest.mark.parametrize("rows", [1, 100, 20_000])
@pytest.mark.parametrize(
    "keys",
    [
        pa.array(["a", "b"]),
        pa.array([b"a", b"b"]),
        pa.array([1, 2]),
        pa.array([datetime(2024, 1, 1), None], STAMP),
        pa.array([NOON.date(), None]),
    ],
    ids=["texts", "bytes", "numbers", "moments", "days"],
)
def test_a_key_that_is_missing_in_every_row_finds_nothing(
    repository: Repository, keys: pa.Array, rows: int
) -> None:
    """Nobody knows then what the frame's key would be; DuckDB joins few rows by another plan than many."""
    repository.put("keyed", driver=keys, ts=at(0, 0), f=[1.0, 2.0])
    frame = pa.table({"driver": pa.nulls(rows), "event_timestamp": at(*[1] * rows)})
    assert set(repository.found(repository.view("keyed"), frame=frame)["f"]) == {None}


def test_views_by_different_keys_of_the_frame(repository: Repository) -> None:
    views = (
        repository.view("rides", keys=[("first", "driver")], features=(("f", "a"),)),
        repository.view("rides", keys=[("second", "driver")], features=(("f", "b"),)),
        repository.view("rides", keys=[], features=(("f", "newest"),)),
    )
    frame = pa.table({"first": [1, 2], "second": [2, 1], "event_timestamp": at(20, 20)})
    found = repository.found(*views, frame=frame)
    assert (found["a"], found["b"], found["newest"]) == ([2.0, 3.0], [3.0, 2.0], [2.0, 2.0])


def test_batches_are_set_beside_the_rows_they_belong_to() -> None:
    """DuckDB's batches are of a million rows; here they are of few, and of none."""
    rows = pa.table({"n": pa.chunked_array([[0, 1], [2, 3, 4], [5]])})
    features = pa.table({"f": pa.array(range(6), pa.float64())}).combine_chunks()
    batches = [
        features.slice(begin, length).to_batches() for begin, length in ((0, 1), (1, 3), (4, 0), (4, 2))
    ]
    found = _beside(
        rows, pa.RecordBatchReader.from_batches(features.schema, [b for part in batches for b in part])
    )
    assert found.schema.names == ["n", "f"]
    assert found.read_all().to_pydict() == {"n": [0, 1, 2, 3, 4, 5], "f": [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]}


# without a frame


@pytest.mark.parametrize(
    ("first", "last", "drivers"),
    [(0, 10, [1, 2]), (1, 9, [2]), (5, 5, [2]), (10, 10, [1]), (6, 9, []), (11, 20, [])],
    ids=["all", "between", "one moment", "the last one", "nobody", "later"],
)
@pytest.mark.parametrize("zone", [None, UTC], ids=["naive", "UTC"])
def test_the_entities_of_a_period_each_at_its_end(
    repository: Repository, first: int, last: int, drivers: list[int], zone: Any
) -> None:
    """A row without a key is nobody's."""
    begin, end = (NOON.replace(tzinfo=zone) + timedelta(minutes=minute) for minute in (first, last))
    found = repository.found(repository.view("rides"), period=(begin, end))
    assert list(found) == ["driver", "event_timestamp", "f"]
    assert found["driver"] == drivers
    assert found["event_timestamp"] == [end.replace(tzinfo=UTC)] * len(drivers)


def test_entities_of_several_views_stand_once(repository: Repository) -> None:
    repository.put("more", driver=[3, 1], ts=at(3, 4), h=[1, 2])
    views = repository.view("rides"), repository.view("more", features=(("h", "h"),))
    found = repository.found(*views, period=(NOON, NOON + timedelta(minutes=60)))
    assert (found["driver"], found["f"], found["h"]) == ([1, 2, 3], [2.0, 3.0, None], [2, None, 1])


def test_entities_of_two_keys_have_both(repository: Repository) -> None:
    repository.put("pairs", a=[1, None, 1], b=["x", "y", None], ts=at(1, 1, 1), f=[1.0, 2.0, 3.0])
    view = repository.view("pairs", keys=[("First", "a"), ("second", "b")])
    found = repository.found(view, period=(NOON, NOON + timedelta(minutes=60)))
    assert (found["First"], found["second"], found["f"]) == ([1], ["x"], [1.0])


def test_without_any_key_there_is_one_row_if_there_is_any(repository: Repository) -> None:
    view = repository.view("rides", keys=[])
    found = repository.found(view, period=(NOON, NOON + timedelta(minutes=60)))
    assert found == {"event_timestamp": [(NOON + timedelta(minutes=60)).replace(tzinfo=UTC)], "f": [2.0]}
    later = NOON + timedelta(days=1)
    assert repository.found(view, period=(later, later)) == {"event_timestamp": [], "f": []}


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ([("driver", "driver")], "driver; first"),
        ([], "none; first"),
        ([("first", "driver"), ("driver", "driver")], "first; first, driver"),
    ],
    ids=["another", "none", "more"],
)
def test_views_of_other_keys_need_a_frame(repository: Repository, keys: Any, told: str) -> None:
    views = repository.view("rides", keys=[("first", "driver")]), repository.view("rides", keys=keys)
    with pytest.raises(
        DeclarationError, match=f"must have the same join keys, and they have: {told}; pass an entity frame"
    ):
        repository.request(*views, period=(NOON, NOON))


# what is refused before anything is joined


@pytest.mark.parametrize(
    ("changes", "frame", "told"),
    [
        ({"timestamp_field": ""}, asked(0), "has no timestamp_field; declare the column of event times"),
        ({"timestamp_field": "tz"}, asked(0), "timestamp_field: no column 'tz'; there are"),
        ({"timestamp_field": "f"}, asked(0), "timestamp_field 'f' is DOUBLE, not a time"),
        (
            {"created_timestamp_column": "mad"}, asked(0),
            "created_timestamp_column: no column 'mad'; did you mean 'made'",
        ),
        ({"created_timestamp_column": "g"}, asked(0), "created_timestamp_column 'g' is BIGINT, not a time"),
        ({"keys": [("driver", "drv")]}, asked(0), "feature view 'stats', join key 'drv': no column 'drv'"),
        ({"features": (("ff", "ff"),)}, asked(0), "feature view 'stats', feature 'ff': no column 'ff'"),
        ({"mapping": {"f": "ff"}}, asked(0), None),
        ({"mapping": {"h": "hh"}, "features": (("h", "h"),)}, asked(0), "feature 'h': no column 'hh'"),
        ({}, asked(0, driver="one"), r"join key 'driver' is string, and source 'rides' \(rides.parquet\) has BIGINT"),
        ({}, pa.table({"event_timestamp": at(0)}), "join key: no column 'driver'"),
    ],
    ids=[
        "no time", "no such time", "a time that is none", "no such creation", "a creation that is none", "no key",
        "no feature", "mapped to what is not there, and there itself", "mapped to what is not there",
        "keys of two types", "no key in the frame",
    ],
)  # fmt: skip
def test_what_cannot_be_joined_is_told_at_once(
    repository: Repository, changes: dict[str, Any], frame: pa.Table, told: str | None
) -> None:
    view = repository.view("rides", **changes)
    if told is None:
        assert repository.found(view, frame=frame)["f"] == [1.0]
        return
    with pytest.raises(SourceError, match=told):
        repository.request(view, frame=frame)


def test_a_feature_that_has_the_name_of_another_is_refused(repository: Repository) -> None:
    with pytest.raises(DeclarationError, match="feature 'f': a column of that name"):
        repository.request(repository.view("rides"), repository.view("rides"), frame=asked(0))
    with pytest.raises(DeclarationError, match="feature 'f': a column of that name"):
        repository.request(repository.view("rides"), frame=asked(0, f=[1]))


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (
            duckdb.OutOfMemoryException("full"),
            r"^offline store: needs more memory than its limit \(full\); raise",
        ),
        (duckdb.IOException("gone"), "^offline store: the files cannot be read or joined: gone$"),
    ],
    ids=["memory", "a file that went"],
)
def test_what_keeps_duckdb_from_reading_is_one_error(error: Exception, told: str) -> None:
    with pytest.raises(SourceError, match=told) as raised, reading_told():
        raise error
    assert raised.value.__cause__ is error


def test_a_file_that_was_damaged_since_is_told(repository: Repository) -> None:
    request = repository.request(repository.view("rides"), frame=asked(0))
    (repository.root / "rides.parquet").write_bytes(b"PAR1 no more PAR1")
    with (
        pytest.raises(SourceError, match=r"^offline store: the files cannot be read or joined"),
        request.open() as reader,
    ):
        reader.read_all()
