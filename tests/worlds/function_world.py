"""Every window function over rows with ties, nulls, NaN and window edges, and its definition word for word."""

from __future__ import annotations

import math
import statistics
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa

from platform_assets.declaration.feature_view import Entity, Feature, FeatureView
from platform_assets.declaration.repository import Repository
from platform_assets.declaration.source import Source
from platform_assets.vocabulary import AVAILABLE_AT

START = datetime(2020, 1, 6)  # a Monday

SOURCE = Source.model_validate(
    {
        "name": "events",
        "owners": ["team:x"],
        "location": "x",
        "start": START.date(),
        "columns": [
            {"name": "till", "type": "string"},
            {"name": "slip", "type": "int64"},
            {"name": "at", "type": "timestamp"},
            {"name": "who", "type": "int64", "nullable": True},
            {"name": "place", "type": "string"},
            {"name": "cents", "type": "float64", "scale": 2},
            {"name": "maybe", "type": "float64", "scale": 2, "nullable": True},
            {"name": "free", "type": "float64", "nullable": True},
            {"name": "whole", "type": "int64"},
            {"name": "flag", "type": "bool"},
            {"name": "kind", "type": "string", "nullable": True},
        ],
        "primary_key": ["till", "slip"],
        "event_timestamp": "at",
        "contract": "x.json",
    }
)
ENTITIES = {"who": Entity(name="who", join_key="who"), "place": Entity(name="place", join_key="place")}

FUNCTIONS: dict[str, dict[str, Any]] = {
    "count": {"function": "count"},
    "count of a column": {"function": "count", "column": "maybe"},
    "sum": {"function": "sum", "column": "maybe"},
    "sum of doubles": {"function": "sum", "column": "free"},
    "mean": {"function": "mean", "column": "cents"},
    "mean of doubles": {"function": "mean", "column": "free"},
    "min": {"function": "min", "column": "maybe"},
    "max": {"function": "max", "column": "free"},
    "stddev": {"function": "stddev", "column": "cents"},
    "stddev of whole numbers": {"function": "stddev", "column": "whole", "empty": -1},
    "stddev with nulls": {"function": "stddev", "column": "maybe"},
    "stddev of doubles": {"function": "stddev", "column": "free"},
    "distinct count": {"function": "distinct_count", "column": "whole"},
    "distinct texts": {"function": "distinct_count", "column": "kind"},
    "distinct decimals": {"function": "distinct_count", "column": "maybe", "empty": -1},
    "distinct flags": {"function": "distinct_count", "column": "flag"},
    "last": {"function": "last", "column": "cents"},
    "last with nulls": {"function": "last", "column": "maybe", "empty": -1},
    "last double": {"function": "last", "column": "free"},
    "time since last": {"function": "time_since_last"},
}
WINDOWS: dict[str, dict[str, Any]] = {
    "half a day": {"window": "12h"},
    "two days": {"window": "2d"},
    "delayed": {"window": "12h", "delay": "1d"},
    "own row out": {"window": "12h", "include_current_row": False},
    "filtered": {"window": "1d", "where": "whole > 0 and not kind = 'a'"},
    "filtered on a null, own row out": {
        "window": "1d", "include_current_row": False, "where": "maybe >= 1.1 or flag",
    },
    "filtered and delayed": {"window": "2d", "delay": "12h", "where": "free is not null"},
}  # fmt: skip


DERIVED: list[dict[str, Any]] = [
    {"name": "spread", "function": "ratio", "numerator": "f0", "denominator": "f1", "empty": -1},
    {"name": "unusual", "function": "expression", "expression": "(cents - mean_2d) / dev_2d"},
    {"name": "high", "function": "expression", "expression": "cents > mean_2d and kind in ('a', 'it''s')"},
    {"name": "mean_2d", "function": "mean", "column": "cents", "window": "2d"},
    {"name": "dev_2d", "function": "stddev", "column": "cents", "window": "2d"},
]
"""Features made of others; f0 and f1 are the first two beside them."""


def features() -> dict[str, dict[str, Any]]:
    """Each function in each window, by what a test is called."""
    found = {}
    for function, declared in FUNCTIONS.items():
        for window, frame in WINDOWS.items():
            if declared["function"] == "time_since_last":
                frame = {key: value for key, value in frame.items() if key != "include_current_row"}
            found[f"{function}, {window}"] = {**declared, **frame}
    return found


def view_of(*declared: dict[str, Any], entity: Any = "who", **more: Any) -> FeatureView:
    """A bound view of features f0, f1, ... unless they bring their names."""
    named = [{"name": f"f{number}", **feature} for number, feature in enumerate(declared)]
    view = FeatureView.model_validate(
        {"name": "v", "owners": ["team:x"], "source": "events", "entity": entity, "features": named, **more}
    )
    return repository_of(view).feature_view("v")


