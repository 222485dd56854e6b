"""Point-in-time training sets: which versions they read, when they refuse, and how they are read back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from platform_assets.declaration.feature_view import FeatureView
from platform_assets.declaration.product import Product
from platform_assets.declaration.repository import Repository
from platform_assets.declaration.source import Source
from platform_assets.errors import Blocked, TrainingError
from platform_assets.features.compute import inputs_from
from platform_assets.features.reach import ranges, raw_days
from platform_assets.lake.lake import Inputs
from platform_assets.lake.manifest import Manifest
from platform_assets.stores import Stores
from platform_assets.training.known_entities import labelled_days
from platform_assets.training.split import SplitDays, check_label_delay, days_from, resolve_split
from platform_assets.training.training_rows import SPLIT_COLUMN, assemble, check_columns
from platform_assets.vocabulary import feature_table, product_table, raw_table

if TYPE_CHECKING:
    import pyarrow as pa

VIEWS = "feature_views"
"""Key in a training set's inputs that holds each view's code version: equal values of another view
version are another lineage."""


@dataclass(frozen=True)
class DaysRead:
    """What a training set reads: raw days of its rows and known positives, feature days by view, and
    every raw day that reaches any of them."""

    raw: tuple[str, ...]
    labelled: tuple[str, ...]
    features: Mapping[str, tuple[str, ...]]
    reaching: tuple[str, ...]


def days_read(repository: Repository, product: Product, split: SplitDays) -> DaysRead:
    """The days a split needs, none before the source's start."""
    source = repository.source(product.source)
    labelled = labelled_days(product, split)
    features = {view.name: _feature_days(source, view, split) for view in repository.views_of(product)}
    reaching = {*split.days, *labelled}
    for view in repository.views_of(product):
        reaching |= raw_days(features[view.name], view, start=source.start)
    return DaysRead(split.days, labelled, features, tuple(sorted(reaching)))


def newest_split(stores: Stores, repository: Repository, product: Product) -> SplitDays:
    """The product's split on the raw days there are.

    Raises Blocked when there is no raw day yet, TrainingError when the split begins before the
    source does, DeclarationError when the split waits shorter than its labels take.
    """
    check_label_delay(product)
    source = repository.source(product.source)
    partitions = stores.lake.table(raw_table(source.name)).partitions()
    if not partitions:
        raise Blocked(f"product {product.name!r}: source {source.name!r} has no raw day yet; ingest it first")
    split = resolve_split(product.split, partitions[-1])
    if split.train[0] < source.start.isoformat():
        raise TrainingError(
            f"product {product.name!r}: the split needs {split.train[0]} to {split.test[-1]}, but source "
            f"{source.name!r} starts at {source.start} and its newest day is {partitions[-1]}; load more "
            f"days or declare a shorter split"
        )
    return split


def expected_training_inputs(
    stores: Stores, repository: Repository, product: Product, split: SplitDays
) -> Inputs:
    """What a training set would be made of now.

    Raw table -> every raw day that reaches the rows -> digest; each view's feature table -> feature
    days -> digest; `feature_views` -> view -> code version. Raises Blocked naming raw days, or view and
    feature days, that are missing or stale: older values are never used in their place.
    """
    source = repository.source(product.source)
    days = days_read(repository, product, split)
    raw = stores.lake.table(raw_table(source.name)).digests(days.reaching)
    missing = [day for day in days.reaching if day not in raw]
    if missing:
        raise Blocked(
            f"product {product.name!r}: no training set for split {split.id}: raw days {_told(missing)} of "
            f"source {source.name!r} are missing; load them, then build the feature days they reach"
        )
    inputs: dict[str, dict[str, str]] = {raw_table(source.name): raw}
    blocked = []
    for view in repository.views_of(product):
        wanted = days.features[view.name]
        manifests = stores.lake.table(feature_table(view.lake_name)).current(wanted)
        stale = [day for day in wanted if not _is_fresh(manifests.get(day), raw, source, view, day)]
        absent = sum(day not in manifests for day in stale)
        if stale:
            blocked.append(
                f"  feature view {view.name!r} on {_told(stale)}: {absent} days missing, "
                f"{len(stale) - absent} made from other raw versions or view code"
            )
        else:
            inputs[feature_table(view.lake_name)] = {day: manifests[day].digest for day in wanted}
    if blocked:
        raise Blocked(
            f"product {product.name!r}: no training set for split {split.id}: feature days are not up to "
            "date\n" + "\n".join(blocked) + "\nmaterialize these days of the feature views first"
        )
    inputs[VIEWS] = {view.name: view.code_version for view in repository.views_of(product)}
    return inputs


