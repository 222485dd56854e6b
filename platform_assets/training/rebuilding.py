"""Rebuild a recorded model from raw rows alone: features, training set, fit, scores."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from platform_assets.declaration.product import Product
from platform_assets.declaration.recorded_declaration import declaration_from
from platform_assets.declaration.repository import Repository
from platform_assets.errors import LakeError
from platform_assets.features.compute import compute_features
from platform_assets.features.reach import raw_days
from platform_assets.lake.digest import canonical, table_digest
from platform_assets.lake.manifest import Manifest
from platform_assets.stores import Stores
from platform_assets.training.split import SplitDays
from platform_assets.training.training_rows import assemble, features_read
from platform_assets.training.training_run import fitted, model_digest
from platform_assets.training.training_set import days_read
from platform_assets.vocabulary import product_table, raw_table

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa


@dataclass(frozen=True)
class Recorded:
    """What was written down when a version was trained."""

    lineage: Mapping[str, Any]
    training_set: Manifest
    training_run: Manifest
    repository: Repository
    product: Product
    split: SplitDays


@dataclass(frozen=True)
class Rebuilt:
    """What came out now: rows in the order of their primary key, and the score of each."""

    rows: pa.Table
    scores: np.ndarray
    training_set_digest: str
    model_digest: str


def recorded_version(stores: Stores, product: str, version: str) -> Recorded:
    """The records of a registered version. Raises LakeError when it, or a manifest of it, is not there."""
    lineage = _lineage(stores, product, version)
    sets = stores.lake.table(product_table(product, "training_set"))
    runs = stores.lake.table(product_table(product, "training_run"))
    partition = lineage["training_set"]["partition"]
    training_run = runs.version(partition, lineage["training_run_digest"])
    # equal rows can have been made from several raw versions; the lineage says which were meant
    meant = [
        manifest
        for manifest in sets.history(partition)
        if manifest.digest == lineage["training_set"]["digest"]
        and dict(manifest.inputs[raw_table(_source(training_run))]) == dict(lineage["raw"])
    ]
    if not meant:
        raise LakeError(
            f"table {sets.name}: partition {partition} has no version {lineage['training_set']['digest']} "
            f"made from the raw days that version {version} recorded; its manifest was removed"
        )
    training_set = meant[-1]
    repository, declared = declaration_from(training_run.notes["declaration"], stores.home.root)
    notes = training_set.notes
    split = SplitDays(
        tuple(notes["train_days"]), tuple(notes["test_days"]), notes["trained_as_of"], partition
    )
    return Recorded(lineage, training_set, training_run, repository, declared, split)


def rebuild(stores: Stores, recorded: Recorded) -> Rebuilt:
    """Everything again from the recorded raw versions; no feature day of the lake is read.

    Raises LakeError when the data file of a recorded raw version is gone.
    """
    repository, product, split = recorded.repository, recorded.product, recorded.split
    source = repository.source(product.source)
    table = stores.lake.table(raw_table(source.name))
    raw = {
        day: str(table.path(table.version(day, digest))) for day, digest in recorded.lineage["raw"].items()
    }
    days = days_read(repository, product, split)
    missing = [day for day in days.reaching if day not in raw]
    if missing:
        raise LakeError(
            f"the lineage names no version of raw days {', '.join(missing[:5])}, which reach its rows"
        )
    with tempfile.TemporaryDirectory(prefix="platform-rebuild-") as folder:
        features = {
            name: [_feature_file(repository, name, raw, days.features[name], Path(folder))]
            for name in features_read(repository, product)
        }
        made = assemble(repository, product, split, raw, features, {day: raw[day] for day in days.labelled})
    rows = canonical(made.rows, source.primary_key)
    digest = table_digest(rows)
    trials = recorded.training_run.notes.get("search_trials")  # CPU seconds may allow another number now
    _, scores, _ = fitted(repository, product, rows, trials=trials)
    return Rebuilt(rows, scores, digest, model_digest(digest, product, scores))


def _feature_file(
    repository: Repository, name: str, raw: Mapping[str, str], days: tuple[str, ...], folder: Path
) -> str:
    import pyarrow.parquet as pq

    view = repository.feature_view(name)
    source = repository.source(view.source)
    paths = [raw[day] for day in sorted(raw_days(days, view, start=source.start))]
    rows = compute_features(source, repository.entity_of(view), view, paths, days)
    path = folder / f"{name}.parquet"
    # sorted like the lake's own files: of equal timestamps a join takes the last row
    pq.write_table(canonical(rows, source.primary_key), path, compression="zstd", coerce_timestamps="us")
    return str(path)


def _lineage(stores: Stores, product: str, version: str) -> dict[str, Any]:
    table = stores.lake.table(product_table(product, "registered_model"))
    found = [
        manifest
        for partition in table.partitions()
        for manifest in table.history(partition)
        if str(manifest.notes.get("version") or table.document_of(manifest)["version"]) == str(version)
    ]
    if not found:
        raise LakeError(f"table {table.name}: version {version} was never registered")
    return table.document_of(max(found, key=lambda manifest: (manifest.created_at, manifest.sequence)))


def _source(training_run: Manifest) -> str:
    return str(training_run.notes["declaration"]["source"]["name"])
