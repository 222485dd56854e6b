"""Monitors: what is watched after promotion."""

from __future__ import annotations

from pydantic import Field

from platform_assets.declaration.declared import Declared


class DriftMonitor(Declared):
    """Population stability index on the training set's frozen quantiles, per input and score."""

    current_days: int = Field(default=7, ge=1, description="Newest scored days that are compared.")
    bins: int = Field(default=10, ge=2)
    psi_limit: float = Field(default=0.25, gt=0)
    min_rows: int = Field(default=1000, ge=1, description="Fewer on either side: UNKNOWN.")
