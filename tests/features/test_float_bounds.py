"""How far sums of doubles may be off: the bounds that docs/features.md states, on values made to be hard."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import duckdb
import pytest
from function_world import SOURCE, repository_of, table_of, view_of
from hypothesis import given, settings
from hypothesis import strategies as st

from platform_assets.features.independent import independent_features
from platform_assets.features.window_sql import view_sql

FUNCTIONS = ("sum", "mean", "stddev")
VIEW = view_of(*({"name": f, "function": f, "column": "free", "window": "1d"} for f in FUNCTIONS))
WHO = repository_of(VIEW).entity_of(VIEW)
UNIT = 2.0**-53
hard = st.floats(-1e9, 1e9, allow_nan=False).map(lambda x: x) | st.sampled_from([1e9, -1e9, 1e-9, 1e9 + 1e-6])


def exactly(values: list[float]) -> tuple[Fraction, Fraction, Fraction]:
    """Sum, mean and variance of a sample, without rounding."""
    exact = [Fraction(value) for value in values]
    total, n = sum(exact, Fraction()), len(exact)
    mean = total / n
    return total, mean, sum(((x - mean) ** 2 for x in exact), Fraction()) / (n - 1)


@settings(max_examples=60, deadline=None)
@given(st.lists(hard, min_size=2, max_size=30))
def test_sums_means_and_deviations_of_doubles_stay_within_their_bounds(values: list[float]) -> None:
    raw = table_of([{"free": value, "minute": 0} for value in values])
    with duckdb.connect() as connection:
        connection.register("raw_in", raw)
        found: list[Any] = connection.sql(view_sql(SOURCE, WHO, VIEW, relation="raw_in")).fetchall()
    by_numpy = independent_features(SOURCE, WHO, VIEW, raw, raw)
    total, mean, variance = exactly(values)
    n, size = len(values), math.fsum(map(abs, values))
    deviation = math.sqrt(variance)
    bounds = {
        "sum": (float(total), (n - 1) * UNIT * size),
        "mean": (float(mean), UNIT * size + UNIT * abs(float(mean))),
        "stddev": (deviation, n * 2.0**-50 * math.hypot(float(mean), deviation)),
    }
    for place, name in enumerate(FUNCTIONS):
        want, bound = bounds[name]
        for got in (found[0][5 + place], by_numpy[name][0]):
            # want itself is rounded once
            assert abs(got - want) <= bound + UNIT * abs(want), (name, got, want)


def test_a_sum_that_forgets_a_value_is_outside_the_bound() -> None:
    values = [1e9, 0.25, -1e9]
    assert abs(math.fsum(values[:1] + values[2:]) - 0.25) > 2 * UNIT * math.fsum(map(abs, values))
    assert math.fsum(values) == pytest.approx(0.25)
