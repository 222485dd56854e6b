"""A view declared in SQL: what it may say, what it sees, what it must give, and how it is judged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from function_world import SOURCE, random_rows, repository_of, table_of

from platform_assets.declaration.feature_view import FeatureView
from platform_assets.declaration.view_sql_text import columns_in
from platform_assets.errors import DeclarationError
from platform_assets.features.compute import compute_features
from platform_assets.features.independent import NotMeasuredError, independent_features
from platform_assets.features.reach import offsets
from platform_assets.features.spark import sql_view_on_spark
from platform_assets.features.window_sql import view_sql

DAYS = ["2020-01-06", "2020-01-07", "2020-01-08", "2020-01-09"]
ROWS = random_rows()
KEPT = 'till, slip, who, "at"'  # DuckDB has a keyword AT
GAP = f"""
SELECT {KEPT}, cents - avg(cents) OVER (PARTITION BY place) AS gap,
       count(*) OVER (PARTITION BY who ORDER BY "at" RANGE BETWEEN INTERVAL 1 DAY PRECEDING AND CURRENT ROW) AS seen
FROM {{source}}
"""
DECLARED: dict[str, Any] = {
    "name": "v",
    "owners": ["team:x"],
    "source": "events",
    "entity": "who",
    "online": False,
    "sql": GAP,
    "reach": "1d",
    "features": [
        {"name": "gap", "function": "sql"},
        {"name": "seen", "function": "sql", "dtype": "int64"},
    ],
}


def view_of(**changes: Any) -> FeatureView:
    view = FeatureView.model_validate({**DECLARED, **changes})
    return repository_of(view).feature_view("v")


def one_feature(sql: str, **changes: Any) -> FeatureView:
    return view_of(sql=sql, features=[{"name": "gap", "function": "sql"}], **changes)


def computed(view: FeatureView, tmp_path: Path, days: list[str] = DAYS, rows: pa.Table = ROWS) -> pa.Table:
    pq.write_table(rows, path := tmp_path / "raw.parquet")
    entity = repository_of(view).entity_of(view)
    found = compute_features(SOURCE, entity, view, [str(path)], days)
    return found.sort_by([("till", "ascending"), ("slip", "ascending")])


def test_a_row_for_each_row_with_keys_times_and_types(tmp_path: Path) -> None:
    found = computed(view_of(), tmp_path)
    assert found.num_rows == ROWS.num_rows
    assert [(f.name, str(f.type)) for f in found.schema] == [
        ("till", "string"), ("slip", "int64"), ("who", "int64"), ("at", "timestamp[us]"),
        ("_available_at", "timestamp[us]"), ("gap", "double"), ("seen", "int64"),
    ]  # fmt: skip
    assert len(set(found.column("gap").to_pylist())) > 100


def test_it_sees_its_day_and_its_reach_however_many_days_are_built_together(tmp_path: Path) -> None:
    together = computed(view_of(), tmp_path)
    alone = pa.concat_tables(computed(view_of(), tmp_path, [day]) for day in DAYS)
    assert alone.sort_by([("till", "ascending"), ("slip", "ascending")]).equals(together)
    nothing_before = one_feature(f"SELECT {KEPT}, count(*) OVER () AS gap FROM {{source}}", reach=0)
    rows = table_of([{"minute": minute} for minute in (1439, 1440, 1441, 2880)])
    found = computed(nothing_before, tmp_path, ["2020-01-07"], rows)
    assert found.column("gap").to_pylist() == [2.0, 2.0]
    assert computed(nothing_before, tmp_path, []).num_rows == 0


def test_reach_decides_which_days_change() -> None:
    assert offsets(view_of()) == [0, 1]
    assert offsets(view_of(reach="36h")) == [0, 1, 2]
    assert offsets(view_of(reach=0)) == [0]


SAYS = {
    "no select": ("DELETE FROM {source}", "must be one SELECT"),
    "two statements": ("SELECT 1 FROM {source}; SELECT 2", "more than one statement"),
    "another table": ("SELECT * FROM payments", "must read from {source}"),
    "source in a comment": ("SELECT 1 -- {source}", "must read from {source}"),
    "files": ("SELECT * FROM {source}, read_csv('/etc/passwd')", "read_csv reads files"),
    "chance": ("SELECT *, random() AS gap FROM {source}", "random gives something else in every run"),
    "the clock": ("SELECT *, NOW() AS gap FROM {source}", "now gives something else in every run"),
}


@pytest.mark.parametrize(("sql", "told"), SAYS.values(), ids=list(SAYS))
def test_what_it_may_not_say(sql: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        view_of(sql=sql)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"reach": None}, "say how far back it looks"),
        ({"online": True}, "say online: false"),
        ({"features": [{"name": "n", "function": "count", "window": "1d"}]}, "is no column of sql"),
        ({"sql": None, "reach": None}, "is a column of sql, and the view has none"),
        ({"sql": None, "features": [{"name": "n", "function": "weekend"}]}, "reach: is for a view in sql"),
    ],
    ids=["no reach", "online", "a window beside", "no sql", "reach of windows"],
)
def test_what_does_not_go_together(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        view_of(**changes)


FAILS = {
    "a file by its name": ("SELECT * FROM {source}, '/etc/passwd'", "cannot be run: Catalog Error"),
    "all files": ("SELECT * FROM {source}, query_table(['/etc/passwd'])", "cannot be run"),
    "a column that is not there": (
        f"SELECT {KEPT}, nothing AS gap FROM {{source}}",
        "cannot be run: Binder Error",
    ),
    "no feature": (f"SELECT {KEPT} FROM {{source}}", "gives no column gap; it gives till, slip, who, at"),
    "no time": ("SELECT till, slip, who, 1 AS gap FROM {source}", "gives no column at"),
    "rows lost": (
        f"SELECT {KEPT}, 1 AS gap FROM {{source}} WHERE cents > 0",
        "must give exactly one for each",
    ),
    "rows doubled": (
        f"SELECT {KEPT}, 1 AS gap FROM {{source}} UNION ALL SELECT {KEPT}, 2 FROM {{source}}",
        "must give exactly one for each",
    ),
    "times moved": (
        'SELECT till, slip, who, "at" + INTERVAL 1 SECOND AS "at", 1 AS gap FROM {source}',
        "0 rows with the key, entity and time",
    ),
    "another entity": (
        'SELECT till, slip, who + 1 AS who, "at", 1 AS gap FROM {source}',
        "must give exactly one",
    ),
}


@pytest.mark.parametrize(("sql", "told"), FAILS.values(), ids=list(FAILS))
def test_what_it_gives_is_checked_and_it_reaches_nothing_else(sql: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(DeclarationError, match=told):
        computed(one_feature(sql), tmp_path)


def test_the_code_version_covers_the_text_and_the_columns_it_names() -> None:
    view = view_of()
    assert "column cents" in view.reads
    assert "column free" not in view.reads
    assert "column free" in one_feature("SELECT *, 1 AS gap FROM {source}").reads
    assert view_of(reach="2d").code_version != view.code_version
    assert view_of(sql=GAP.replace("avg", "max")).code_version != view.code_version
    assert view_of(recomputed_on="spark").code_version == view.code_version
    assert columns_in('SELECT count(*), "odd name" FROM {source} -- free', ["odd name", "free"]) == (
        "odd name",
    )


def test_it_has_no_second_implementation_unless_it_says_one() -> None:
    view = view_of()
    entity = repository_of(view).entity_of(view)
    with pytest.raises(NotMeasuredError, match="recomputed_on: spark"):
        independent_features(SOURCE, entity, view, ROWS, ROWS)
    with pytest.raises(DeclarationError, match="declared in sql"):
        view_sql(SOURCE, entity, view, relation="x")


@pytest.mark.slow
@pytest.mark.spark
def test_spark_recomputes_it(tmp_path: Path) -> None:
    view = view_of(recomputed_on="spark")
    asked = ROWS.sort_by([("till", "ascending"), ("slip", "ascending")])
    found = sql_view_on_spark(SOURCE, repository_of(view).entity_of(view), view, ROWS, asked)
    on_duckdb = computed(view, tmp_path)
    assert found["seen"].tolist() == on_duckdb.column("seen").to_pylist()
    assert found["gap"].tolist() == pytest.approx(on_duckdb.column("gap").to_pylist(), rel=1e-12, abs=1e-12)
    with pytest.raises(DeclarationError, match="cannot be run"):
        sql_view_on_spark(
            SOURCE, repository_of(view).entity_of(view),
            one_feature("SELECT * FROM {source}, parquet.`/tmp/x`", recomputed_on="spark"), ROWS, asked,
        )  # fmt: skip
