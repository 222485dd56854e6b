"""How exactly a view's online store must equal what training takes."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from platform_assets.declaration.declared import Declared


class ViewParity(Declared):
    """Limits of a view's parity, measured after each fill of its online store."""

    tolerance: float = Field(
        default=1e-9, ge=0, description="Floats may be apart by this, relative above 1; all else is exact."
    )
    at_most: float = Field(default=0.0, ge=0, le=1, description="Share of entities that may differ.")
    entities: int = Field(
        default=1_000_000, ge=1, description="Above this many a sample by key hash is compared."
    )
    severity: Literal["error", "warning"] = Field(
        default="error", description="How red a failed check is; the gate asks for PASSED either way."
    )
