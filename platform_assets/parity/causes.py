"""Causes of differences: the first hypothesis that explains everything that is served to an entity.

A hypothesis explains an entity when the windows, finished from events with one thing wrong, give exactly
the served value of every feature at both moments, of those that differ and of those that do not. What none
explains stays `unknown cause`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from platform_assets.errors import PlatformError
from platform_assets.online.feast_objects import SLOT, UNTIL
from platform_assets.parity.differences import compare
from platform_assets.parity.entity_events import EntityEvents, entity_events
from platform_assets.parity.hypotheses import Cause, Suspects, hypotheses, missed_windows
from platform_assets.parity.key_alignment import aligned, key_hash
from platform_assets.parity.stored_events import row_stamps
from platform_assets.parity.view_measurement import Comparison, Measurement
from platform_assets.parity.window_values import OwnRows, window_values

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from platform_assets.declaration.repository import Repository
    from platform_assets.stores import Stores

    Places = npt.NDArray[np.int64]
    Mask = npt.NDArray[np.bool_]

MOST = 100_000
"""Differing entities that are diagnosed; of more the first are, and the rest is told as undiagnosed."""
SERVED, TRAINED = "served", "trained"


@dataclass(frozen=True)
class Finding:
    """Entities (places in the measurement) whose differences one cause explains."""

    cause: Cause
    side: str
    told: str
    entities: Places

    def row(self, found: Measurement) -> dict[str, Any]:
        """As one line of a table; entities by hash only."""
        import numpy as np

        mine = np.zeros(len(found.entities), dtype=bool)
        mine[self.entities] = True
        features: dict[str, int] = {}
        for comparison in found.comparisons:
            for name, difference in comparison.differences.items():
                count = int((difference.places & mine[comparison.who]).sum())
                if count:
                    features[name] = features.get(name, 0) + count
        keys = [key_hash(found.entities[place].as_py()) for place in self.entities[:3].tolist()]
        return {
            "cause": str(self.cause),
            "wrong side": self.side,
            "entities": len(self.entities),
            "values": sum(features.values()),
            "features": ", ".join(features),
            "told by": self.told,
            "key hashes": ", ".join(keys) + (" ..." if len(self.entities) > 3 else ""),
        }


def diagnose_or_tell(stores: Stores, repository: Repository, found: Measurement) -> list[Finding]:
    """As `diagnose`; when that fails, an unknown cause that tells why: what differs stays a verdict."""
    import duckdb
    import numpy as np
    import pyarrow as pa

    try:
        return diagnose(stores, repository, found)
    except (PlatformError, OSError, pa.ArrowException, duckdb.Error) as error:
        told = f"the cause could not be looked for ({error})"
        return [Finding(Cause.UNKNOWN, SERVED, told, np.flatnonzero(found.differing))]


def diagnose(stores: Stores, repository: Repository, found: Measurement) -> list[Finding]:
    """The cause of every entity's differences, those with most entities first; empty when nothing differs."""
    import numpy as np

    places = np.flatnonzero(found.differing)
    beyond, places = places[MOST:], places[:MOST]
    if not len(places):
        return []
    case, now = _suspects(stores, repository, found, places)
    parts = [_only(comparison, places) for comparison in found.comparisons]
    told: dict[tuple[Cause, str, str], list[int]] = {}
    open_ = np.ones(len(places), dtype=bool)

    def settle(cause: Cause, side: str, why: str, mask: Mask) -> None:
        mine = open_ & mask
        if mine.any():
            told.setdefault((cause, side, why), []).extend(places[mine].tolist())
            open_[mine] = False

    cause, why = _training_fault(stores, found)
    settle(cause, TRAINED, why, _explained(found, parts, now, len(places)))
    for hypothesis in hypotheses(found.source, found.view, case):
        if not open_.any():
            break
        mask = _explained(found, parts, hypothesis.events, len(places))
        if hypothesis.concerns is not None:
            mask &= hypothesis.concerns
        settle(hypothesis.cause, SERVED, hypothesis.told, mask)
    for value_cause, why, mask in _by_value(found, parts, len(places)):
        settle(value_cause, SERVED, why, mask)
    settle(*_foreign(case))
    settle(Cause.UNKNOWN, SERVED, "no hypothesis gives what is served", open_.copy())
    if len(beyond):
        told[Cause.UNKNOWN, SERVED, f"beyond the first {MOST} differing entities"] = beyond.tolist()
    findings = [Finding(*key, np.array(who, dtype=np.int64)) for key, who in told.items()]
    return sorted(findings, key=lambda finding: -len(finding.entities))


