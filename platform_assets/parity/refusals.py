"""Why nothing at all is served: told from the manifest and the state's own row, with what puts it right."""

from __future__ import annotations

from typing import Any

from platform_assets.declaration.feature_view import FeatureView
from platform_assets.declaration.repository import Repository
from platform_assets.errors import Blocked
from platform_assets.online.feast_objects import ENTITIES, SLOT, STATE_DIGEST
from platform_assets.online.online_events import PARTITION
from platform_assets.online.online_state import shape
from platform_assets.online.whole_state import read_all_events
from platform_assets.parity.hypotheses import Cause
from platform_assets.parity.repair_plan import FILL
from platform_assets.stores import Stores
from platform_assets.vocabulary import online_table, raw_table


def refusal(stores: Stores, repository: Repository, view: FeatureView) -> dict[str, Any]:
    """A cause and a repair as tables; both empty when the store serves, cannot be read, or has no raw day."""
    payload = stores.lake.table(online_table(view.lake_name)).document(PARTITION)
    source = repository.source(view.source)
    if payload is None:
        if not stores.lake.table(raw_table(source.name)).partitions():
            return {}  # no fill can put right that there is no raw day to fill from
        return _told(view, Cause.STUCK_MATERIALIZATION, "the view was never materialized", 0)
    entities = int(payload.get(ENTITIES, 0))
    if payload["view_version"] != view.code_version or payload["measures"] != shape(source, view):
        told = f"the store was filled for {payload['view_version']}, and {view.code_version} is declared"
        return _told(view, Cause.DEFINITION_VERSION, told, entities)
    try:
        state = read_all_events(stores, repository, view)
    except Blocked as error:
        return _told(view, Cause.UNKNOWN, str(error), entities)
    if state.is_promised:
        return {}
    held = state.digests[str(state.promised[SLOT])] or "none"
    told = f"the store holds state {held}, and the lake promises {state.promised[STATE_DIGEST]}"
    cause = Cause.STUCK_MATERIALIZATION if held == "none" else Cause.FOREIGN_WRITE
    return _told(view, cause, told, entities)


def _told(view: FeatureView, cause: Cause, told: str, entities: int) -> dict[str, Any]:
    command = f"platform-assets parity --view {view.name} --repair"
    return {
        "causes": [
            {"cause": str(cause), "wrong side": "served", "entities": entities, "values": 0,
             "features": "all: nothing is served", "told by": told, "key hashes": ""}
        ],
        "repair": [
            {"do": FILL, "view": view.name, "entities": entities, "key hashes": "", "days": "",
             "because": f"{cause}: {told}", "so that it stays": "", "command": command}
        ],
    }  # fmt: skip