def build_training_set(
    stores: Stores,
    repository: Repository,
    product: Product,
    *,
    suite_path: Path,
    cause: str,
    run_id: str = "",
) -> Manifest:
    """Build the training set of the product's split, or raise and write nothing.

    Values are *as known now*: the newest version of each day, features as of each row's event
    timestamp by availability. A split that reads *as known then* also leaves out train rows that
    arrived after `trained_as_of`; values that were corrected later are still read corrected, because
    versions of days are not yet chosen by the time they were current.

    Raises Blocked when a raw day that reaches the rows is untrusted or missing or a feature day is
    stale, TrainingError when the rows cannot train a model, DeclarationError for a wrong declaration.
    One class only on the test days is allowed; metrics will say that they cannot be measured.
    """
    from platform_assets.raw.trust import untrusted_days

    repository.check_product(product)
    check_columns(repository, product)
    source = repository.source(product.source)
    split = newest_split(stores, repository, product)
    days = days_read(repository, product, split)
    untrusted = untrusted_days(stores, source, suite_path, days.reaching)
    if untrusted:
        reasons = [f"  {day}: {untrusted[day]}" for day in sorted(untrusted)[:10]]
        more = f"\n  and {len(untrusted) - 10} more days" if len(untrusted) > 10 else ""
        raise Blocked(
            f"product {product.name!r}: no training set for split {split.id}: {len(untrusted)} raw days of "
            f"source {source.name!r} that reach its rows are not trusted:\n"
            + "\n".join(reasons)
            + more
            + "\nrepair these days at the source, or have an owner record a waiver"
        )
    inputs = expected_training_inputs(stores, repository, product, split)
    raw = stores.lake.table(raw_table(source.name))
    # by the digests just checked: a day replaced meanwhile does not slip in
    made = assemble(
        repository,
        product,
        split,
        {day: _path(stores, raw.name, day, inputs) for day in days.raw},
        {
            view: [
                _path(stores, feature_table(repository.feature_view(view).lake_name), day, inputs)
                for day in wanted
            ]
            for view, wanted in days.features.items()
        },
        {day: _path(stores, raw.name, day, inputs) for day in days.labelled},
    )
    return stores.lake.table(product_table(product.name, "training_set")).write(
        split.id,
        made.rows,
        key=source.primary_key,
        code_version=product.training_version,
        inputs=inputs,
        cause=cause,
        run_id=run_id,
        notes={
            **made.notes,
            "trained_as_of": split.trained_as_of,
            "train_days": list(split.train),
            "test_days": list(split.test),
            "views": dict(inputs[VIEWS]),
            "reading": product.split.reading,
        },
    )


def read_training_set(
    stores: Stores,
    training_set: Manifest,
    part: Literal["train", "test"] | None = None,
) -> pa.Table:
    """Rows of one version, of train or test days or both, in the order of their primary key."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    rows = pq.read_table(stores.lake.table(training_set.table).path(training_set), partitioning=None)
    return rows if part is None else rows.filter(pc.equal(rows.column(SPLIT_COLUMN), part))


def in_fitting_order(source: Source, rows: pa.Table) -> pa.Table:
    """Rows by event timestamp, then primary key: many models change with the order of their rows."""
    return rows.sort_by([(name, "ascending") for name in (source.event_timestamp, *source.primary_key)])


def _path(stores: Stores, table_name: str, day: str, inputs: Inputs) -> str:
    table = stores.lake.table(table_name)
    return str(table.path(table.version(day, inputs[table_name][day])))


def _feature_days(source: Source, view: FeatureView, split: SplitDays) -> tuple[str, ...]:
    """Days an as-of join may look back to, from each part's first day less the time to live."""
    back = -(-view.ttl // timedelta(days=1))
    found: set[str] = set()
    for days in (split.train, split.test):
        first = max(date.fromisoformat(days[0]) - timedelta(days=back), source.start)
        found.update(days_from(first, (date.fromisoformat(days[-1]) - first).days + 1))
    return tuple(sorted(found))


def _is_fresh(
    manifest: Manifest | None, raw: Mapping[str, str], source: Source, view: FeatureView, day: str
) -> bool:
    expected = inputs_from(raw, source, view, day)
    if manifest is None or expected is None:
        return False
    return manifest.is_made_from(view.code_version, expected)


def _told(days: Iterable[str]) -> str:
    return ", ".join(first if first == last else f"{first} to {last}" for first, last in ranges(days))