def lake_events(
    stores: Stores, found: Measurement, digests: Mapping[str, str], until: Any = None
) -> EntityEvents:
    """The lake's events of every measured entity, from these versions of the raw days."""
    import pyarrow as pa

    from platform_assets.online.online_state import recent_events
    from platform_assets.parity.recorded_days import RecordedDays
    from platform_assets.vocabulary import raw_table

    name = raw_table(found.source.name)
    table = RecordedDays(stores.lake.table(name).folder, name, digests)
    rows = recent_events(table, found.source, found.view, found.join_keys, until or found.until, digests)
    names, events = entity_events(found.source, found.view, rows)
    spot = aligned(pa.table({"k": names}), pa.table({"k": found.entities})).served[: len(found.entities)]
    return events.take(spot)


def _suspects(
    stores: Stores, repository: Repository, found: Measurement, places: Places
) -> tuple[Suspects, EntityEvents]:
    import numpy as np
    import pyarrow as pa

    every = lake_events(stores, found, found.raw)
    truth = every.take(places)
    filled = {day: str(digest) for day, digest in found.filled["raw"].items()}
    newer = {day: digest for day, digest in found.raw.items() if day > max(filled)}
    same = {day: filled.get(day, digest) for day, digest in found.raw.items()}  # newer ones as they are

    def events(digests: Mapping[str, str]) -> EntityEvents:
        return lake_events(stores, found, digests).take(places)

    changed = same != dict(found.raw)
    behind = {day: digest for day, digest in found.raw.items() if day not in newer}
    day = found.filled[UNTIL]
    other_keys, twins = _other_keys(found, places)
    suspects = found.entities.take(pa.array(places))
    there, stamps = row_stamps(stores, repository, found.view, str(found.filled[SLOT]), suspects)
    return Suspects(
        truth=truth,
        stored=found.stored.take(places),
        there=there,
        written_as_of=stamps,
        state_as_of=int(np.datetime64(day, "s").astype(np.int64)) - 1,
        moment=found.comparisons[0].moments[0].item(),
        missed=missed_windows(every, found.stored) if not newer else (),
        stuck=events(behind) if newer and behind else None,
        late=events(same) if changed else None,
        filled=events({d: same[d] for d in behind}) if newer and changed and behind else None,
        other_keys=other_keys,
        twins=twins,
    ), truth


@dataclass(frozen=True)
class _Part:
    """A comparison among the suspects only: `who` are places among them."""

    comparison: Comparison
    rows: Places
    who: Places

    @property
    def own(self) -> OwnRows | None:
        own = self.comparison.own
        if own is None:
            return None
        return OwnRows(own.keys[self.rows], {name: v[self.rows] for name, v in own.values.items()})


def _only(comparison: Comparison, places: Places) -> _Part:
    import numpy as np

    size = int(max(comparison.who.max(initial=-1), places.max(initial=-1))) + 1
    spot = np.full(size, -1, dtype=np.int64)
    spot[places] = np.arange(len(places))
    rows = np.flatnonzero(spot[comparison.who] >= 0)
    return _Part(comparison, rows, spot[comparison.who[rows]])


def _explained(found: Measurement, parts: Iterable[_Part], events: EntityEvents, entities: int) -> Mask:
    """Entities that would be served exactly what they are, had these been the store's events."""
    import numpy as np

    wrong = np.zeros(entities, dtype=bool)
    tolerance = max(found.view.parity.tolerance, 1e-12)
    for part in parts:
        moments = part.comparison.moments[part.rows]
        predicted = window_values(found.source, found.view, events.take(part.who), moments, part.own)
        for name, served in part.comparison.served.items():
            if name in predicted:
                off = compare(name, served.take(part.rows), predicted[name], tolerance=tolerance)
                wrong[part.who[off.places]] = True
    return ~wrong


def _training_fault(stores: Stores, found: Measurement) -> tuple[Cause, str]:
    """Why the lake's feature row would be the wrong side, by its manifest."""
    from platform_assets.features.compute import expected_inputs
    from platform_assets.vocabulary import feature_table

    day = found.feature_day
    manifest = stores.lake.table(feature_table(found.view.lake_name)).manifest(day)
    told = f"what is served is the present definition over the present raw days; feature day {day} "
    if manifest is None or manifest.code_version != found.view.code_version:
        return Cause.DEFINITION_VERSION, told + "was built by another version of the view"
    expected = expected_inputs(stores, found.source, found.view, day)
    if expected is None or not manifest.is_made_from(found.view.code_version, expected):
        return Cause.LATE_DATA, told + "was built before raw days in its reach changed"
    return Cause.FOREIGN_WRITE, told + "holds rows that its own inputs do not give"


