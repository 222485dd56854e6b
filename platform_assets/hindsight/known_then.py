"""The rows of a training set as they were known then: each feature at its row's time, each label when
training or evaluation would have read it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from platform_assets.declaration.duration import microseconds
from platform_assets.declaration.feature_view import FeatureView
from platform_assets.declaration.product import Product
from platform_assets.declaration.repository import Repository
from platform_assets.errors import Blocked
from platform_assets.features.engine import duckdb_engine
from platform_assets.features.reach import raw_days
from platform_assets.hindsight.row_versions import REPLACED_AT, RowVersions, quoted
from platform_assets.lake.digest import canonical
from platform_assets.lake.manifest import Manifest
from platform_assets.stores import Stores
from platform_assets.training.cut_source import SAMPLE, TIME, features_on
from platform_assets.training.split import SplitDays
from platform_assets.training.training_rows import assemble, features_read
from platform_assets.training.training_set import days_read
from platform_assets.vocabulary import AVAILABLE_AT, feature_table

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

ROWS_AT_ONCE = 20_000


@dataclass(frozen=True)
class KnownThen:
    """Rows in the order of their primary key, and how many of them hindsight could have reached."""

    rows: pa.Table
    reached: int


def split_of(training_set: Manifest) -> SplitDays:
    """The split that a training set was made for."""
    notes = training_set.notes
    return SplitDays(
        tuple(notes["train_days"]), tuple(notes["test_days"]), notes["trained_as_of"], training_set.partition
    )


def known_then(
    stores: Stores, repository: Repository, product: Product, training_set: Manifest, versions: RowVersions
) -> KnownThen:
    """The training set of the same split, of what was known at the time.

    At a row's time t, features see the versions of raw rows that had arrived by t and were not yet
    replaced, and raw inputs are those of the version known at t (of a row that came later, its first
    version). A train row counts, with the label of that moment, when it was known at `trained_as_of`;
    a test row when it was known once the last test label was due. Only rows that hindsight reaches are
    computed anew. Raises what `assemble` raises, LakeError when a recorded version is gone, Blocked for a
    view in SQL.
    """
    _refuse_sql(repository, product)
    split = split_of(training_set)
    days = days_read(repository, product, split)
    with duckdb_engine() as engine, tempfile.TemporaryDirectory(prefix="platform-known-then-") as folder:
        versions.hindsight(engine)
        raw = dict(versions.files)
        for day in _days_changed(engine, versions, {*days.raw, *days.labelled}):
            raw[day] = _day_then(engine, product, versions, split, day, Path(folder))
        features = {
            name: _recorded(stores, repository.feature_view(name), training_set, days.features[name])
            for name in features_read(repository, product)
        }
        made = assemble(repository, product, split, raw, features, {day: raw[day] for day in days.labelled})
        rows = canonical(made.rows, versions.source.primary_key)
        reached: set[int] = set()
        for view_name, names in features_read(repository, product).items():
            view = repository.feature_view(view_name)
            places = _reached(engine, repository, view, versions, rows)
            reached.update(places)
            rows = _replaced(engine, repository, view, versions, rows, places, names)
    return KnownThen(rows, len(reached))


def _refuse_sql(repository: Repository, product: Product) -> None:
    """A view in SQL may look at any row of any entity, so nobody can say which rows hindsight reaches."""
    names = [name for name in features_read(repository, product) if repository.feature_view(name).sql]
    if names:
        raise Blocked(
            f"raw rows came late or were corrected, and feature view {', '.join(names)} is declared in sql: "
            f"what it would have computed then is not measured; declare its features by functions, or take "
            f"the view out of inputs"
        )


def evaluated_as_of(product: Product, split: SplitDays) -> str:
    """When the last test label was due: the end of the test days and the label's delay, ISO 8601 without
    zone."""
    from datetime import datetime

    ended = datetime.combine(date.fromisoformat(split.test[-1]), datetime.min.time()) + timedelta(days=1)
    return (ended + product.label.delay).isoformat()


def _days_changed(engine: duckdb.DuckDBPyConnection, versions: RowVersions, days: Iterable[str]) -> list[str]:
    moment = quoted(versions.source.event_timestamp)
    found = engine.execute(
        f"SELECT DISTINCT strftime({moment}, '%Y-%m-%d') FROM hindsight_rows ORDER BY 1"
    ).fetchall()
    wanted = set(days)
    return [day for (day,) in found if day in wanted]


def _day_then(
    engine: duckdb.DuckDBPyConnection,
    product: Product,
    versions: RowVersions,
    split: SplitDays,
    day: str,
    folder: Path,
) -> str:
    """A raw day as it was known: rows and labels when they were read, the other columns at the row's time."""
    import pyarrow.parquet as pq

    source = versions.source
    moment = quoted(source.event_timestamp)
    read_at = split.trained_as_of if day in split.train else evaluated_as_of(product, split)
    labels = {product.label.column, product.label.available_at}
    columns = ", ".join(
        f"{'held' if name in labels else 'seen'}.{quoted(name)}"
        for name in (*source.column_names, AVAILABLE_AT)
    )
    key = ", ".join(quoted(name) for name in source.primary_key)
    rows = engine.sql(f"""
        WITH versions AS (SELECT * FROM {versions.relation([day])}),
        held AS (SELECT * FROM versions WHERE {_known_at(f"TIMESTAMP '{read_at.removesuffix('Z')}'")}),
        seen AS (
            SELECT * FROM versions QUALIFY row_number() OVER (
                PARTITION BY {key} ORDER BY ({_known_at(moment)}) DESC, {AVAILABLE_AT}) = 1)
        SELECT {columns} FROM held JOIN seen USING ({key})""").to_arrow_table()
    path = folder / f"{day}.parquet"
    pq.write_table(canonical(rows, source.primary_key), path, coerce_timestamps="us")
    return str(path)


