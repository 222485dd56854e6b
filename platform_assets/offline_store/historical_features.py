"""What a request for historical features means: which columns of which files, joined how."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from platform_assets.declaration.duration import microseconds
from platform_assets.errors import DeclarationError, SourceError
from platform_assets.features.as_of_join import found_features
from platform_assets.features.as_of_sql import AsOfTable, quoted
from platform_assets.features.engine import duckdb_engine
from platform_assets.features.moments import between, since_1970
from platform_assets.offline_store.entity_rows import EVENT_TIMESTAMP, EntityRows, entity_rows, refuse_taken
from platform_assets.offline_store.source_files import SourceFiles, open_source

if TYPE_CHECKING:
    import pyarrow as pa

# Feast's stand-in for the key of views without entities
DUMMY_KEY = "__dummy_id"


@dataclass(frozen=True)
class RequestedView:
    """One feature view of a request.

    `keys` pair a column of the entity frame with the view's own name of it, `features` a feature with its
    name in the result. `mapping` gives the column of the files for a name that differs from it.
    """

    name: str
    source: Any
    keys: tuple[tuple[str, str], ...]
    features: tuple[tuple[str, str], ...]
    ttl: timedelta | None
    mapping: Mapping[str, str]


@dataclass(frozen=True)
class HistoricalFeatures:
    """A checked request; `open` joins."""

    rows: EntityRows
    views: tuple[tuple[RequestedView, SourceFiles], ...]
    as_known_then: bool
    memory_limit: str

    @contextlib.contextmanager
    def open(self) -> Iterator[pa.RecordBatchReader]:
        """The entity frame with its features as a stream, in the frame's order."""
        keys: dict[tuple[str, str], pa.ChunkedArray] = {}
        tables = [self._table(view, files, keys) for view, files in self.views]
        with duckdb_engine(self.memory_limit) as engine, reading_told():
            found = found_features(engine, self.rows.at, [*keys.values()], tables)
            yield _beside(self.rows.table(), found)

    def _table(
        self, view: RequestedView, files: SourceFiles, keys: dict[tuple[str, str], pa.ChunkedArray]
    ) -> AsOfTable:
        """The view for the join; adds its keys to `keys`, in the type its files have them in."""
        pairs = []
        for given, own in view.keys:
            column = _column(view, files, own, "join key")
            kind = files.types[column]
            if (given, kind) not in keys:
                keys[given, kind] = self.rows.key(given, kind, files.called)
            pairs.append((f"key_{[*keys].index((given, kind))}", column))
        event, known = time_columns(view.source, view.mapping, files)
        return AsOfTable(
            relation=files.relation,
            keys=tuple(pairs),
            event_timestamp=event,
            event_type=files.types[event],
            known=known,
            known_type=files.types[known or event],
            as_known_then=self.as_known_then and known is not None,
            features=tuple(
                (_column(view, files, feature, "feature"), name) for feature, name in view.features
            ),
            ttl=microseconds(view.ttl) if view.ttl else None,
        )


def historical_features(
    views: Sequence[RequestedView],
    entity_frame: Any,
    *,
    repo_path: Path | None,
    period: tuple[datetime, datetime] | None,
    as_known_then: bool,
    memory_limit: str,
) -> HistoricalFeatures:
    """A request, checked as far as it goes without joining.

    Without an entity frame its rows are the entities with a feature row within `period` (both ends
    included), each at its end. Raises SourceError or DeclarationError for what cannot be joined.
    """
    with duckdb_engine(memory_limit) as engine:
        opened = tuple((view, open_source(engine, view.source, repo_path)) for view in views)
    if entity_frame is None:
        assert period is not None
        entity_frame = _entities_within(opened, period, memory_limit)
    rows = entity_rows(entity_frame, [given for view in views for given, _ in view.keys])
    refuse_taken(rows.columns, [name for view in views for _, name in view.features])
    request = HistoricalFeatures(rows, opened, as_known_then, memory_limit)
    keys: dict[tuple[str, str], pa.ChunkedArray] = {}
    for view, files in opened:
        request._table(view, files, keys)
    return request


def time_columns(source: Any, mapping: Mapping[str, str], files: SourceFiles) -> tuple[str, str | None]:
    """The columns of the files with the event timestamp and, where there is one, the created timestamp."""
    event = source.timestamp_field
    if not event:
        raise SourceError(f"{files.called}: has no timestamp_field; declare the column of event times")
    created = source.created_timestamp_column or None
    return (
        files.moment(mapping.get(event, event), event, role="timestamp_field"),
        created and files.moment(mapping.get(created, created), created, role="created_timestamp_column"),
    )


def _column(view: RequestedView, files: SourceFiles, name: str, what: str) -> str:
    return files.column(
        view.mapping.get(name, name), name, role=f"feature view {view.name!r}, {what} {name!r}"
    )


def _beside(rows: pa.Table, found: pa.RecordBatchReader) -> pa.RecordBatchReader:
    """Both side by side, batch by batch."""
    import pyarrow as pa

    schema = pa.schema([*rows.schema, *found.schema])

    def batches() -> Iterator[pa.RecordBatch]:
        start = 0
        for batch in found:
            own = [column.combine_chunks() for column in rows.slice(start, batch.num_rows).columns]
            yield pa.record_batch([*own, *batch.columns], schema=schema)
            start += batch.num_rows

    return pa.RecordBatchReader.from_batches(schema, batches())


def _entities_within(
    views: Sequence[tuple[RequestedView, SourceFiles]], period: tuple[datetime, datetime], memory_limit: str
) -> pa.Table:
    import pyarrow as pa

    names = {tuple(given for given, _ in view.keys) for view, _ in views}
    if len(names) != 1:
        told = "; ".join(", ".join(keys) or "none" for keys in sorted(names))
        raise DeclarationError(
            f"without an entity frame all feature views must have the same join keys, and they have: {told}; "
            "pass an entity frame, or ask for each alone"
        )
    first, last = (since_1970(moment) for moment in period)
    parts = []
    for view, files in views:
        event, _ = time_columns(view.source, view.mapping, files)
        keys = [(given, quoted(_column(view, files, own, "join key"))) for given, own in view.keys]
        wanted = [f"{column} IS NOT NULL" for _, column in keys]
        wanted += between(quoted(event), files.types[event], first, last)
        columns = ", ".join(f"{column} AS {quoted(given)}" for given, column in keys) or "1 AS _any"
        parts.append(f"SELECT {columns} FROM {files.relation} WHERE {' AND '.join(wanted)}")
    with duckdb_engine(memory_limit) as engine, reading_told():
        found = engine.sql(f"SELECT DISTINCT * FROM ({' UNION ALL BY NAME '.join(parts)}) ORDER BY ALL")
        entities = found.to_arrow_table()
    at = pa.array([last] * entities.num_rows, pa.int64()).cast(pa.timestamp("us", tz="UTC"))
    names_found = [name for name in entities.column_names if name != "_any"]
    return entities.select(names_found).append_column(EVENT_TIMESTAMP, at)


@contextlib.contextmanager
def reading_told() -> Iterator[None]:
    """Say in one error what kept DuckDB from reading, and what to do."""
    import duckdb

    try:
        yield
    except duckdb.OutOfMemoryException as error:
        raise SourceError(
            f"offline store: needs more memory than its limit ({error}); raise memory_limit of offline_store "
            "in feature_store.yaml, or free space in the temporary folder"
        ) from error
    except duckdb.Error as error:
        raise SourceError(f"offline store: the files cannot be read or joined: {error}") from error
