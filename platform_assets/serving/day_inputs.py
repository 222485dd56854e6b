"""What a model reads of one day: raw columns and features, joined row by row."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from platform_assets.declaration.feature_view import FeatureView
from platform_assets.declaration.source import Source
from platform_assets.errors import Blocked
from platform_assets.lake.lake import Inputs
from platform_assets.lake.manifest import Manifest
from platform_assets.stores import Stores
from platform_assets.vocabulary import feature_table, raw_table

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class DayInputs:
    """The exact versions one day is read from, whatever is written meanwhile."""

    day: str
    raw: Manifest
    features: Mapping[str, Manifest]

    @property
    def digests(self) -> Inputs:
        """Lake table -> day -> digest."""
        return {made.table: {self.day: made.digest} for made in (self.raw, *self.features.values())}

    def read(
        self, stores: Stores, source: Source, views: Sequence[FeatureView], columns: Iterable[str]
    ) -> pa.Table:
        """One row a raw row, in primary key order: the primary key, then `columns`, each once.

        Raises Blocked when a feature partition does not hold exactly the raw partition's rows.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        wanted = [*dict.fromkeys((*source.primary_key, *columns))]
        from_view = {name: view.name for view in views for name in view.feature_names}
        path = stores.lake.table(self.raw.table).path(self.raw)
        rows = pq.read_table(path, columns=[n for n in wanted if n not in from_view], partitioning=None)
        key = list(source.primary_key)
        found: dict[str, pa.ChunkedArray] = {name: rows.column(name) for name in rows.column_names}
        for name in dict.fromkeys(from_view[column] for column in wanted if column in from_view):
            manifest = self.features[name]
            features = pq.read_table(
                stores.lake.table(manifest.table).path(manifest),
                columns=[*key, *(column for column in wanted if from_view.get(column) == name)],
                partitioning=None,
            )
            # both sides are stored sorted by this key, so a join is a comparison
            if not features.select(key).equals(rows.select(key)):
                raise Blocked(
                    f"{manifest.table} of {self.day} holds {features.num_rows} rows that are not the "
                    f"{rows.num_rows} rows of {self.raw.table}; build {name} for {self.day} again"
                )
            found |= {
                column: features.column(column) for column in features.column_names if column not in key
            }
        return pa.table({name: found[name] for name in wanted})


def day_inputs(
    stores: Stores, source: Source, views: Sequence[FeatureView], days: Iterable[str]
) -> dict[str, DayInputs]:
    """The current versions of each day, all of them fresh.

    A feature partition is stale when another declaration of its view made it, or when a raw day
    that reaches it has changed since. Raises Blocked naming every view and day that is missing or
    stale, and the fix.
    """
    from platform_assets.features.compute import inputs_from
    from platform_assets.features.reach import raw_days

    days = list(days)
    raw_manifests = stores.lake.table(raw_table(source.name)).current(
        set(days).union(*(raw_days(days, view, start=source.start) for view in views))
    )
    raw_digests = {day: manifest.digest for day, manifest in raw_manifests.items()}
    found: dict[str, DayInputs] = {}
    problems: list[str] = []
    for day in days:
        raw = raw_manifests.get(day)
        if raw is None:
            problems.append(f"{raw_table(source.name)} {day} is missing: take the day in first")
            continue
        features: dict[str, Manifest] = {}
        for view in views:
            manifest = stores.lake.table(feature_table(view.lake_name)).manifest(day)
            if manifest is None:
                problems.append(f"feature view {view.name} {day} is missing: build it first")
            elif manifest.code_version != view.code_version:
                problems.append(
                    f"feature view {view.name} {day} is stale (made by {manifest.code_version}, declared is "
                    f"{view.code_version}): build it again"
                )
            else:
                expected = inputs_from(raw_digests, source, view, day)
                if expected is None or not manifest.is_made_from(view.code_version, expected):
                    problems.append(
                        f"feature view {view.name} {day} is stale (raw days that reach it have changed or "
                        f"are missing): build it again"
                    )
                else:
                    features[view.name] = manifest
        found[day] = DayInputs(day, raw, features)
    if problems:
        more = f"; and {len(problems) - 5} more" if len(problems) > 5 else ""
        raise Blocked("; ".join(problems[:5]) + more)
    return found