def _known_at(moment: str, of: str = "") -> str:
    """Whether a version of a row was the known one at a moment."""
    return f"{of}{AVAILABLE_AT} <= {moment} AND ({of}{REPLACED_AT} IS NULL OR {of}{REPLACED_AT} > {moment})"


def _recorded(stores: Stores, view: FeatureView, training_set: Manifest, days: Iterable[str]) -> list[str]:
    table = stores.lake.table(feature_table(view.lake_name))
    digests = training_set.inputs[table.name]
    return [str(table.path(table.version(day, digests[day]))) for day in days]


def _looks_back(view: FeatureView) -> int:
    """Microseconds before a row's time beyond which no raw row can reach its features of the view."""
    widest = max(
        (microseconds(f.delay) + microseconds(f.window) for f in view.windows if f.window is not None),
        default=0,
    )
    return widest + microseconds(view.ttl)


def _reached(
    engine: duckdb.DuckDBPyConnection,
    repository: Repository,
    view: FeatureView,
    versions: RowVersions,
    rows: pa.Table,
) -> list[int]:
    """Places of the rows that have a hindsight row of their entity within reach, told apart then and now."""
    import numpy as np
    import pyarrow as pa

    keys, moment = repository.entity_of(view).join_keys, quoted(versions.source.event_timestamp)
    plain = rows.select([*dict.fromkeys((*keys, versions.source.event_timestamp))])
    engine.register("then_rows", plain.append_column("_row", pa.array(np.arange(rows.num_rows))))
    # one that counts now is hindsight until it arrives, one that was replaced from its arrival to its end
    differs = f"""CASE WHEN h.{REPLACED_AT} IS NULL THEN h.{AVAILABLE_AT} > r.{moment}
                       ELSE {_known_at(f"r.{moment}", "h.")} END"""
    found = engine.execute(f"""
        SELECT DISTINCT r._row FROM then_rows AS r JOIN hindsight_rows AS h ON {_same("r", "h", keys)}
        WHERE h.{moment} <= r.{moment} AND {_within(view, f"h.{moment}", f"r.{moment}")} AND {differs}
        ORDER BY 1""").fetchall()
    engine.unregister("then_rows")
    return [row for (row,) in found]


def _same(a: str, b: str, keys: Iterable[str]) -> str:
    return " AND ".join(f"{a}.{quoted(key)} = {b}.{quoted(key)}" for key in keys)


def _within(view: FeatureView, event: str, at: str) -> str:
    return f"epoch_us({event}) >= epoch_us({at}) - {_looks_back(view)}"


def _replaced(
    engine: duckdb.DuckDBPyConnection,
    repository: Repository,
    view: FeatureView,
    versions: RowVersions,
    rows: pa.Table,
    places: list[int],
    names: tuple[str, ...],
) -> pa.Table:
    """The rows with the view's features of those places as they were known at each row's time."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not places:
        return rows
    source, entity = versions.source, repository.entity_of(view)
    parts = []
    for start in range(0, len(places), ROWS_AT_ONCE):
        some = places[start : start + ROWS_AT_ONCE]
        sample = rows.select([*dict.fromkeys((*entity.join_keys, source.event_timestamp))]).take(
            pa.array(some)
        )
        sample = sample.append_column(SAMPLE, pa.array(range(len(some)), pa.int64()))
        engine.register("sample", sample)
        cut = _cut(view, versions, sample, entity.join_keys)
        parts.append(features_on(engine, source, entity, view, cut).select(list(names)))
        engine.unregister("sample")
    values = pa.concat_tables(parts)
    mask = pc.is_in(pa.array(range(rows.num_rows)), value_set=pa.array(places))
    for name in names:
        place = rows.column_names.index(name)
        column = values.column(name).cast(rows.column(name).type).combine_chunks()
        made = pc.replace_with_mask(rows.column(name).combine_chunks(), mask, column)
        rows = rows.set_column(place, name, made)
    return rows


def _cut(view: FeatureView, versions: RowVersions, sample: pa.Table, join_keys: tuple[str, ...]) -> str:
    """For every sampled row, the versions of its entity's raw rows that were the known ones at its time."""
    import pyarrow.compute as pc

    source = versions.source
    moments = sample.column(source.event_timestamp)
    days = {str(day) for day in pc.unique(pc.strftime(moments, format="%Y-%m-%d")).to_pylist()}
    back = -(-view.ttl // timedelta(days=1))
    days |= {
        (date.fromisoformat(day) - timedelta(days=n)).isoformat() for day in days for n in range(back + 1)
    }
    read = sorted(raw_days(days, view, start=source.start) & versions.files.keys())
    columns = ", ".join(f"h.{quoted(name)}" for name in (*source.column_names, AVAILABLE_AT))
    moment = quoted(source.event_timestamp)
    return f"""(
        SELECT sample.{SAMPLE}, sample.{moment} AS {TIME}, {columns}
        FROM {versions.relation(read)} AS h JOIN sample ON {_same("h", "sample", join_keys)}
        WHERE h.{moment} <= sample.{moment} AND {_within(view, f"h.{moment}", f"sample.{moment}")}
          AND {_known_at(f"sample.{moment}", "h.")})"""
