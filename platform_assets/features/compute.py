"""Feature days: computed in chunks that fit in memory, written as one partition a day."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from platform_assets.declaration.feature_view import AnyEntity, FeatureView
from platform_assets.declaration.source import Source
from platform_assets.errors import Blocked
from platform_assets.features.day_chunks import day_chunks
from platform_assets.features.engine import duckdb_engine, parquet_files
from platform_assets.features.engine_choice import feature_rows
from platform_assets.features.memory_budget import memory_budget
from platform_assets.features.reach import DAY, ranges, raw_days
from platform_assets.lake.lake import Inputs
from platform_assets.lake.manifest import Manifest
from platform_assets.vocabulary import feature_table, raw_table

if TYPE_CHECKING:
    import pyarrow as pa

    from platform_assets.stores import Stores


def compute_features(
    source: Source,
    entity: AnyEntity,
    view: FeatureView,
    raw_paths: Sequence[str],
    days: Iterable[str],
    *,
    spill: bool = False,
) -> pa.Table:
    """Feature rows of any set of days, in one query and no promised order.

    `raw_paths` are Parquet files with the raw rows that reach those days. Columns: primary key,
    join key, event timestamp, `_available_at` of the row itself, features as declared. It reads
    *as known now*: see `view_sql`. Which engine computes them: see `engine_choice`; with `spill` it is one
    that needs no more memory than DuckDB is given, whatever the days look back at.
    """
    with duckdb_engine() as engine:
        return feature_rows(engine, source, entity, view, parquet_files(raw_paths), set(days), spill=spill)


def inputs_from(digests: Mapping[str, str], source: Source, view: FeatureView, day: str) -> Inputs | None:
    """What a feature day is made of, given the raw digests by day; None when a raw day is missing.

    For callers that ask about many days and read the raw manifests once.
    """
    reaching = raw_days([day], view, start=source.start)
    if not reaching <= digests.keys():
        return None
    return {raw_table(source.name): {name: digests[name] for name in sorted(reaching)}}


def expected_inputs(stores: Stores, source: Source, view: FeatureView, day: str) -> Inputs | None:
    """What a feature day would be made of now: raw table -> every raw day in reach -> digest.

    Days before the source's start do not count. None when a raw day in reach is missing.
    """
    reaching = raw_days([day], view, start=source.start)
    return inputs_from(stores.lake.table(raw_table(source.name)).digests(reaching), source, view, day)


def build_feature_days(
    stores: Stores,
    source: Source,
    entity: AnyEntity,
    view: FeatureView,
    days: Sequence[str],
    *,
    untrusted: Mapping[str, str],
    cause: str,
    run_id: str = "",
    memory: int | None = None,
    anew: Collection[str] = (),
) -> list[Manifest]:
    """Bring feature days up to date and return their manifests in the order of `days`.

    A day already made from the same raw versions by the same view is left alone, unless it is among those
    to be made `anew`: somebody changed what its manifest vouches for. `untrusted` names
    raw days that must not be built on, with the reason. Raises Blocked, before anything is written,
    when a raw day in reach of any of the days is missing or untrusted. Days are computed chunk by chunk
    that take `memory` bytes (by default `memory_budget`); each is in place as soon as it is written.
    """
    raw, features = (
        stores.lake.table(raw_table(source.name)),
        stores.lake.table(feature_table(view.lake_name)),
    )
    reaching = raw_days(days, view, start=source.start)
    manifests = raw.current(reaching)
    _refuse_blocked(source, view, days, reaching - manifests.keys(), untrusted)
    digests = {day: manifest.digest for day, manifest in manifests.items()}
    wanted: dict[str, Inputs] = {}
    for day in days:
        inputs = inputs_from(digests, source, view, day)
        assert inputs is not None, "missing raw days were refused above"
        wanted[day] = inputs
    done: dict[str, Manifest] = {}
    for day, manifest in features.current(wanted).items():
        if (
            day not in anew
            and manifest.is_made_from(view.code_version, wanted[day])
            and (features.folder / manifest.file).exists()
        ):
            done[day] = manifest
    stale = sorted(wanted.keys() - done.keys())
    sizes = {day: manifest.rows for day, manifest in manifests.items()}
    memory = memory or memory_budget()
    for chunk in day_chunks(stale, view, sizes, start=source.start, memory=memory):
        paths = [str(raw.path(manifests[day])) for day in sorted(chunk.reaching)]
        rows = compute_features(source, entity, view, paths, chunk.days, spill=chunk.bytes > memory)
        parts = daily(rows, source.event_timestamp, chunk.days)
        del rows  # `parts` holds what is left of them; the next chunk is read when they are gone
        for day, part in parts:
            done[day] = features.write(
                day,
                part,
                key=source.primary_key,
                code_version=view.code_version,
                inputs=wanted[day],
                cause=cause,
                run_id=run_id,
                anew=day in anew,
            )
        del part, parts
    return [done[day] for day in days]


def daily(rows: pa.Table, event_timestamp: str, days: Sequence[str]) -> Iterator[tuple[str, pa.Table]]:
    """Each of the days with its rows; a day without rows comes with an empty table."""
    import numpy as np
    import pyarrow as pa

    moments = rows.column(event_timestamp).cast(pa.timestamp("us")).cast(pa.int64()).to_numpy()
    numbers = moments // DAY
    first = int(numbers.min()) if len(numbers) else 0
    small = (numbers - first).astype(np.uint16)
    del moments, numbers
    if (small[1:] < small[:-1]).any():
        rows = rows.take(pa.array(np.argsort(small, kind="stable")))  # of 16 bits: a radix sort
    wanted = np.array(days, dtype="datetime64[D]").astype(np.int64) - first
    counts = np.bincount(small, minlength=1)
    ends = np.concatenate([[0], np.cumsum(counts)])
    for day, number in zip(days, wanted, strict=True):
        inside = 0 <= number < len(counts)
        begin, end = (ends[number], ends[number + 1]) if inside else (0, 0)
        yield day, rows.slice(begin, end - begin)


def _refuse_blocked(
    source: Source, view: FeatureView, days: Sequence[str], missing: set[str], untrusted: Mapping[str, str]
) -> None:
    """Raise Blocked naming every raw day in the way, the feature days it blocks and the fix."""
    reasons = dict.fromkeys(missing, "missing: no raw partition") | dict(untrusted)
    blocked: dict[str, set[str]] = {}
    for day in days:
        for raw_day in raw_days([day], view, start=source.start) & reasons.keys():
            blocked.setdefault(raw_day, set()).add(day)
    if not blocked:
        return
    lines = [
        f"  raw day {raw_day}: {reasons[raw_day]}; blocks feature days {_told(blocked[raw_day])}"
        for raw_day in sorted(blocked)[:10]
    ]
    if len(blocked) > 10:
        lines.append(f"  and {len(blocked) - 10} more raw days: {_told(sorted(blocked)[10:])}")
    raise Blocked(
        f"feature view {view.name!r}: nothing was built, because {len(blocked)} raw days of source "
        f"{source.name!r} that reach the {len(days)} days asked for are missing or not trusted\n"
        + "\n".join(lines)
        + f"\nFix: load or repair these days of {source.name}, evaluate their contract again, or have an "
        "owner of the source record a waiver with a reason"
    )


def _told(days: Iterable[str]) -> str:
    return ", ".join(first if first == last else f"{first}...{last}" for first, last in ranges(days))
