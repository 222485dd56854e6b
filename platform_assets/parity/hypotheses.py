"""What would have been served if one thing had gone wrong: the lake's events with that one thing wrong.

Each hypothesis alters the events of the differing entities. Whether it explains an entity is not decided
here: the windows are finished again from the altered events and must give exactly what was served.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from platform_assets.declaration.duration import format_duration, microseconds
from platform_assets.declaration.feature_view import FeatureView
from platform_assets.declaration.source import Source
from platform_assets.online.serving_windows import MISSING, measures
from platform_assets.parity.entity_events import EntityEvents

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Places = npt.NDArray[np.int64]
    Mask = npt.NDArray[np.bool_]

HOUR = 3_600_000_000
QUARTER = HOUR // 4


class Cause(StrEnum):
    """Why a value is served otherwise than it is trained on."""

    LATE_DATA = "late data"
    MISSED_WINDOW = "missed window"
    TTL = "TTL"
    TIME_ZONE = "time zone"
    FLOAT_WIDTH = "float width"
    NULL_OR_DEFAULT = "null or default"
    TIE = "tie"
    KEY_ENCODING = "key encoding"
    DEFINITION_VERSION = "definition version"
    STUCK_MATERIALIZATION = "stuck materialization"
    FOREIGN_WRITE = "foreign write"
    UNKNOWN = "unknown cause"


@dataclass(frozen=True)
class Hypothesis:
    """One thing gone wrong: the events as they would then be, and whom it could concern (None: everybody)."""

    cause: Cause
    told: str
    events: EntityEvents
    concerns: Mask | None = None


@dataclass(frozen=True)
class Suspects:
    """The differing entities: their events in the lake, as it is and as it was filled, and in the store.

    `written_as_of` and `state_as_of` are seconds since 1970: what each row and the whole state claim to be
    as of. `missed` are windows of time (first, last microsecond) in which the store holds nothing of
    anybody although the lake does. `other_keys` have a row under a key that only looks like theirs; `twins`
    are for entities that only the store has: the suspect whose key theirs looks like, or -1.
    """

    truth: EntityEvents
    stored: EntityEvents
    there: Mask
    written_as_of: Places
    state_as_of: int
    moment: int
    missed: tuple[tuple[int, int], ...]
    stuck: EntityEvents | None
    late: EntityEvents | None
    filled: EntityEvents | None
    other_keys: Mask
    twins: Places


def hypotheses(source: Source, view: FeatureView, case: Suspects) -> Iterator[Hypothesis]:
    """Every way that is known to go wrong, the most telling first."""
    yield from _behind(case)
    yield from _missed(case)
    yield from _key_encoding(case)
    yield _ttl(view, case)
    yield from _time_zone(case)
    yield from _tie(case)
    yield from _null_or_default(source, view, case)
    yield from _float_width(source, view, case)


def _behind(case: Suspects) -> Iterator[Hypothesis]:
    if case.stuck is not None:
        told = "the store ends before the lake's newest raw day; it was not filled since"
        yield Hypothesis(Cause.STUCK_MATERIALIZATION, told, case.stuck)
    if case.late is not None:
        told = "raw days changed after the store was filled from them"
        yield Hypothesis(Cause.LATE_DATA, told, case.late)
    if case.stuck is not None and case.filled is not None:
        told = "the store was not filled since; raw days are new, and others changed"
        yield Hypothesis(Cause.STUCK_MATERIALIZATION, told, case.filled)
    old = case.there & (case.written_as_of < case.state_as_of)
    if old.any():
        import numpy as np

        known = (np.repeat(case.written_as_of, case.truth.counts) + 1) * 1_000_000
        told = "the entity's row is one that an earlier fill wrote; later ones did not replace it"
        yield Hypothesis(
            Cause.STUCK_MATERIALIZATION, told, case.truth.where(case.truth.times < known), concerns=old
        )


def _missed(case: Suspects) -> Iterator[Hypothesis]:
    import numpy as np

    if not case.missed:
        return
    kept = np.ones(len(case.truth.times), dtype=bool)
    for first, last in case.missed:
        kept &= (case.truth.times < first) | (case.truth.times > last)
    spans = ", ".join(f"{_iso(first)} ... {_iso(last)}" for first, last in case.missed[:3])
    told = f"the store holds nothing of anybody in {spans}" + (" ..." if len(case.missed) > 3 else "")
    yield Hypothesis(Cause.MISSED_WINDOW, told, case.truth.where(kept))


def _key_encoding(case: Suspects) -> Iterator[Hypothesis]:
    import numpy as np

    told = "the entity is in the store under another spelling or type of its key"
    if case.other_keys.any():
        nothing = case.truth.where(np.zeros(len(case.truth.times), dtype=bool))
        yield Hypothesis(Cause.KEY_ENCODING, told, nothing, concerns=case.other_keys & ~_any(case.stored))
    if (case.twins >= 0).any():
        yield Hypothesis(Cause.KEY_ENCODING, told, case.truth.take(case.twins), concerns=case.twins >= 0)


def _ttl(view: FeatureView, case: Suspects) -> Hypothesis:
    kept = case.truth.times >= case.moment - microseconds(view.ttl)
    told = f"events older than the view's TTL of {format_duration(view.ttl)} are gone"
    return Hypothesis(Cause.TTL, told, case.truth.where(kept))


def _time_zone(case: Suspects) -> Iterator[Hypothesis]:
    """The offset between stored and true times of entities with as many events on both sides."""
    import numpy as np

    same = (case.truth.counts == case.stored.counts) & _any(case.stored)
    firsts = np.zeros(case.truth.entities, dtype=np.int64)
    firsts[same] = case.stored.times[case.stored.starts[:-1][same]]
    firsts[same] -= case.truth.times[case.truth.starts[:-1][same]]
    offsets, counts = np.unique(firsts[same], return_counts=True)
    for offset in offsets[np.argsort(-counts)][:3].tolist():
        if offset and offset % QUARTER == 0 and abs(offset) <= 14 * HOUR:
            told = (
                f"times are {abs(offset) / HOUR:g} hours {'late' if offset > 0 else 'early'}: local, not UTC"
            )
            yield Hypothesis(Cause.TIME_ZONE, told, case.truth.moved(offset))


def _tie(case: Suspects) -> Iterator[Hypothesis]:
    import numpy as np

    times, owner = case.truth.times, case.truth.owner
    if len(times) < 2:
        return
    again = (times[1:] == times[:-1]) & (owner[1:] == owner[:-1])
    if not again.any():
        return
    for which, kept in (
        ("first", np.concatenate([[True], ~again])),
        ("last", np.concatenate([~again, [True]])),
    ):
        told = f"of events at the same moment only the {which} is there"
        yield Hypothesis(Cause.TIE, told, case.truth.where(kept))


def _null_or_default(source: Source, view: FeatureView, case: Suspects) -> Iterator[Hypothesis]:
    import numpy as np

    for measure in measures(source, view):
        if not measure.nullable or measure.is_text:
            continue
        values = case.truth.values[measure.column]
        missing: int | float = MISSING if measure.exact else float("nan")
        absent = values == MISSING if measure.exact else np.isnan(values)
        variants = {
            f"a missing {measure.column} was kept as 0": np.where(absent, 0, values),
            f"a {measure.column} of 0 was kept as missing": np.where(values == 0, missing, values),
        }
        for told, changed in variants.items():
            altered = {**case.truth.values, measure.column: changed.astype(values.dtype)}
            yield Hypothesis(Cause.NULL_OR_DEFAULT, told, replace(case.truth, values=altered))
        told = f"events with a missing {measure.column} are gone"
        yield Hypothesis(Cause.NULL_OR_DEFAULT, told, case.truth.where(~absent))


def _float_width(source: Source, view: FeatureView, case: Suspects) -> Iterator[Hypothesis]:
    import numpy as np

    floats = [m.column for m in measures(source, view) if m.kind == "float64"]
    if floats:
        narrow = {n: case.truth.values[n].astype(np.float32).astype(np.float64) for n in floats}
        told = f"{', '.join(floats)} was kept in 32 bits"
        altered = {**case.truth.values, **narrow}
        yield Hypothesis(Cause.FLOAT_WIDTH, told, replace(case.truth, values=altered))


def missed_windows(truth: EntityEvents, stored: EntityEvents) -> tuple[tuple[int, int], ...]:
    """Unbroken hours in which the lake holds events and the store none, of all entities together."""
    import numpy as np

    ours, theirs = np.unique(truth.times // HOUR), np.unique(stored.times // HOUR)
    gone = np.flatnonzero(~np.isin(ours, theirs))
    if not len(gone):
        return ()
    breaks = np.flatnonzero(np.diff(gone) > 1)
    firsts, lasts = np.append(0, breaks + 1), np.append(breaks, len(gone) - 1)
    return tuple(
        (int(ours[gone[a]]) * HOUR, (int(ours[gone[b]]) + 1) * HOUR - 1)
        for a, b in zip(firsts, lasts, strict=True)
    )


def _any(events: EntityEvents) -> Mask:
    found: Mask = events.counts > 0
    return found


def _iso(moment: int) -> str:
    from datetime import datetime, timedelta

    found = datetime(1970, 1, 1) + timedelta(microseconds=moment)  # noqa: DTZ001 - all is UTC
    return found.isoformat(timespec="minutes")
