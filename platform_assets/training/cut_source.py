"""The source as it was known at a row's time, and what the features of that row come out as on it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from platform_assets.declaration.duration import microseconds
from platform_assets.declaration.feature_view import AnyEntity, FeatureView
from platform_assets.declaration.product import Product
from platform_assets.declaration.repository import Repository
from platform_assets.declaration.source import Source
from platform_assets.features.availability import availability_column
from platform_assets.features.engine import duckdb_engine, parquet_files
from platform_assets.features.reach import raw_days
from platform_assets.features.sql_view import sql_view_rows
from platform_assets.features.window_sql import view_sql
from platform_assets.lake.manifest import Manifest
from platform_assets.stores import Stores
from platform_assets.training.training_rows import features_read
from platform_assets.vocabulary import AVAILABLE_AT, feature_table, raw_table

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

SAMPLE, TIME = "_sample", "_sample_time"
TOLERANCE = 1e-9


def sampled(rows: pa.Table, key: Sequence[str], label: str, count: int) -> pa.Table:
    """About `count` rows by hash of their key, half of them positives if there are so many."""
    import numpy as np
    import pyarrow as pa

    with duckdb_engine() as engine:
        engine.register(
            "all_rows",
            rows.select(list(key)).append_column("_row", pa.array(np.arange(rows.num_rows, dtype=np.int64))),
        )
        # md5 and not hash(): the same sample on every version of DuckDB
        text = " || '|' || ".join(f"coalesce(CAST({_quoted(name)} AS VARCHAR), '')" for name in key)
        order = engine.sql(f"SELECT _row FROM all_rows ORDER BY md5({text}), _row").to_arrow_table()
    places = order.column("_row").to_numpy()
    positive = rows.column(label).to_numpy()[places].astype(bool)
    first = places[positive][: -(-count // 2)]
    rest = places[~positive][: count - len(first)]
    return rows.take(pa.array(np.sort(np.concatenate([first, rest]))))


def changed_columns(
    stores: Stores, repository: Repository, product: Product, training_set: Manifest, sample: pa.Table
) -> dict[str, int]:
    """Inputs in order, and in how many of the sampled train rows each differs on the cut source.

    The source is read in the versions the training set was made from. Raises LakeError when one of
    them is gone.
    """
    import pyarrow as pa

    source = repository.source(product.source)
    sample = sample.append_column(SAMPLE, pa.array(range(sample.num_rows), pa.int64()))
    features = features_read(repository, product)
    found: dict[str, int] = {}
    with duckdb_engine() as engine:
        engine.register("sample", sample)
        for view in repository.views_of(product):
            if view.name in features:
                cut = _with_unknown_labels(source, product)
                if view.sql is not None:
                    values = _sql_features(engine, stores, repository, product, training_set, view, sample)
                else:
                    relation = _cut_source(stores, repository, product, training_set, view)
                    values = features_on(engine, cut, repository.entity_of(view), view, relation)
                for name in features[view.name]:
                    found[name] = _differing(sample.column(name), values.column(name))
    # a raw column of the row itself is what the request brings along; the label cannot be an input
    return {name: found.get(name, 0) for name in repository.input_columns(product)}


def _cut_source(
    stores: Stores, repository: Repository, product: Product, training_set: Manifest, view: FeatureView
) -> str:
    """For every sampled row, its entity's raw rows that had happened and were known at its time."""
    source, keys = repository.source(view.source), repository.entity_of(view).join_keys
    same = " AND ".join(f"raw_rows.{_quoted(key)} = sample.{_quoted(key)}" for key in keys)
    last = max(training_set.notes["train_days"])
    days = [day for day in training_set.inputs[feature_table(view.lake_name)] if day <= last]
    files = _raw_files(stores, source, training_set, raw_days(days, view, start=source.start))
    moment = _quoted(source.event_timestamp)
    return f"""(
        SELECT sample.{SAMPLE}, sample.{moment} AS {TIME}, {_known_columns(source, product)}
        FROM {files} AS raw_rows JOIN sample ON {same}
        WHERE {_known(source, product)})"""


def _known_columns(source: Source, product: Product) -> str:
    """Columns of raw rows, the label only where it was known at the sampled row's time."""
    return ", ".join(
        f"{_known_label(source, product)} AS {_quoted(name)}"
        if name == product.label.column
        else f"raw_rows.{_quoted(name)}"
        for name in (*source.column_names, AVAILABLE_AT)
    )


def _known(source: Source, product: Product) -> str:
    """Raw rows that had happened, and were known, at the sampled row's time."""
    moment = _quoted(source.event_timestamp)
    available = _quoted(availability_column(source, product.split.reading))
    return f"raw_rows.{moment} <= sample.{moment} AND raw_rows.{available} <= sample.{moment}"


