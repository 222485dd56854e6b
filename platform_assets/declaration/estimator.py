"""The model to fit: a class by import path, its parameters, and how they and its scores are settled."""

from __future__ import annotations

import math
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from platform_assets.declaration.declared import Declared, fingerprint_of

LATER_FIELDS = ("class_weight", "calibration", "search")
"""Unset, these leave an estimator's fingerprint as it was before they existed."""


class Calibration(Declared):
    """Scores turned into probabilities on the last part of the train days, which then fits nothing else.

    Test rows are never used. Declare `last_days` or `fraction` (of the train rows by time).
    """

    method: Literal["isotonic", "sigmoid"] = "sigmoid"
    last_days: int | None = Field(default=None, ge=1)
    fraction: float | None = Field(default=None, gt=0, lt=1)

    @model_validator(mode="after")
    def _one_size(self) -> Calibration:
        if (self.last_days is None) == (self.fraction is None):
            raise ValueError("calibration: declare either last_days or fraction, of the train days' end")
        return self


class SearchedParameter(Declared):
    """A range `low` to `high`, both included, or a list of choices."""

    low: float | None = None
    high: float | None = None
    log: bool = False
    integer: bool = False
    choices: tuple[bool | int | float | str | None, ...] = ()

    @model_validator(mode="after")
    def _range_or_choices(self) -> SearchedParameter:
        if self.choices:
            if self.low is not None or self.high is not None or self.log or self.integer:
                raise ValueError("search: a parameter has choices or a range (low, high), not both")
            return self
        if self.low is None or self.high is None:
            raise ValueError("search: a parameter needs low and high, or choices")
        if self.low >= self.high:
            raise ValueError(f"search: low {self.low:g} is not below high {self.high:g}")
        if self.log and self.low <= 0:
            raise ValueError(f"search: a logarithmic range needs low above 0, not {self.low:g}")
        if self.integer and not (self.low.is_integer() and self.high.is_integer()):
            raise ValueError(f"search: an integer range from {self.low:g} to {self.high:g}")
        return self

    def example(self) -> Any:
        """A value it may take."""
        if self.choices:
            return self.choices[0]
        return int(self.low or 0) if self.integer else self.low


class Search(Declared):
    """Parameters to be found on time-ordered folds inside the train days.

    The days are cut into folds + 1 equal parts; fold k fits on the first k parts and is scored on
    the next. `gap_days` leaves out fitting days right before it, as long as labels take. `cpu_seconds`
    of the process end the search before its trials are done; how many were done is recorded.
    """

    parameters: dict[str, SearchedParameter] = Field(min_length=1)
    trials: int = Field(ge=1)
    cpu_seconds: float | None = Field(default=None, gt=0)
    metric: Literal["average_precision", "roc_auc"] = "average_precision"
    folds: int = Field(default=3, ge=1)
    gap_days: int = Field(default=0, ge=0)
    sampler: Literal["tpe", "random"] = "tpe"


class Estimator(Declared):
    """A scikit-learn compatible class, by import path."""

    path: str = Field(pattern=r"^[A-Za-z_][\w]*(\.[A-Za-z_]\w*)+$")
    parameters: dict[str, Any] = Field(default_factory=dict)
    seed: int = Field(default=0, ge=0, le=2**32 - 1)
    preprocessing: tuple[Literal["standardise", "impute_median"], ...] = ()
    class_weight: Literal["balanced"] | dict[int, float] | None = Field(
        default=None, description="Weight of each train row by its label: balanced, or {0: 1, 1: 20}."
    )
    calibration: Calibration | None = None
    search: Search | None = None

    @field_validator("class_weight", mode="before")
    @classmethod
    def _weighs_both(cls, value: Any) -> Any:
        if value is None or value == "balanced":
            return value
        if (
            not isinstance(value, dict)
            or {str(int(key) if isinstance(key, bool) else key) for key in value} != {"0", "1"}
            or not all(isinstance(weight, int | float) and 0 < weight < math.inf for weight in value.values())
        ):
            raise ValueError(
                "expected balanced, or a weight above 0 for each of 0 and 1, such as {0: 1, 1: 20}"
            )
        return value

    @model_validator(mode="after")
    def _searched_once(self) -> Estimator:
        if self.search and (both := sorted(self.parameters.keys() & self.search.parameters.keys())):
            raise ValueError(f"search: {', '.join(both)} is searched and set in parameters; keep one")
        return self

    def fingerprint(self, *leave_out: str) -> str:
        """Sixteen hex digits over what is declared; options added later count only when they are set."""
        unset = {name for name in LATER_FIELDS if getattr(self, name) is None}
        return fingerprint_of(self.model_dump(mode="json", exclude=unset | set(leave_out)))

    def found(self, parameters: dict[str, Any]) -> Estimator:
        """The estimator with searched parameters settled."""
        return self.model_copy(update={"parameters": {**self.parameters, **parameters}, "search": None})
