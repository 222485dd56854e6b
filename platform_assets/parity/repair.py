"""A repair carried out as it was planned, and proved by a second measurement."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from platform_assets.declaration.feature_view import FeatureView
from platform_assets.declaration.repository import Repository
from platform_assets.evidence.evidence import Evidence
from platform_assets.parity.repair_plan import BUILD, stale_feature_days

if TYPE_CHECKING:
    from platform_assets.stores import Stores


def carry_out(
    stores: Stores,
    repository: Repository,
    view: FeatureView,
    evidence: Evidence,
    *,
    untrusted: Mapping[str, str] | None = None,
    run_id: str = "",
) -> Evidence:
    """Carry out the plan of an evidence, measure again, and return the second evidence, bound to the first.

    An evidence without a plan is returned as it is: there is nothing to carry out, whatever its verdict.
    `untrusted` tells raw days that nothing may be built on, with the reason. Raises Blocked, and changes
    nothing of that step, when a raw day in its reach is missing or not trusted.
    """
    from platform_assets.features.compute import build_feature_days
    from platform_assets.online.online_store import fill_online
    from platform_assets.parity.view_parity import view_parity

    plan = evidence.measured.get("repair", [])
    if not plan:
        return evidence
    source, entity = repository.source(view.source), repository.entity_of(view)
    bad, cause = untrusted or {}, f"repair of parity {evidence.id}"
    for step in plan:
        if step["do"] == BUILD:
            told = _days_of(step)
            days = sorted({*stale_feature_days(stores, repository, view), *told})
            build_feature_days(
                stores, source, entity, view, days, untrusted=bad, cause=cause, run_id=run_id, anew=told
            )
        else:
            fill_online(stores, repository, view, untrusted=bad, cause=cause, run_id=run_id)
    return view_parity(stores, repository, view, run_id=run_id, after=evidence.id)


def _days_of(step: dict[str, Any]) -> list[str]:
    from datetime import date, timedelta

    days = []
    for span in filter(None, str(step["days"]).split(", ")):
        first, _, last = span.partition(" ... ")
        start, end = date.fromisoformat(first), date.fromisoformat(last or first)
        days += [(start + timedelta(days=n)).isoformat() for n in range((end - start).days + 1)]
    return days
