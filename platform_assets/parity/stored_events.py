"""The online state of a view as one array a column, in the order of the entities that are compared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from platform_assets.declaration.feature_view import FeatureView
from platform_assets.declaration.repository import Repository
from platform_assets.errors import Blocked
from platform_assets.online.feast_objects import (
    KEYS,
    SLOT,
    STATE_DIGEST,
    TIMES,
    VALUE,
    feast_objects,
    slot_view_name,
)
from platform_assets.online.online_events import feast_config
from platform_assets.online.online_state import entity_of_text, entity_text
from platform_assets.online.whole_state import WholeState
from platform_assets.parity.entity_events import EntityEvents
from platform_assets.stores import Stores
from platform_assets.vocabulary import feature_table

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

BATCH = 10_000


def stored_events(view: FeatureView, state: WholeState) -> EntityEvents:
    """The events of a state's entities, in its order.

    Raises Blocked when the store does not hold the state that the lake promises: nothing is served then.
    """
    if not state.is_promised:
        raise Blocked(
            f"online {view.name}: the store holds state {state.digests[state.promised[SLOT]] or 'none'}, and "
            f"the lake promises {state.promised[STATE_DIGEST]}; it was emptied or written by somebody "
            f"else, or is another store. Materialize online_{view.name} again"
        )
    return EntityEvents(
        state.offsets,
        state.columns[TIMES],
        state.columns.get(KEYS),
        {name: state.columns[VALUE + name] for name in state.measured},
    )


def stored_entities(state: WholeState, kind: pa.DataType) -> pa.Array:
    """A state's entities as `recent_events` names them: int64, else text."""
    import pyarrow as pa

    if pa.types.is_integer(kind):
        return pa.array(state.entities, kind)
    return pa.array([entity_text(name) for name in state.entities], kind)


def row_stamps(
    stores: Stores, repository: Repository, view: FeatureView, slot: str, entities: pa.Array
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.int64]]:
    """Which entities have a row, and as of when each claims to be, in seconds since 1970.

    A fill stamps every row with its own cut-off. Read through Feast's provider, which needs no registry, for
    the few that are looked into.
    """
    import numpy as np
    from feast.infra.provider import get_provider
    from feast.protos.feast.types.EntityKey_pb2 import EntityKey
    from feast.protos.feast.types.Value_pb2 import Value

    join_keys = repository.entity_of(view).join_keys
    config, name = feast_config(stores.home), slot_view_name(view, slot)
    provider = get_provider(config)
    views = feast_objects(repository, lambda v: stores.lake.table(feature_table(v.lake_name)).stable_folder())
    (feast_view,) = (found for found in views if found.name == name)
    there, stamps = np.zeros(len(entities), dtype=bool), np.zeros(len(entities), dtype=np.int64)
    for start in range(0, len(entities), BATCH):
        keys = [
            EntityKey(
                join_keys=join_keys,
                entity_values=[
                    Value(int64_val=part) if isinstance(part, int) else Value(string_val=part)
                    for part in _parts(name, join_keys)
                ],
            )
            for name in entities.slice(start, BATCH).to_pylist()
        ]
        found = provider.online_read(config, feast_view, keys, [TIMES])
        for place, (stamp, row) in enumerate(found, start):
            if row and TIMES in row and row[TIMES].WhichOneof("val"):  # Redis tells an empty row of nobody
                there[place] = True
                stamps[place] = int(stamp.timestamp()) if stamp is not None else 0
    return there, stamps


def _parts(name: Any, join_keys: tuple[str, ...]) -> tuple[Any, ...]:
    if isinstance(name, int):
        return (name,)
    found = entity_of_text(name, join_keys)
    return found if isinstance(found, tuple) else (found,)
