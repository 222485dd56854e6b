"""The rows of a training set, put together from files named one by one.

Which versions of which days are read is decided elsewhere: training reads the current ones,
reproduction the recorded ones, and both come through here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from platform_assets.declaration.product import Product
from platform_assets.declaration.repository import Repository
from platform_assets.errors import DeclarationError, TrainingError
from platform_assets.features.availability import availability_column
from platform_assets.training.known_entities import known_rows
from platform_assets.training.split import SplitDays
from platform_assets.vocabulary import AVAILABLE_AT

if TYPE_CHECKING:
    import pyarrow as pa

SPLIT_COLUMN = "_split"


@dataclass(frozen=True)
class TrainingRows:
    """Rows of the train and test days, and what there is to say about them in plain numbers."""

    rows: pa.Table
    notes: Mapping[str, Any]


def columns_of(repository: Repository, product: Product) -> tuple[str, ...]:
    """Columns of a training set in order, without `_split`; each name stands once."""
    source = repository.source(product.source)
    keys = [repository.entity(name).join_key for name in product.entities]
    inputs = repository.input_columns(product)
    return tuple(
        dict.fromkeys((*source.primary_key, source.event_timestamp, *keys, *inputs, product.label.column))
    )


def features_read(repository: Repository, product: Product) -> dict[str, tuple[str, ...]]:
    """The features that are inputs, by feature view, in declared order; views without any are left out."""
    inputs = repository.input_columns(product)
    found = {
        view.name: tuple(name for name in view.feature_names if name in inputs)
        for view in repository.views_of(product)
    }
    return {name: features for name, features in found.items() if features}


def check_columns(repository: Repository, product: Product) -> None:
    """Raise DeclarationError for an input that is no number, or a label that cannot be 0 or 1."""
    source = repository.source(product.source)
    features = {name for names in features_read(repository, product).values() for name in names}
    for name in sorted(features & set(source.column_names)):
        raise DeclarationError(
            f"product {product.name!r}: feature {name!r} has the name of a column of source {source.name!r}, "
            f"so nobody could tell which one an input means; rename the feature"
        )
    for name in repository.input_columns(product):
        if name not in features and source.column(name).type in ("string", "timestamp"):
            raise DeclarationError(
                f"product {product.name!r}: input {name!r} is a {source.column(name).type}; a model takes "
                f"numbers: declare a feature that turns it into one, or take it out of inputs"
            )
    if source.column(product.label.column).type in ("string", "timestamp"):
        raise DeclarationError(
            f"product {product.name!r}: label {product.label.column!r} is a "
            f"{source.column(product.label.column).type}; a label is 0 or 1"
        )


def assemble(
    repository: Repository,
    product: Product,
    split: SplitDays,
    raw_files: Mapping[str, str],
    feature_files: Mapping[str, Sequence[str]],
    labelled_files: Mapping[str, str],
) -> TrainingRows:
    """Rows of the split's days with their features as of each row's event timestamp.

    `raw_files` by day holds train and test days, `feature_files` by view the feature days that may
    be looked back to, `labelled_files` by day those of `labelled_days`. No order is promised.

    Left out and counted: rows without a label, train rows whose label was not known at
    `trained_as_of`, test rows of entities known to be positive, and, when the split reads
    *as known then*, train rows that arrived after `trained_as_of`.

    Raises TrainingError when a label is neither 0 nor 1 or the train rows hold one class only.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    rows = _read(repository, product, split, raw_files)
    told: dict[str, Any] = {}
    train = pc.equal(rows.column(SPLIT_COLUMN), "train")
    cut = pa.scalar(datetime.fromisoformat(split.trained_as_of).replace(tzinfo=None), pa.timestamp("us"))

    def leave_out(which: Any, name: str) -> None:
        nonlocal rows, train
        which = pc.fill_null(which, True)
        told[name] = int(pc.sum(which).as_py() or 0)
        if told[name]:
            rows, train = rows.filter(pc.invert(which)), train.filter(pc.invert(which))

    leave_out(rows.column(product.label.column).is_null(), "unlabelled_rows")
    _check_label(product, rows)
    if product.label.available_at:
        known = pc.less_equal(rows.column(product.label.available_at).cast(pa.timestamp("us")), cut)
        leave_out(pc.and_(train, pc.invert(pc.fill_null(known, False))), "label_not_yet_known_rows")
    if product.split.reading == "as_known_then":
        leave_out(pc.and_(train, pc.greater(rows.column(AVAILABLE_AT), cut)), "arrived_later_rows")
    if product.split.remove_known is not None:
        known = known_rows(repository, product, rows, labelled_files)
        leave_out(pc.and_(pc.invert(train), known), "removed_known_rows")
    told.setdefault("removed_known_rows", 0)
    told = _counts(product, rows) | told
    if not told["train_rows"] and told.get("label_not_yet_known_rows"):
        raise TrainingError(
            f"product {product.name!r}: none of the {told['label_not_yet_known_rows']} labels of the train "
            f"days {split.train[0]} to {split.train[-1]} was known at {split.trained_as_of} "
            f"({product.label.available_at}); raise split.delay_days"
        )
    _check_classes(product, split, told)
    joined = _join(repository, product, rows, feature_files)
    return TrainingRows(joined.select([*columns_of(repository, product), SPLIT_COLUMN]), told)


