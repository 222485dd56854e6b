"""Parity of a feature view: what is stored online against what training takes at the same moment.

The offline side is Feast's own point-in-time join at the moment the online values are of, so the view's TTL
holds; the online side is what the store gives. Every entity of the source and of the store is compared, or a
key-hash sample of them.
"""

from __future__ import annotations

from typing import Any

from platform_assets.errors import PlatformError
from platform_assets.evidence.evidence import Evidence, Verdict
from platform_assets.feast_project.compared_view import ComparedView, compared_view
from platform_assets.feast_project.online_state import OnlineState, check_still, check_unchanged, online_state
from platform_assets.feast_project.open_project import OpenProject
from platform_assets.feast_project.parity_evidence import record_parity
from platform_assets.feast_project.snapshot import View
from platform_assets.feast_project.view_causes import causes
from platform_assets.parity.differences import Column, Differences, compare, differing_places
from platform_assets.parity.key_alignment import key_hash
from platform_assets.vocabulary import feast_table

EXAMPLES = 5


def view_parity(opened: OpenProject, view: View, *, run_id: str = "") -> Evidence:
    """Compare every entity and feature, and record the evidence.

    PASSED when at most the declared share of entities differs, FAILED when more do, UNKNOWN when it could
    not be measured: nothing materialized, a killed fill, a source that changed since, a store that is down.
    """
    versions = {"view": view.version}
    try:
        state = online_state(opened, view)
        versions |= {"online": state.manifest.digest, "as_of": state.as_of.isoformat()}
        check_unchanged(opened, view, state)
        measured = _measure(opened, view, state)
        check_still(opened, view, state)
        verdict, reason = _judged(opened, view, measured)
    except PlatformError as error:
        verdict, reason, measured = Verdict.UNKNOWN, str(error), {}
    return record_parity(
        opened,
        feast_table(opened.name, "parity", view.name),
        versions,
        verdict,
        reason,
        measured,
        most={"entities": opened.project.parity.entities},
        run_id=run_id,
    )


def _measure(opened: OpenProject, view: View, state: OnlineState) -> dict[str, Any]:
    import numpy as np

    compared = compared_view(opened, view, state.as_of)
    count = compared.keys.num_rows
    pushed = compared.pushed if view.pushed_by else np.zeros(count, dtype=bool)
    found = {
        name: compare(
            name,
            _settled(compared.served[name], trained, pushed),
            trained,
            tolerance=opened.project.parity.tolerance,
            outdated=compared.outdated,
        )
        for name, trained in compared.trained.items()
    }
    differing = int(differing_places(found, count).sum())
    return {
        "as_of": state.as_of.isoformat(),
        "entities": count,
        "differing": differing,
        "share": differing / count if count else 0.0,
        "pushed_since": int(pushed.sum()),
        "features": [{"view": view.name, **difference.row()} for difference in found.values()],
        "causes": [{"cause": cause, "values": number} for cause, number in causes(compared, found).items()],
        "examples": _examples(compared, found),
        "repair": [
            {
                "asset": opened.asset("online", view.name),
                "keys": differing,
                "what": "materialize it again: all newest rows are written, whatever is there",
            }
        ]
        if differing
        else [],
    }


def _judged(opened: OpenProject, view: View, measured: dict[str, Any]) -> tuple[Verdict, str]:
    count, differing = measured["entities"], measured["differing"]
    if not count:
        return Verdict.UNKNOWN, f"{view.name}: no entity is known, offline or online"
    if measured["share"] > opened.project.parity.at_most:
        worst = max(measured["features"], key=lambda row: row["mismatch"] + row["missing"] + row["extra"])
        because = ", ".join(f"{row['cause']} ({row['values']})" for row in measured["causes"])
        return Verdict.FAILED, (
            f"{differing} of {count} entities of {view.name} differ from training at {measured['as_of']}, "
            f"most in {worst['feature']} ({worst['mismatch']} values, {worst['missing']} missing, "
            f"{worst['extra']} extra); at most {opened.project.parity.at_most:.2%} may; causes: {because}"
        )
    return Verdict.PASSED, (
        f"{count - differing} of {count} entities of {view.name} equal training at {measured['as_of']}"
    )


def _settled(served: Column, trained: Column, pushed: Any) -> Column:
    """The served side, equal to the trained one at pushed places: those count as no difference."""
    import numpy as np

    if not pushed.any():
        return served
    return Column(
        np.where(pushed, trained.values, served.values), np.where(pushed, trained.valid, served.valid)
    )


def _examples(compared: ComparedView, found: dict[str, Differences]) -> list[dict[str, Any]]:
    examples = []
    for name, difference in found.items():
        for place in difference.places.nonzero()[0].tolist()[:EXAMPLES]:
            key = [compared.keys.column(column)[place].as_py() for column in compared.keys.column_names]
            examples.append(
                {
                    "feature": name,
                    "key_hash": key_hash(key),
                    "served": _plain(compared.served[name].at(place)),
                    "trained": _plain(compared.trained[name].at(place)),
                }
            )
    return examples[: 4 * EXAMPLES]


def _plain(value: Any) -> Any:
    return value if isinstance(value, int | float | str | bool) or value is None else str(value)
