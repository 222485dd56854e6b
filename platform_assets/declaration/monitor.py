"""Monitors: what is watched after promotion."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from pydantic import Field

from platform_assets.declaration.declared import Declared
from platform_assets.declaration.duration import Duration


class DriftMonitor(Declared):
    """Population stability index on the training set's frozen quantiles, per input and score."""

    current_days: int = Field(default=7, ge=1, description="Newest scored days that are compared.")
    bins: int = Field(default=10, ge=2)
    psi_limit: float = Field(default=0.25, gt=0)
    min_rows: int = Field(default=1000, ge=1, description="Fewer on either side: UNKNOWN.")


class HindsightMonitor(Declared):
    """How far a training set as known now may differ from the same as known then."""

    rows_at_most: float = Field(default=0.25, ge=0, le=1, description="Share of rows that may differ.")
    metric_at_most: float = Field(
        default=0.02, ge=0, description="What hindsight may add to the metric of the champion's gate."
    )
    loaded_within: Duration = Field(
        default=timedelta(days=2), description="A raw day first loaded later than this was loaded in bulk."
    )
    bulk_history: Literal["unknown", "known_at_once"] = Field(
        default="unknown", description="What to make of days loaded in bulk by a source without available_at."
    )
