"""Every declared function, in every kind of window, is measured: of one entity and of two together."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from function_world import DERIVED, SOURCE, features, random_rows, repository_of, table_of, view_of
from hypothesis import given, settings
from hypothesis import strategies as st

from platform_assets.evidence.evidence import Evidence, Verdict
from platform_assets.features.compute import build_feature_days
from platform_assets.home import Home
from platform_assets.online.online_state import measured, recent_events, row_keys
from platform_assets.online.online_store import fill_online
from platform_assets.online.serving_windows import OWN_KEY, finish, measures
from platform_assets.parity.entity_events import entity_events
from platform_assets.parity.served_requests import own_rows
from platform_assets.parity.view_measurement import measure_view
from platform_assets.parity.view_parity import view_parity
from platform_assets.parity.window_values import window_values
from platform_assets.stores import Stores
from platform_assets.vocabulary import raw_table

DAYS = ("2020-01-06", "2020-01-07", "2020-01-08", "2020-01-09")


@pytest.mark.parametrize("entity", ["who", ["who", "place"]], ids=["one entity", "a pair"])
def test_every_function_is_served_as_trained(tmp_path: Path, entity: Any) -> None:
    view = view_of(*features().values(), *DERIVED, entity=entity)
    repository = repository_of(view)
    stores = Stores.at(Home.at(tmp_path))
    rows = random_rows()
    day_of = pc.strftime(rows.column("at"), "%Y-%m-%d")
    for day in DAYS:
        stores.lake.table(raw_table("events")).write(
            day, rows.filter(pc.equal(day_of, day)), key=SOURCE.primary_key, code_version="1",
            inputs={"source": {day: "token"}}, cause="test",
        )  # fmt: skip
    build_feature_days(
        stores, SOURCE, repository.entity_of(view), view, DAYS[-1:], untrusted={}, cause="test"
    )
    fill_online(stores, repository, view, cause="test")
    evidence = view_parity(stores, repository, view)
    assert evidence.verdict is Verdict.PASSED, _told(evidence)
    rows_told = evidence.measured["features"]
    assert [row["feature"] for row in rows_told if row["moment"] == "cut-off"] == [
        f.name for f in view.windows
    ]
    assert {row["feature"] for row in rows_told if row["moment"] == "newest event"} == set(view.feature_names)
    found = measure_view(stores, repository, view)
    shifted = window_values(SOURCE, view, found.stored.moved(-3_600_000_000), found.comparisons[0].moments)
    changed = [
        f
        for f in view.windows
        if not (shifted[f.name].values == found.comparisons[0].served[f.name].values).all()
    ]
    assert len(changed) >= 20, "the comparison would see events that are an hour early"


VIEW = view_of(*features().values())


class Rows:
    """Rows of one raw day that stand for the lake's table."""

    def __init__(self, rows: pa.Table) -> None:
        self.rows = rows

    def read(self, _: Any, columns: list[str]) -> pa.Table:
        return self.rows.select(columns)


ROW = st.fixed_dictionaries(
    {
        "minute": st.integers(0, 20).map(lambda n: 30 * n),
        "who": st.integers(1, 3),
        "till": st.sampled_from(["t0", "t1"]),
        "cents": st.integers(-300, 300).map(lambda n: n / 100),
        "maybe": st.none() | st.integers(-300, 300).map(lambda n: n / 100),
        "free": st.none() | st.sampled_from([0.0, -0.0, 0.1, 1e9, -7.25, float("inf")]),
        "whole": st.sampled_from([-3, 0, 1, 2, 3_000_000_000]),
        "flag": st.booleans(),
        "kind": st.sampled_from([None, "a", "b", ""]),
    }
)


@settings(max_examples=25, deadline=None)
@given(rows=st.lists(ROW, min_size=1, max_size=14), stored=st.booleans(), later=st.integers(0, 3))
def test_every_function_of_many_is_that_of_each(rows: list[dict[str, Any]], stored: bool, later: int) -> None:
    """Each entity's newest row as its request, stored or not, among ties, nulls and values beyond 2^53."""
    raw = table_of([row | {"slip": n * 5 % 7 + 10 * n} for n, row in enumerate(rows)])
    asked = raw.take([[row["who"] for row in rows].index(who) for who in sorted({r["who"] for r in rows})])
    if not stored:
        asked = asked.set_column(1, "slip", pc.subtract(asked["slip"], 3))
    names, events = entity_events(
        SOURCE, VIEW, recent_events(Rows(raw), SOURCE, VIEW, ("who",), date(2020, 1, 7), ["d"])
    )
    moments = asked["at"].cast(pa.int64()).to_numpy() + later * 900_000_000
    own = own_rows(SOURCE, VIEW, asked)
    found = window_values(SOURCE, VIEW, events, moments, own)
    keys = row_keys(SOURCE, asked)
    columns = {m.column: measured(SOURCE, asked, m).to_pylist() for m in measures(SOURCE, VIEW)}
    assert names.to_pylist() == asked["who"].to_pylist()
    for n, key in enumerate(keys):
        mine = {name: values[n] for name, values in columns.items()} | {OWN_KEY: key}
        for feature in VIEW.windows:
            want = finish(SOURCE, feature, events.of(n).without(key), int(moments[n]), mine)
            got = found[feature.name].at(n)
            if want is not None and want != want:
                want = None
            assert got == (want if want is None else pytest.approx(want, rel=1e-12, abs=1e-12)), feature


def test_deviations_of_very_large_whole_numbers_are_exact() -> None:
    events = np.array([4_000_000_000, 4_000_000_001, 4_000_000_003])
    raw = table_of([{"whole": int(value), "minute": n} for n, value in enumerate(events)])
    _, stored = entity_events(
        SOURCE, VIEW, recent_events(Rows(raw), SOURCE, VIEW, ("who",), date(2020, 1, 7), ["d"])
    )
    view = view_of({"function": "stddev", "column": "whole", "window": "2d"})
    moment = int((date(2020, 1, 7) - date(1970, 1, 1)) / timedelta(microseconds=1))
    (found,) = window_values(SOURCE, view, stored, np.array([moment])).values()
    assert found.at(0) == np.std([0, 1, 3], ddof=1)


def _told(evidence: Evidence) -> str:
    wrong = [r for r in evidence.measured.get("features", []) if r["mismatch"] + r["missing"] + r["extra"]]
    return f"{evidence.reason}\n{wrong}"
