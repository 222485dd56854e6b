"""What a feature that is made of others reads: columns, code version, and column lineage of the asset."""

from __future__ import annotations

from typing import Any

import pytest
from function_world import repository_of, view_of

from platform_assets.declaration.feature import Feature
from platform_assets.features.assets import _lineage
from platform_assets.features.live_views import what_changed

FEATURES: list[dict[str, Any]] = [
    {"name": "mean_2d", "function": "mean", "column": "cents", "window": "2d"},
    {"name": "web_2d", "function": "count", "window": "2d", "where": "kind = 'a'"},
    {"name": "high", "function": "expression", "expression": "whole > mean_2d"},
    {"name": "share", "function": "ratio", "numerator": "high", "denominator": "web_2d"},
    {"name": "own", "function": "expression", "expression": "free + 1"},
]
VIEW = view_of(*FEATURES)


@pytest.mark.parametrize(
    ("name", "columns"),
    [
        ("mean_2d", ("cents",)),
        ("web_2d", ("kind",)),
        ("high", ("whole", "cents")),
        ("share", ("whole", "cents", "kind")),
        ("own", ("free",)),
    ],
)
def test_columns_behind_a_feature(name: str, columns: tuple[str, ...]) -> None:
    assert VIEW.columns_of(VIEW.feature(name)) == columns


def test_lineage_names_every_column_and_the_key_where_a_window_is_behind() -> None:
    deps = _lineage(repository_of(VIEW), VIEW).deps_by_column
    read = {name: {dep.column_name for dep in deps[name]} for name in VIEW.feature_names}
    assert read["share"] == {"at", "who", "whole", "cents", "kind"}
    assert read["own"] == {"at", "free"}


def test_types_follow_from_what_is_said() -> None:
    assert [feature.type for feature in VIEW.features] == ["float64", "int64", "int64", "float64", "float64"]


@pytest.mark.parametrize(
    ("place", "change", "told"),
    [
        (1, {"where": "kind = 'b'"}, ["feature web_2d: where kind = 'a' -> kind = 'b'"]),
        (1, {"where": "kind='a'"}, []),
        (2, {"expression": "whole >= mean_2d"}, ["feature high: expression whole > mean_2d -> whole >= mean_2d"]),
        (3, {"denominator": "mean_2d"}, ["feature share: denominator web_2d -> mean_2d"]),
        (0, {"where": "flag"}, ["column flag: none -> bool", "feature mean_2d: where none -> flag"]),
    ],
    ids=["condition", "condition written otherwise", "expression", "ratio", "a condition that is new"],
)  # fmt: skip
def test_what_is_said_is_in_the_code_version(place: int, change: dict[str, Any], told: list[str]) -> None:
    after = view_of(*({**f, **(change if n == place else {})} for n, f in enumerate(FEATURES)))
    assert (after.code_version == VIEW.code_version) == (not told)
    assert told == [] or what_changed(VIEW, after) == told


def test_fields_that_say_nothing_are_not_recorded() -> None:
    """So a declaration of an earlier release has the digest it had."""
    plain = Feature(name="n", function="count", window="7d")
    assert set(plain.model_dump(mode="json")) == {
        "name", "description", "function", "column", "window", "delay", "include_current_row", "empty", "hour",
    }  # fmt: skip
