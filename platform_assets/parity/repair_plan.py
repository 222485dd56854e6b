"""The smallest repair of what parity found, as a plan.

A view's online state is switched as a whole, so that no reader sees two states mixed: whatever is wrong in
it, the smallest write is one fill of that view. The plan tells which entities and which days of it change.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from platform_assets.declaration.feature_view import FeatureView
from platform_assets.declaration.repository import Repository
from platform_assets.features.compute import inputs_from
from platform_assets.features.reach import DAY, ranges
from platform_assets.parity.hypotheses import Cause
from platform_assets.parity.key_alignment import key_hash
from platform_assets.vocabulary import feature_table, raw_table

if TYPE_CHECKING:
    from platform_assets.parity.causes import Finding
    from platform_assets.parity.view_measurement import Measurement
    from platform_assets.stores import Stores

BUILD, FILL = "build feature days", "fill the online store"

# causes that come back with the next fill as long as nobody removes what made them
COME_BACK = {
    Cause.TTL: "the store must not expire rows before the windows' retention ends",
    Cause.TIME_ZONE: "run every writer with TZ=UTC",
    Cause.FLOAT_WIDTH: "write the store with this library, which keeps 64 bits",
    Cause.NULL_OR_DEFAULT: "write the store with this library, which keeps nulls",
    Cause.TIE: "the store must not drop writes with an equal timestamp (Redis: skip_dedup)",
    Cause.KEY_ENCODING: "write keys in the declared type of the join key",
    Cause.FOREIGN_WRITE: "find out who writes to this store",
    Cause.UNKNOWN: "if it comes back after the fill, the writer or the serving code is at fault",
}


@dataclass(frozen=True)
class Step:
    """One thing to do: to a view, for so many entities, over these days."""

    action: str
    view: str
    entities: int
    key_hashes: tuple[str, ...]
    days: tuple[str, ...]
    because: str
    so_that: str
    command: str

    def row(self) -> dict[str, Any]:
        """As one line of a table."""
        spans = [first if first == last else f"{first} ... {last}" for first, last in ranges(self.days)]
        more = " ..." if self.entities > len(self.key_hashes) else ""
        return {
            "do": self.action,
            "view": self.view,
            "entities": self.entities,
            "key hashes": ", ".join(self.key_hashes) + more,
            "days": ", ".join(spans),
            "because": self.because,
            "so that it stays": self.so_that,
            "command": self.command,
        }


def repair_plan(
    stores: Stores, repository: Repository, found: Measurement, causes: Sequence[Finding]
) -> list[Step]:
    """What puts right everything that was found, in order; empty when nothing is wrong."""
    steps = []
    stale = stale_feature_days(stores, repository, found.view)
    wrong = [cause for cause in causes if cause.side == "trained"]
    days = sorted({*stale, *([found.feature_day] if wrong else [])})
    if days:
        told = "; ".join(dict.fromkeys(c.told for c in wrong)) or "their raw days or their view changed since"
        steps.append(_step(BUILD, found, wrong, days, told))
    served = [cause for cause in causes if cause.side == "served"]
    if served or any("online" in told for told in found.reservations) or found.foreign:
        changed = sorted(set(_changed_days(stores, found, served)))
        told = "; ".join(dict.fromkeys(f"{c.cause}: {c.told}" for c in served))
        told = (
            told or "; ".join(found.reservations) or f"{len(found.foreign)} keys that the lake does not know"
        )
        steps.append(_step(FILL, found, served, changed, told))
    return steps


def stale_feature_days(stores: Stores, repository: Repository, view: FeatureView) -> list[str]:
    """Feature days that are there and not made from the present raw days by the present view."""
    source = repository.source(view.source)
    digests = stores.lake.table(raw_table(source.name)).digests()
    stale = []
    for day, manifest in stores.lake.table(feature_table(view.lake_name)).current().items():
        expected = inputs_from(digests, source, view, day)
        if expected is not None and not manifest.is_made_from(view.code_version, expected):
            stale.append(day)
    return stale


def _step(action: str, found: Measurement, causes: Sequence[Finding], days: list[str], told: str) -> Step:
    places = [place for cause in causes for place in cause.entities.tolist()]
    return Step(
        action=action,
        view=found.view.name,
        entities=len(set(places)),
        key_hashes=tuple(key_hash(found.entities[place].as_py()) for place in places[:3]),
        days=tuple(days),
        because=told,
        so_that="; ".join(dict.fromkeys(COME_BACK[c.cause] for c in causes if c.cause in COME_BACK)),
        command=f"platform-assets parity --view {found.view.name} --repair",
    )


def _changed_days(stores: Stores, found: Measurement, causes: Sequence[Finding]) -> list[str]:
    """Days of the events that these entities have on one side only, or otherwise than in the lake."""
    import numpy as np

    from platform_assets.parity.causes import lake_events

    places = np.unique(np.concatenate([cause.entities for cause in causes])) if causes else np.empty(0, int)
    if not len(places):
        return sorted(set(found.raw) ^ set(found.filled["raw"]))
    truth = lake_events(stores, found, found.raw).take(places)
    stored = found.stored.take(places)
    ours, theirs = (np.column_stack([side.owner, side.times]) for side in (truth, stored))
    both, inverse = np.unique(np.concatenate([ours, theirs]), axis=0, return_inverse=True)
    here = np.bincount(inverse.ravel()[: len(ours)], minlength=len(both))
    there = np.bincount(inverse.ravel()[len(ours) :], minlength=len(both))
    moments = both[here != there][:, 1] if (here != there).any() else truth.times
    return [str(day) for day in np.unique(moments // DAY).astype("datetime64[D]")]