def _by_value(found: Measurement, parts: Iterable[_Part], entities: int) -> Iterable[tuple[Cause, str, Mask]]:
    """Causes that show in the values themselves: all of an entity's differing ones must say so."""
    import numpy as np

    not_null, not_narrow = (np.zeros(entities, dtype=bool) for _ in range(2))
    features = {feature.name: feature for feature in found.view.features}
    for part in parts:
        for name, difference in part.comparison.differences.items():
            served = part.comparison.served[name].take(part.rows)
            trained = part.comparison.trained[name].take(part.rows)
            differs = difference.places[part.rows]
            default = features[name].empty or 0
            either = served.valid != trained.valid
            with np.errstate(invalid="ignore"):
                value = np.where(served.valid, served.values, trained.values)
                is_default = (value == default) | (value == 0)
                narrow = np.asarray(trained.values, dtype=np.float32) == np.asarray(
                    served.values, dtype=np.float32
                )
                exact = features[name].type == "int64"
            not_null[part.who[differs & ~(either & is_default)]] = True
            not_narrow[part.who[differs & ~(served.valid & trained.valid & narrow & (not exact))]] = True
    return [
        (Cause.NULL_OR_DEFAULT, "one side is null where the other has the default of an empty window",
         ~not_null),
        (Cause.FLOAT_WIDTH, "the values are equal in 32 bits", ~not_narrow),
    ]  # fmt: skip


def _foreign(case: Suspects) -> tuple[Cause, str, str, Mask]:
    """Rows that no fill of ours can have written: by their stamp, or by events that the lake never had."""
    import numpy as np

    stamped = case.there & (case.written_as_of != case.state_as_of)
    versions = [events for events in (case.truth, case.filled, case.late, case.stuck) if events is not None]
    known = np.concatenate([_identities(events) for events in versions])
    strange = ~np.isin(_identities(case.stored), known)
    holds = np.zeros(case.stored.entities, dtype=bool)
    holds[case.stored.owner[strange]] = True
    told = "the row is stamped otherwise than the fill, or holds events that the lake never had"
    return Cause.FOREIGN_WRITE, SERVED, told, stamped | holds


def _identities(events: EntityEvents) -> np.ndarray:
    """Each event as entity and time, in one number."""
    import numpy as np

    span = np.uint64(11_400_714_819_323_198_485)  # an odd multiplier spreads entities over 64 bits
    with np.errstate(over="ignore"):
        return events.owner.astype(np.uint64) * span + events.times.astype(np.uint64)


def _other_keys(found: Measurement, places: Places) -> tuple[Mask, Places]:
    """Suspects that the store knows by a key that only looks like theirs, and of such keys whose they are."""
    import numpy as np

    mask, twins = np.zeros(len(places), dtype=bool), np.full(len(places), -1, dtype=np.int64)
    if not found.foreign:
        return mask, twins
    strangers = {name for name in found.foreign if not isinstance(name, bytes)}
    raw = [name for name in found.foreign if isinstance(name, bytes)]
    names = [found.entities[place].as_py() for place in places.tolist()]
    own = {_normal(name): n for n, name in enumerate(names) if name not in strangers}
    looks_like = {_normal(name) for name in strangers}
    for n, name in enumerate(names):
        if name in strangers:
            twins[n] = own.get(_normal(name), -1)
        else:
            mask[n] = _normal(name) in looks_like or any(_is_in(name, key) for key in raw)
    return mask, twins


def _is_in(name: Any, key: bytes) -> bool:
    """Whether a serialized key of another type or encoding holds this entity's key."""
    as_number = name.to_bytes(8, "little", signed=True) if isinstance(name, int) else None
    return str(name).encode() in key or (as_number is not None and as_number in key)


def _normal(name: Any) -> str:
    """A key without case, blanks, leading zeros and the point of a whole float."""
    text = str(name).strip().casefold()
    try:
        number = float(text)
        return str(int(number)) if number.is_integer() else text
    except (ValueError, OverflowError):
        return text
