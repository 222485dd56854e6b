"""Why stored values differ from what training takes: the first cause that fits, most certain first."""

from __future__ import annotations

from collections.abc import Mapping

from platform_assets.feast_project.compared_view import ComparedView
from platform_assets.feast_project.online_state import is_newer
from platform_assets.parity.differences import Differences


def causes(compared: ComparedView, found: Mapping[str, Differences]) -> dict[str, int]:
    """How many differing values each cause explains; the first that fits, most certain first."""
    counted: dict[str, int] = {}
    for name, difference in found.items():
        for place in difference.places.nonzero()[0].tolist():
            cause = _cause(compared, difference, name, place)
            counted[cause] = counted.get(cause, 0) + 1
    return dict(sorted(counted.items(), key=lambda item: -item[1]))


def _cause(compared: ComparedView, difference: Differences, name: str, place: int) -> str:
    import numpy as np

    stored, offline = compared.stored.times[place], compared.offline_times[place]
    if stored is None:
        return "missed write: nothing is stored"
    if compared.expired[place] and difference.surplus[place]:
        return "TTL: served although older than the view's ttl"
    if offline is None:
        return "foreign write: the source does not know the entity"
    if is_newer(stored, offline):
        return "foreign write: stored row is newer than the source's"
    if difference.outdated[place]:
        return "stale: stored row is older than the source's"
    trained, served = compared.trained[name].at(place), compared.served[name].at(place)
    floats = isinstance(trained, float) and isinstance(served, float)
    if floats and float(np.float32(trained)) == served:
        return "float width: Float32 rounds what training reads as double"
    if difference.absent[place] or difference.surplus[place]:
        return "null or default: same row, a value on one side only"
    return "foreign write: same row, another value"
