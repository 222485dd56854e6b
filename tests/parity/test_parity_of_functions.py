"""Every declared function, in every kind of window, is measured: of one entity and of two together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pytest
from function_world import DERIVED, SOURCE, features, random_rows, repository_of, view_of

from platform_assets.evidence.evidence import Evidence, Verdict
from platform_assets.features.compute import build_feature_days
from platform_assets.home import Home
from platform_assets.online.online_store import fill_online
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


def _told(evidence: Evidence) -> str:
    wrong = [r for r in evidence.measured.get("features", []) if r["mismatch"] + r["missing"] + r["extra"]]
    return f"{evidence.reason}\n{wrong}"