def _read(
    repository: Repository, product: Product, split: SplitDays, raw_files: Mapping[str, str]
) -> pa.Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    source = repository.source(product.source)
    features = {name for names in features_read(repository, product).values() for name in names}
    wanted = [name for name in columns_of(repository, product) if name not in features]
    needed = list(dict.fromkeys((*wanted, AVAILABLE_AT, *filter(None, (product.label.available_at,)))))
    # an as-of join needs the join key of every view, also of an entity the product forgot nothing about
    keys = [key for view in repository.views_of(product) for key in repository.entity_of(view).join_keys]
    needed += [name for name in dict.fromkeys(keys) if name not in needed]
    parts = []
    for part, days in (("train", split.train), ("test", split.test)):
        for day in days:
            read = pq.read_table(raw_files[day], columns=needed, partitioning=None).select(needed)
            parts.append(read.append_column(SPLIT_COLUMN, pa.repeat(pa.scalar(part), read.num_rows)))
    rows = pa.concat_tables(parts).combine_chunks()
    assert source.event_timestamp in rows.column_names
    return rows


def _join(
    repository: Repository, product: Product, rows: pa.Table, feature_files: Mapping[str, Sequence[str]]
) -> pa.Table:
    from platform_assets.features.as_of_join import AsOfView, as_of_join

    source = repository.source(product.source)
    views = [
        AsOfView(
            name=name,
            paths=tuple(feature_files[name]),
            join_keys=repository.entity_of(repository.feature_view(name)).join_keys,
            event_timestamp=source.event_timestamp,
            available_at=availability_column(source, product.split.reading),
            features=features,
            ttl=repository.feature_view(name).ttl,
        )
        for name, features in features_read(repository, product).items()
    ]
    joined = as_of_join(rows, views, event_timestamp=source.event_timestamp) if views else rows
    if joined.num_rows != rows.num_rows:
        raise TrainingError(
            f"product {product.name!r}: the as-of join returned {joined.num_rows} rows for {rows.num_rows}; "
            f"a feature view holds a key twice"
        )
    return joined


def _check_label(product: Product, rows: pa.Table) -> None:
    import pyarrow as pa
    import pyarrow.compute as pc

    values = pc.cast(rows.column(product.label.column), pa.float64())
    wrong = pc.sum(pc.invert(pc.is_in(values, value_set=pa.array([0.0, 1.0])))).as_py() or 0
    if wrong:
        raise TrainingError(
            f"product {product.name!r}: label {product.label.column!r} is neither 0 nor 1 in {wrong} of "
            f"{rows.num_rows} rows; correct the source or declare another label"
        )


def _counts(product: Product, rows: pa.Table) -> dict[str, Any]:
    import pyarrow as pa
    import pyarrow.compute as pc

    counts: dict[str, Any] = {}
    positive = pc.cast(pc.cast(rows.column(product.label.column), pa.float64()), pa.int64())
    for part in ("train", "test"):
        inside = pc.equal(rows.column(SPLIT_COLUMN), part)
        counts[f"{part}_rows"] = int(pc.sum(inside).as_py() or 0)
        counts[f"{part}_positives"] = int(pc.sum(positive.filter(inside)).as_py() or 0)
    return counts


def _check_classes(product: Product, split: SplitDays, counts: Mapping[str, Any]) -> None:
    rows, positives = counts["train_rows"], counts["train_positives"]
    if positives in (0, rows):
        raise TrainingError(
            f"product {product.name!r}: label {product.label.column!r} has one class only on the train days "
            f"{split.train[0]} to {split.train[-1]}: {positives} positives in {rows} rows; a model needs "
            f"both: train on more days, or check the label in the source"
        )
