"""Requests that are rows of the lake: the newest one of each entity, and what is served to all of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from platform_assets.declaration.feature import ROW_FUNCTIONS, Feature
from platform_assets.declaration.feature_view import FeatureView
from platform_assets.declaration.source import Source
from platform_assets.features.reach import DAY
from platform_assets.online.online_state import measured, row_keys
from platform_assets.online.online_store import derive
from platform_assets.online.serving_windows import keeps_keys, measures, row_value
from platform_assets.parity.differences import Column, column_of, compare
from platform_assets.parity.entity_events import EntityEvents
from platform_assets.parity.key_alignment import aligned
from platform_assets.parity.training_values import newest_rows
from platform_assets.parity.window_values import OwnRows, window_values

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    Places = npt.NDArray[np.int64]


def newest_requests(
    source: Source, view: FeatureView, join_keys: tuple[str, ...], paths: list[str]
) -> pa.Table:
    """The newest row of each entity in these raw files, with every column that the view reads."""
    read = [*view.columns_read, *(name for m in measures(source, view) for name in m.reads)]
    wanted = [*source.primary_key, *join_keys, source.event_timestamp, *read]
    return newest_rows(source, join_keys, paths, list(dict.fromkeys(wanted)))


def own_rows(source: Source, view: FeatureView, requests: pa.Table) -> OwnRows:
    """The requests' own keys and measures, as events hold them."""
    import numpy as np

    keys = np.array(row_keys(source, requests) if keeps_keys(view) else [None] * requests.num_rows)
    if keys.dtype.kind != "i":
        keys = keys.astype(object)
    values = {m.column: measured(source, requests, m).to_numpy() for m in measures(source, view)}
    return OwnRows(keys, values)


def served_values(
    source: Source,
    view: FeatureView,
    events: EntityEvents,
    moments: Places,
    own: OwnRows,
    requests: pa.Table,
) -> dict[str, Column]:
    """Every feature of requests that are rows: windows over the store's events, the rest from the row."""
    found = window_values(source, view, events, moments, own)
    found |= {
        feature.name: _of_row(feature, moments, requests)
        for feature in view.features
        if feature.function in ROW_FUNCTIONS
    }
    made = [feature for feature in view.features if feature.is_derived]
    if made:
        plain = {name: [column.at(n) for n in range(len(column))] for name, column in found.items()}
        for feature in made:
            derive(source, view, feature, requests, plain)
        found |= {feature.name: column_of(plain[feature.name]) for feature in made}
    return found


def _of_row(feature: Feature, moments: Places, requests: pa.Table) -> Column:
    import numpy as np

    if feature.function == "value":
        assert feature.column is not None
        column = column_of(requests.column(feature.column))
        return Column(column.values.astype(np.float64), column.valid)
    day = moments - moments % DAY  # values of a moment repeat with the hour of the week
    hours = (moments - day) // 3_600_000_000
    week = [[row_value(feature, d * DAY + h * 3_600_000_000, None) for h in range(24)] for d in range(7)]
    return column_of(np.array(week)[day // DAY % 7, hours])


def witnesses_differ(
    source: Source,
    asked: pa.Table,
    served: Mapping[str, Column],
    sample: pa.Table,
    witnessed: Mapping[str, list[Any]],
) -> int:
    """How many of the witnesses were served something else than the arrays say."""
    import numpy as np

    key = list(source.primary_key)
    spot = aligned(asked.select(key), sample.select(key)).served[: sample.num_rows]
    differs = np.zeros(sample.num_rows, dtype=bool)
    for name, column in served.items():
        told = column_of(witnessed[name])
        differs |= compare(name, told, column.take(spot), tolerance=1e-9).places
    return int((differs & (spot >= 0)).sum())
