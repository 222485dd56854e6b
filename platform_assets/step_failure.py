"""A step that failed, as the web UI shows it: our own error with its fix, before the framework's words."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import dagster as dg

from platform_assets.errors import PlatformError
from platform_assets.lake.storage_errors import fix_of

P = ParamSpec("P")
R = TypeVar("R")


def failing_plainly(compute: Callable[P, R]) -> Callable[P, R]:
    """What an asset or op computes, with our errors and those of a failed disk as Dagster's own `Failure`.

    Dagster wraps every other error in one of its own, "Error occurred while executing op", which is all
    that a failed run then says of itself.

        @dg.asset
        @failing_plainly
        def promotion(platform: PlatformResource) -> dg.MaterializeResult: ...
    """

    @functools.wraps(compute)
    def computed(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return compute(*args, **kwargs)
        except PlatformError as error:
            raise dg.Failure(description=str(error)) from error
        except Exception as error:
            fix = fix_of(error)
            if fix is None:
                raise
            raise dg.Failure(description=f"{error}; {fix}") from error

    return computed