def repository_of(view: FeatureView) -> Repository:
    return Repository({"events": SOURCE}, ENTITIES, {view.name: view})


def table_of(rows: list[dict[str, Any]]) -> pa.Table:
    """Raw rows; `minute` and `us` are after START, what is not said is filled in."""
    moments = [START + timedelta(minutes=row.get("minute", 0), microseconds=row.get("us", 0)) for row in rows]

    def column(name: str, default: Any, kind: pa.DataType) -> pa.Array:
        return pa.array([row.get(name, default) for row in rows], kind)

    return pa.table(
        {
            "till": pa.array([row.get("till", f"t{n % 3}") for n, row in enumerate(rows)]),
            "slip": pa.array([row.get("slip", 90 - n) for n, row in enumerate(rows)], pa.int64()),
            "at": pa.array(moments, pa.timestamp("us")),
            "who": column("who", 1, pa.int64()),
            "place": column("place", "here", pa.string()),
            "cents": column("cents", 1.1, pa.float64()),
            "maybe": column("maybe", 1.1, pa.float64()),
            "free": column("free", 1.5, pa.float64()),
            "whole": column("whole", 3, pa.int64()),
            "flag": column("flag", True, pa.bool_()),
            "kind": column("kind", "a", pa.string()),
            AVAILABLE_AT: pa.array(moments, pa.timestamp("us")),
        }
    )


def random_rows(count: int = 160, seed: int = 4, days: int = 4) -> pa.Table:
    """Rows on a grid of half hours, so that ties and exact window edges are everywhere."""
    made = np.random.default_rng(seed)
    return table_of(
        [
            {
                "minute": 30 * int(made.integers(0, 48 * days)),
                "who": [1, 2, 3, None][made.integers(0, 4)],
                "place": ["here", "there's"][made.integers(0, 2)],
                "cents": int(made.integers(-500, 500)) / 100,
                "maybe": None if made.random() < 0.3 else int(made.integers(-300, 300)) / 100,
                "free": [None, math.nan, float(made.normal() * 10)][made.choice(3, p=[0.2, 0.2, 0.6])],
                "whole": int(made.integers(-3, 4)),
                "flag": bool(made.random() < 0.5),
                "kind": [None, "a", "b", "it's"][made.integers(0, 4)],
                "slip": int(n * 7919 % count),
            }
            for n in range(count)
        ]
    )


def by_definition(view: FeatureView, feature: Feature, rows: list[dict[str, Any]]) -> list[Any]:
    """A window feature of each row, by a loop over all rows."""
    keys = Repository({}, ENTITIES, {}).entity_of(view).join_keys
    return [_value(feature, row, [r for r in rows if _seen(feature, keys, row, r)]) for row in rows]


def _seen(feature: Feature, keys: tuple[str, ...], row: dict[str, Any], other: dict[str, Any]) -> bool:
    assert feature.window is not None
    end = row["at"] - feature.delay
    same = all(row[key] is not None and row[key] == other[key] for key in keys)
    own = (row["till"], row["slip"]) == (other["till"], other["slip"])
    left_out = own and (not feature.include_current_row or feature.function == "time_since_last")
    return same and end - feature.window < other["at"] <= end and not left_out and _passes(feature, other)


def _passes(feature: Feature, row: dict[str, Any]) -> bool:
    """The filters of WINDOWS, said once more in Python."""
    return {
        None: lambda: True,
        "whole > 0 and not kind = 'a'": lambda: (
            row["whole"] > 0 and row["kind"] is not None and row["kind"] != "a"
        ),
        "maybe >= 1.1 or flag": lambda: (row["maybe"] is not None and row["maybe"] >= 1.1) or row["flag"],
        "not free is null": lambda: row["free"] is not None and not math.isnan(row["free"]),
    }[feature.where]()


def _value(feature: Feature, row: dict[str, Any], seen: list[dict[str, Any]]) -> Any:
    seen = sorted(seen, key=lambda other: (other["at"], other["till"], other["slip"]))
    if feature.function == "time_since_last":
        return (row["at"] - seen[-1]["at"]).total_seconds() if seen else feature.empty
    values = [1 if feature.column is None else other[feature.column] for other in seen]
    values = [value for value in values if value is not None and value == value]
    if feature.function in ("count", "distinct_count"):
        found = len(values) if feature.function == "count" else len(set(values))
        return found or int(feature.empty or 0)
    if not values or (feature.function == "stddev" and len(values) < 2):
        return feature.empty
    return float(
        {
            "sum": sum,
            "mean": statistics.fmean,
            "min": min,
            "max": max,
            "stddev": statistics.stdev,
            "last": lambda found: found[-1],
        }[feature.function](values)
    )
