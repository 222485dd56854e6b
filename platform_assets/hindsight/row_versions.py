"""Raw rows as they came to be known: what the lake's manifests keep of every version of a raw day."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from platform_assets.declaration.source import Source
from platform_assets.errors import LakeError
from platform_assets.features.engine import duckdb_engine, parquet_files
from platform_assets.lake.lake import Table
from platform_assets.lake.manifest import Manifest
from platform_assets.stores import Stores
from platform_assets.vocabulary import AVAILABLE_AT, raw_table

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

REPLACED_AT = "_replaced_at"


@dataclass(frozen=True)
class RowVersions:
    """Every version of the rows of some raw days, each with the time in which it was the known one.

    `files` by day are the versions that count now; `earlier` holds the rows that were changed or
    removed since, with the source's columns, `_available_at` and `_replaced_at` (UTC, microseconds).
    `assumed_days` were first loaded long after they had ended by a source that does not say when
    its rows became known: what happened to them before that load is in no record.
    """

    source: Source
    files: Mapping[str, str]
    earlier: pa.Table
    assumed_days: tuple[str, ...]

    def relation(self, days: Sequence[str] | None = None) -> str:
        """All versions of the days' rows, as something that may follow FROM.

        Needs `earlier` registered as `earlier_rows` on the connection that runs it.
        """
        names = ", ".join(quoted(name) for name in (*self.source.column_names, AVAILABLE_AT))
        wanted = sorted(self.files) if days is None else list(days)
        present = parquet_files([self.files[day] for day in wanted])
        moment = quoted(self.source.event_timestamp)
        earlier = f"SELECT {names}, {REPLACED_AT} FROM earlier_rows"
        if days is not None:
            listed = ", ".join(f"'{day}'" for day in wanted)
            earlier += f" WHERE strftime({moment}, '%Y-%m-%d') IN ({listed})"
        return (
            f"(SELECT {names}, CAST(NULL AS TIMESTAMP) AS {REPLACED_AT} FROM {present} UNION ALL {earlier})"
        )

    def hindsight(self, engine: duckdb.DuckDBPyConnection) -> int:
        """Make `hindsight_rows` on the connection: versions that are seen now and were not seen at
        once, or the other way round; returns how many there are."""
        engine.register("earlier_rows", self.earlier)
        moment = quoted(self.source.event_timestamp)
        engine.execute(
            f"CREATE OR REPLACE TEMP TABLE hindsight_rows AS SELECT * FROM {self.relation()} "
            f"WHERE {REPLACED_AT} IS NOT NULL OR {AVAILABLE_AT} > {moment}"
        )
        return int(engine.execute("SELECT count(*) FROM hindsight_rows").fetchall()[0][0])


def row_versions(
    stores: Stores, source: Source, raw: Mapping[str, str], *, loaded_within: timedelta
) -> RowVersions:
    """The versions of raw days up to those that `raw` names: day -> digest.

    A day counts as loaded in time when its first version was written within `loaded_within` after
    its end. Raises LakeError when a superseded version is needed and its rows are gone.
    """
    import pyarrow as pa

    table = stores.lake.table(raw_table(source.name))
    files: dict[str, str] = {}
    replaced: list[pa.Table] = []
    assumed: list[str] = []
    for day, digest in sorted(raw.items()):
        present = table.version(day, digest)
        files[day] = str(table.path(present))
        history = [m for m in table.history(day) if m.sequence <= present.sequence]
        if source.available_at is None and _loaded_late(history[0], day, loaded_within):
            assumed.append(day)
        for older, newer in itertools.pairwise(history):
            if older.digest != newer.digest and _replaces(newer):
                replaced.append(_replaced_rows(table, source, older, newer))
    earlier = pa.concat_tables(replaced) if replaced else _no_rows(table, source, raw)
    return RowVersions(source, files, earlier, tuple(assumed))


def quoted(name: str) -> str:
    """A column's name in SQL."""
    return '"' + name.replace('"', '""') + '"'


def _loaded_late(first: Manifest, day: str, loaded_within: timedelta) -> bool:
    ended = datetime.fromisoformat(f"{day}T00:00:00+00:00") + timedelta(days=1)
    return datetime.fromisoformat(first.created_at) > ended + loaded_within


def _replaces(newer: Manifest) -> bool:
    """Whether a version changed or removed rows of the one before; one that does not say so may have."""
    notes = newer.notes
    return not ("changed_rows" in notes and "removed_rows" in notes) or bool(
        notes["changed_rows"] or notes["removed_rows"]
    )


def _replaced_rows(table: Table, source: Source, older: Manifest, newer: Manifest) -> pa.Table:
    """Rows of a version that the next one changed or removed, with the time at which it did."""
    names = [*source.column_names, AVAILABLE_AT]
    before, after = _file(table, older, newer), _file(table, newer, newer)
    absent = [name for name in names if name not in dict(older.schema)]
    same = " AND ".join(f"older.{quoted(k)} = newer.{quoted(k)}" for k in source.primary_key)
    columns = ", ".join(f"older.{quoted(name)}" for name in names if name not in absent)
    first = quoted(source.primary_key[0])
    known = f"newer.{AVAILABLE_AT}"
    removed = f"TIMESTAMP '{newer.created_at.removesuffix('Z')}'"
    with duckdb_engine() as engine:
        found = engine.sql(
            f"SELECT {columns}, CASE WHEN newer.{first} IS NULL THEN {removed} ELSE {known} END "
            f"AS {REPLACED_AT} FROM {parquet_files([before])} AS older "
            f"LEFT JOIN {parquet_files([after])} AS newer ON {same} "
            f"WHERE newer.{first} IS NULL OR {known} IS DISTINCT FROM older.{AVAILABLE_AT}"
        ).to_arrow_table()
    if absent and found.num_rows:
        raise LakeError(
            f"table {table.name}: {found.num_rows} rows of {older.partition} were replaced at "
            f"{newer.created_at}, and their version of {older.created_at} has no column "
            f"{', '.join(absent)}, which was declared since: what they would have held is not known"
        )
    return found if not absent else _no_rows(table, source, {newer.partition: newer.digest})


def _file(table: Table, manifest: Manifest, newer: Manifest) -> str:
    path = table.folder / manifest.file
    if not path.exists():
        raise LakeError(
            f"table {table.name}: the rows of {manifest.partition} as they were from {manifest.created_at} "
            f"on were collected as garbage, and later versions changed or removed some of them (as of "
            f"{newer.created_at}); what was known then cannot be told any more"
        )
    return str(path)


def _no_rows(table: Table, source: Source, raw: Mapping[str, str]) -> pa.Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    day, digest = next(iter(raw.items()))
    schema = pq.read_schema(table.path(table.version(day, digest)))
    fields = [schema.field(name) for name in (*source.column_names, AVAILABLE_AT)]
    return pa.schema([*fields, pa.field(REPLACED_AT, pa.timestamp("us"))]).empty_table()
