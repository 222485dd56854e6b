"""Every window function in every kind of window: what is served equals what was trained on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from function_world import DERIVED, SOURCE, features, random_rows, repository_of, table_of, view_of

from platform_assets.declaration.feature_view import FeatureView
from platform_assets.features.compute import compute_features
from platform_assets.home import Home
from platform_assets.online.online_store import fill_online, serve
from platform_assets.stores import Stores
from platform_assets.vocabulary import raw_table

TABLE = features()
NAMES = [f"f{number}" for number in range(len(TABLE))]
DAYS = ("2020-01-06", "2020-01-07", "2020-01-08", "2020-01-09")
ROWS = random_rows()


class Served:
    """A view filled from all days and asked for every row of the newest day."""

    def __init__(self, root: Path, view: FeatureView, rows: pa.Table = ROWS) -> None:
        self.stores, self.view, self.repository = Stores.at(Home.at(root)), view, repository_of(view)
        day_of = pc.strftime(rows.column("at"), "%Y-%m-%d")
        table = self.stores.lake.table(raw_table("events"))
        for day in DAYS:
            table.write(
                day, rows.filter(pc.equal(day_of, day)), key=SOURCE.primary_key, code_version="1",
                inputs={"source": {day: "token"}}, cause="test",
            )  # fmt: skip
        fill_online(self.stores, self.repository, view, cause="test")
        self.requests = rows.filter(pc.equal(day_of, DAYS[-1]))

    def served(self, requests: pa.Table | None = None) -> dict[str, list[Any]]:
        asked = self.requests if requests is None else requests
        return serve(self.stores, self.repository, self.view, asked)

    def trained(self, more: Path | None = None, requests: pa.Table | None = None) -> dict[str, list[Any]]:
        paths = [*self.stores.lake.table(raw_table("events")).paths(DAYS), *([str(more)] if more else [])]
        entity = self.repository.entity_of(self.view)
        found = compute_features(SOURCE, entity, self.view, paths, [*DAYS, "2020-01-10"]).to_pylist()
        by_key = {(row["till"], row["slip"]): row for row in found}
        asked = (self.requests if requests is None else requests).to_pylist()
        return {n: [by_key[r["till"], r["slip"]][n] for r in asked] for n in self.view.feature_names}


@pytest.fixture(scope="module", params=["who", ["who", "place"]], ids=["one entity", "a pair"])
def compared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    view = view_of(*TABLE.values(), *DERIVED, entity=request.param)
    world = Served(tmp_path_factory.mktemp("home"), view)
    return view, world.served(), world.trained()


@pytest.mark.parametrize(
    "name", [*NAMES, *(told["name"] for told in DERIVED)], ids=[*TABLE, *(told["name"] for told in DERIVED)]
)
def test_served_equals_trained(compared: Any, name: str) -> None:
    view, served, trained = compared
    assert_same(view, name, served[name], trained[name])


def assert_same(view: FeatureView, name: str, got: list[Any], want: list[Any]) -> None:
    feature = view.feature(name)
    assert [type(value) for value in got] == [type(value) for value in want]
    if feature.column == "free" and feature.function in ("sum", "mean", "stddev"):
        pairs = [pair for pair in zip(got, want, strict=True) if None not in pair]
        assert [a for a, _ in pairs] == pytest.approx([b for _, b in pairs], rel=1e-12, abs=1e-12)
    else:
        assert got == want


def test_a_new_request_counts_itself_once_and_stands_in_its_place_among_equal_moments(tmp_path: Path) -> None:
    """The request's key decides whether it, or a stored row of the same moment, was last."""
    rows = table_of(
        [
            {"till": "b", "slip": 2, "minute": 4320, "whole": 1},
            {"till": "b", "slip": 10, "minute": 4320, "whole": 2},
        ]
    )
    view = view_of(*TABLE.values(), *DERIVED)
    world = Served(tmp_path, view, rows)
    for number, key in enumerate([("a", 99), ("b", 9), ("b", 11), ("c", 0)]):
        request = table_of([{"till": key[0], "slip": key[1], "minute": 4320, "whole": 7, "cents": 2.5}])
        pq.write_table(request, more := tmp_path / f"{number}.parquet")
        served, trained = world.served(request), world.trained(more, request)
        for name in view.feature_names:
            assert_same(view, name, served[name], trained[name])
    last = view_of({"function": "last", "column": "whole", "window": "1d"})
    assert Served(tmp_path / "last", last, rows).served(request) == {"f0": [7.0]}
    without_key = request.drop_columns(["till", "slip"])
    assert Served(tmp_path / "keyless", last, rows).served(without_key) == {"f0": [7.0]}


def test_an_entity_never_seen(tmp_path: Path) -> None:
    view = view_of(*TABLE.values(), *DERIVED)
    world = Served(tmp_path, view)
    rows = [{"till": "x", "who": 77, "minute": 4 * 1440}, {"till": "y", "who": None, "minute": 4 * 1440}]
    request = table_of(rows)
    pq.write_table(request, more := tmp_path / "more.parquet")
    served, trained = world.served(request), world.trained(more, request)
    assert served == trained
