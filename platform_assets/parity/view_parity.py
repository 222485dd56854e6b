"""Parity of a view: the verdict on its online store, as evidence bound to exactly what was compared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from platform_assets.declaration.feature_view import FeatureView
from platform_assets.declaration.repository import Repository
from platform_assets.errors import PlatformError
from platform_assets.evidence.evidence import Evidence, Verdict
from platform_assets.online.online_events import PARTITION
from platform_assets.parity.key_alignment import key_hash
from platform_assets.stores import Stores
from platform_assets.vocabulary import feature_table, online_table, raw_table

if TYPE_CHECKING:
    from platform_assets.parity.view_measurement import Comparison, Measurement

KIND = "parity"
EXAMPLES = 3
SHARES = 40
"""How many earlier shares are kept for a picture of them."""


def view_parity_versions(stores: Stores, view: FeatureView) -> dict[str, str]:
    """What a view's parity is bound to now: its version, its online state, and the feature day compared."""
    versions = {"view": view.code_version}
    manifest = stores.lake.table(online_table(view.lake_name)).manifest(PARTITION)
    if manifest is not None:
        versions["online"] = manifest.digest
    newest = max(stores.lake.table(raw_table(view.source)).partitions(), default=None)
    if newest is not None:
        day = stores.lake.table(feature_table(view.lake_name)).manifest(newest)
        versions["features"] = day.digest if day is not None else "none"
    return versions


def view_parity_history(stores: Stores, view: FeatureView) -> list[Evidence]:
    """All that was measured of a view's parity, oldest first."""
    return stores.evidence.history(KIND, online_table(view.lake_name))


def view_limits(view: FeatureView) -> dict[str, Any]:
    """The limits a view's parity is measured by, as its declaration says."""
    return view.parity.model_dump(mode="json", exclude={"severity"})


def newest_view_parity(stores: Stores, view: FeatureView) -> Evidence | None:
    """The newest evidence, if it was measured on the present versions by the present limits."""
    found = stores.evidence.latest(KIND, online_table(view.lake_name))
    if found is None or not found.holds_for(view_parity_versions(stores, view)):
        return None
    return found if dict(found.limits) == view_limits(view) else None


def view_parity(
    stores: Stores, repository: Repository, view: FeatureView, *, run_id: str = "", after: str = ""
) -> Evidence:
    """Compare everything a view serves with the lake, and record the evidence.

    FAILED when more than the declared share of entities differs, or when `serve` itself says otherwise than
    the store's content; UNKNOWN when it could not be measured or something stands against a pass: a state
    or a feature day that is stale. `after` names the evidence whose repair this measures.
    """
    import duckdb
    import pyarrow as pa

    versions = view_parity_versions(stores, view)
    try:
        verdict, reason, measured = _measured(stores, repository, view)
    except (PlatformError, OSError, pa.ArrowException, duckdb.Error) as error:
        verdict, reason = Verdict.UNKNOWN, str(error)
        measured = _not_served(stores, repository, view)
    if versions != view_parity_versions(stores, view):
        verdict, reason = Verdict.UNKNOWN, "the store was filled while parity was measured; measure again"
    if after:
        measured = {**measured, "after": after}
    return stores.evidence.record(
        Evidence(
            kind=KIND,
            subject=online_table(view.lake_name),
            verdict=verdict,
            reason=reason,
            versions=versions,
            measured=measured,
            limits=view_limits(view),
            run_id=run_id,
        )
    )


def _not_served(stores: Stores, repository: Repository, view: FeatureView) -> dict[str, Any]:
    """Why nothing is served, as far as the manifest tells it, and what puts it right."""
    from platform_assets.parity.refusals import refusal

    try:
        return refusal(stores, repository, view)
    except (PlatformError, OSError):
        return {}


def shares(stores: Stores, view: FeatureView) -> list[float]:
    """Share of entities that differed, measurement after measurement, oldest first; NaN where unknown."""
    history = view_parity_history(stores, view)[-SHARES:]
    return [float(found.measured.get("share", float("nan"))) for found in history]


def _measured(
    stores: Stores, repository: Repository, view: FeatureView
) -> tuple[Verdict, str, dict[str, Any]]:
    from platform_assets.parity.causes import diagnose_or_tell
    from platform_assets.parity.repair_plan import repair_plan
    from platform_assets.parity.view_measurement import measure_view

    found = measure_view(stores, repository, view)
    causes = diagnose_or_tell(stores, repository, found)
    differing = int(found.differing.sum())
    entities = len(found.entities)
    share = differing / entities if entities else 0.0
    rows = [_row(comparison, name) for comparison in found.comparisons for name in comparison.trained]
    totals = {name: sum(row[name] for row in rows) for name in ("mismatch", "missing", "extra", "stale")}
    measured: dict[str, Any] = {
        "entities": entities,
        "known": found.known,
        "compared": sum(row["compared"] for row in rows),
        "differing": differing,
        "share": share,
        **totals,
        "foreign": len(found.foreign),
        "witnesses": found.witnesses,
        "witnesses_differ": found.witnesses_differ,
        "reservations": list(found.reservations),
        "day": found.feature_day,
        "features": rows,
        "causes": [cause.row(found) for cause in causes],
        "repair": [step.row() for step in repair_plan(stores, repository, found, causes)],
        "examples": [e for comparison in found.comparisons for e in _examples(found, comparison)],
    }
    whole = "" if found.known == entities else f" (a sample of {found.known} by key hash)"
    told = f"{entities} entities{whole} at {' and '.join(c.moment for c in found.comparisons)}"
    if found.witnesses_differ:
        reason = (
            f"{found.witnesses_differ} of {found.witnesses} requests are served otherwise than the store's "
            "events say; the serving code is not what parity measures"
        )
        return Verdict.FAILED, reason, measured
    if share > view.parity.at_most:
        worst = max(rows, key=lambda row: row["mismatch"] + row["missing"] + row["extra"])
        reason = (
            f"{differing} of {told} differ, most in {worst['feature']} at the {worst['moment']} "
            f"({worst['mismatch']} mismatch, {worst['missing']} missing, {worst['extra']} extra); at most "
            f"{view.parity.at_most:.2%} may"
        )
        return Verdict.FAILED, reason, measured
    if found.reservations:
        return Verdict.UNKNOWN, "; ".join(found.reservations), measured
    if not measured["compared"]:
        return Verdict.UNKNOWN, f"nothing was compared: no {_about(view)} has an event in reach", measured
    strangers = f"; {len(found.foreign)} keys in the store are nobody's" if found.foreign else ""
    return Verdict.PASSED, f"{entities - differing} of {told} are served as trained{strangers}", measured


def _about(view: FeatureView) -> str:
    return " and ".join(view.entities)


def _row(comparison: Comparison, name: str) -> dict[str, Any]:
    return {"moment": comparison.moment, **comparison.differences[name].row()}


def _examples(found: Measurement, comparison: Comparison) -> list[dict[str, Any]]:
    """A few differing values of each feature, the entity by its hash only."""
    import numpy as np

    told = []
    for name, difference in comparison.differences.items():
        for place in np.flatnonzero(difference.places)[:EXAMPLES].tolist():
            key = found.entities[int(comparison.who[place])].as_py()
            told.append(
                {
                    "moment": comparison.moment,
                    "feature": name,
                    "key_hash": key_hash(key),
                    "served": comparison.served[name].at(place),
                    "trained": comparison.trained[name].at(place),
                }
            )
    return told