def _sql_features(
    engine: duckdb.DuckDBPyConnection,
    stores: Stores,
    repository: Repository,
    product: Product,
    training_set: Manifest,
    view: FeatureView,
    sample: pa.Table,
) -> pa.Table:
    """Features of a view in SQL, run once for each sampled row on all rows that were known at its time."""
    import pyarrow as pa

    source, entity = repository.source(view.source), repository.entity_of(view)
    held = training_set.inputs[raw_table(source.name)].keys()
    found: list[dict[str, Any]] = []
    for number, row in enumerate(sample.select([*entity.join_keys, source.event_timestamp]).to_pylist()):
        moment = row[source.event_timestamp]
        newest: list[dict[str, Any]] = []
        for back in range(-(-view.ttl // timedelta(days=1)) + 1):
            day = (moment.date() - timedelta(days=back)).isoformat()
            reaching = raw_days([day], view, start=source.start) & held
            if newest or not reaching:
                break
            relation = f"""(
                SELECT {_known_columns(source, product)}
                FROM {_raw_files(stores, source, training_set, reaching)} AS raw_rows
                JOIN (SELECT * FROM sample WHERE {SAMPLE} = {number}) AS sample
                ON {_known(source, product)})"""
            rows = sql_view_rows(engine, source, entity, view, relation, [day]).to_pylist()
            newest = [
                other
                for other in rows
                if all(other[key] == row[key] for key in entity.join_keys)
                and other[source.event_timestamp] >= moment - view.ttl
            ]
        order = (source.event_timestamp, AVAILABLE_AT, *source.primary_key)
        found.append(max(newest, key=lambda other: tuple(other[name] for name in order), default={}))
    return pa.table(
        {name: pa.array([values.get(name) for values in found], pa.float64()) for name in view.feature_names}
    )


def features_on(
    engine: duckdb.DuckDBPyConnection, source: Source, entity: AnyEntity, view: FeatureView, relation: str
) -> pa.Table:
    """The view's features for each row of the connection's `sample`, in the order of `_sample`.

    `relation` holds, for every sampled row, the raw rows that were known at its time, with `_sample` and
    `_sample_time`; the newest of them counts, as a join would take it.
    """
    moment = _quoted(source.event_timestamp)
    newest_first = ", ".join(
        f"{_quoted(name)} DESC" for name in (source.event_timestamp, AVAILABLE_AT, *source.primary_key)
    )
    query = view_sql(source, entity, view, relation=relation, partition_by=[SAMPLE, TIME])
    names = ", ".join(f"newest.{_quoted(name)}" for name in view.feature_names)
    return engine.sql(f"""
        WITH newest AS (
            SELECT * FROM ({query}) AS cut_rows
            WHERE epoch_us({moment}) >= epoch_us({TIME}) - {microseconds(view.ttl)}
            QUALIFY row_number() OVER (PARTITION BY {SAMPLE} ORDER BY {newest_first}) = 1)
        SELECT {names} FROM sample LEFT JOIN newest USING ({SAMPLE}) ORDER BY {SAMPLE}""").to_arrow_table()


def _with_unknown_labels(source: Source, product: Product) -> Source:
    """The source as the cut rows are: a label that is not known yet is null, whatever is declared."""
    columns = tuple(
        column.model_copy(update={"nullable": True}) if column.name == product.label.column else column
        for column in source.columns
    )
    return source.model_copy(update={"columns": columns})


def _known_label(source: Source, product: Product) -> str:
    """The label of a raw row, null where it was not known at the sampled row's time."""
    label, moment = f"raw_rows.{_quoted(product.label.column)}", _quoted(source.event_timestamp)
    if product.label.available_at is not None:
        known = f"raw_rows.{_quoted(product.label.available_at)} <= sample.{moment}"
    else:
        delay = microseconds(product.label.delay)
        known = f"epoch_us(raw_rows.{moment}) + {delay} <= epoch_us(sample.{moment})"
    return f"CASE WHEN {known} THEN {label} END"


def _raw_files(stores: Stores, source: Source, training_set: Manifest, days: Iterable[str]) -> str:
    """The raw days in the versions the training set was made from."""
    table = stores.lake.table(raw_table(source.name))
    digests = training_set.inputs[table.name]
    return parquet_files([str(table.path(table.version(day, digests[day]))) for day in sorted(days)])


def _differing(expected: pa.ChunkedArray, found: pa.ChunkedArray) -> int:
    """Rows that differ by more than the tolerance, or are missing on one side only."""
    import numpy as np
    import pyarrow as pa

    a, b = (
        np.asarray(column.cast(pa.float64()).to_numpy(), dtype=np.float64) for column in (expected, found)
    )
    same = np.isclose(a, b, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True)
    return int(np.count_nonzero(~same))


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
