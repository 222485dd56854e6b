"""Prequential evaluation: the same training on earlier splits, each tested on the days right after.

The split moves back by its test days, as an investigator would have lived it (*Reproducible Machine
Learning for Credit Card Fraud Detection*, ULB 2022, chapter "Validation strategies", prequential).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from platform_assets.declaration.product import Product
from platform_assets.declaration.repository import Repository
from platform_assets.errors import PlatformError, TrainingError
from platform_assets.lake.lake import Inputs
from platform_assets.stores import Stores
from platform_assets.training.split import SplitDays, days_from
from platform_assets.training.training_rows import SPLIT_COLUMN, assemble
from platform_assets.training.training_run import fitted
from platform_assets.training.training_set import days_read, expected_training_inputs, in_fitting_order
from platform_assets.vocabulary import feature_table, raw_table

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa


@dataclass(frozen=True)
class Fold:
    """One earlier split: its test rows in fitting order and their scores, or why there are none."""

    split: SplitDays
    train_rows: int = 0
    rows: pa.Table | None = None
    scores: np.ndarray | None = None
    inputs: Inputs = field(default_factory=dict)
    unmeasured: str = ""


def earlier_splits(split: SplitDays, folds: int) -> list[SplitDays]:
    """The split moved back by its test days, once for each fold; the nearest first."""
    return [_moved(split, timedelta(days=len(split.test) * (n + 1))) for n in range(folds)]


def fold(
    stores: Stores, repository: Repository, product: Product, split: SplitDays, searched: Mapping[str, Any]
) -> Fold:
    """Train and score on an earlier split, from the current versions of its days.

    `searched` are the parameters that a search found: folds take them as they are, so what spreads is
    the data. What keeps a fold from being measured is told in it, never raised.
    """
    source = repository.source(product.source)
    if split.train[0] < source.start.isoformat():
        return Fold(split, unmeasured=f"source {source.name} starts at {source.start}")
    estimator = product.estimator.found(dict(searched)) if product.estimator.search else product.estimator
    settled = product.model_copy(update={"estimator": estimator})
    try:
        inputs = expected_training_inputs(stores, repository, product, split)
        rows = _rows(stores, repository, settled, split, inputs)
        train = rows.filter(_part(rows, "train"))
        _, scores, _ = fitted(repository, settled, rows)
    except PlatformError as error:
        return Fold(split, unmeasured=str(error).splitlines()[0])
    import numpy as np

    is_test = _part(rows, "test")
    test = rows.append_column("_score", [scores]).filter(is_test)
    ordered = in_fitting_order(source, test)
    if not ordered.num_rows:
        return Fold(split, train.num_rows, unmeasured="there are no test rows")
    return Fold(
        split,
        train.num_rows,
        ordered.drop_columns(["_score"]),
        np.asarray(ordered.column("_score").to_numpy()),
        inputs,
    )


def known_then(product: Product, repository: Repository, rows: pa.Table, moment: str) -> np.ndarray:
    """Which rows' labels were known at a moment (ISO 8601, UTC), by the label's declared delay.

    Raises TrainingError for a label that tells its own time in a column: training sets do not hold it.
    """
    import numpy as np
    import pyarrow as pa

    if product.label.available_at is not None:
        raise TrainingError(
            f"label {product.label.column!r} tells its own time ({product.label.available_at}), which the "
            f"rows of a fold do not hold"
        )
    event = rows.column(repository.source(product.source).event_timestamp).cast(pa.timestamp("us")).to_numpy()
    cut = np.datetime64(datetime.fromisoformat(moment).replace(tzinfo=None), "us")
    known: np.ndarray = event + np.timedelta64(product.label.delay) <= cut
    return known


def summary(values: Sequence[Mapping[str, float | None]]) -> dict[str, dict[str, Any]]:
    """Mean and sample deviation of each metric over the splits in which it was measured."""
    import numpy as np

    told = {}
    for name in values[0]:
        measured = [v for each in values if (v := each.get(name)) is not None]
        told[name] = {
            "mean": float(np.mean(measured)) if measured else None,
            "deviation": float(np.std(measured, ddof=1)) if len(measured) > 1 else None,
            "splits": len(measured),
            "of": len(values),
        }
    return told


def _rows(
    stores: Stores, repository: Repository, product: Product, split: SplitDays, inputs: Inputs
) -> pa.Table:
    """The rows of a split in the order of their primary key, as a stored training set has them."""
    from platform_assets.lake.digest import canonical

    def path(table_name: str, day: str) -> str:
        table = stores.lake.table(table_name)
        return str(table.path(table.version(day, inputs[table_name][day])))

    raw, days = raw_table(product.source), days_read(repository, product, split)
    made = assemble(
        repository,
        product,
        split,
        {day: path(raw, day) for day in days.raw},
        {
            view: [path(feature_table(repository.feature_view(view).lake_name), day) for day in wanted]
            for view, wanted in days.features.items()
        },
        {day: path(raw, day) for day in days.labelled},
    )
    return canonical(made.rows, repository.source(product.source).primary_key)


def _part(rows: pa.Table, part: str) -> Any:
    import pyarrow.compute as pc

    return pc.equal(rows.column(SPLIT_COLUMN), part)


def _moved(split: SplitDays, back: timedelta) -> SplitDays:
    first, test = date.fromisoformat(split.train[0]) - back, date.fromisoformat(split.test[0]) - back
    return SplitDays(
        train=days_from(first, len(split.train)),
        test=days_from(test, len(split.test)),
        trained_as_of=f"{test.isoformat()}T00:00:00.000000Z",
        id=f"{first.isoformat()} (fold)",
    )
