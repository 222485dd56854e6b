"""What was measured of a Feast repository's parity, as evidence under the project's limits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from platform_assets.evidence.evidence import Evidence, Verdict
from platform_assets.feast_project.open_project import OpenProject

KIND = "feast_parity"


def record_parity(
    opened: OpenProject,
    subject: str,
    versions: Mapping[str, str],
    verdict: Verdict,
    reason: str,
    measured: Mapping[str, Any],
    *,
    most: Mapping[str, int],
    run_id: str,
) -> Evidence:
    """Record a verdict on a table, with the declared share and tolerance; `most`: how many at most."""
    declared = opened.project.parity
    return opened.stores.evidence.record(
        Evidence(
            kind=KIND,
            subject=subject,
            verdict=verdict,
            reason=reason,
            versions=dict(versions),
            measured=dict(measured),
            limits={"at_most": declared.at_most, "tolerance": declared.tolerance, **most},
            run_id=run_id,
        )
    )
