"""The model to fit: a class by import path, its parameters, and what comes before it."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from platform_assets.declaration.declared import Declared


class Estimator(Declared):
    """A scikit-learn compatible class, by import path."""

    path: str = Field(pattern=r"^[A-Za-z_][\w]*(\.[A-Za-z_]\w*)+$")
    parameters: dict[str, Any] = Field(default_factory=dict)
    seed: int = 0
    preprocessing: tuple[Literal["standardise", "impute_median"], ...] = ()
