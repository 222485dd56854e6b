"""One thread where the order of sums decides the last bits."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def single_threaded(model: Any) -> Iterator[None]:
    """Sums over threads have no fixed order (a forest's mean): score with one, then put settings back."""
    while hasattr(
        model, "estimator"
    ):  # a calibrated model keeps its pipeline frozen, out of set_params' reach
        model = model.estimator
    parameters = model.get_params(deep=True) if hasattr(model, "get_params") else {}
    before = {
        name: value
        for name, value in parameters.items()
        if name.split("__")[-1] in ("n_jobs", "nthread", "num_threads") and value != 1
    }
    try:
        if before:
            model.set_params(**dict.fromkeys(before, 1))
        with one_blas_thread():
            yield
    finally:
        if before:
            model.set_params(**before)


@contextlib.contextmanager
def one_blas_thread() -> Iterator[None]:
    """Matrix products split over threads differ in the last bits with the number of cores."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    with threadpool_limits(1, user_api="blas"):
        yield
