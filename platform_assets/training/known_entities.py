"""Members known to be positive, such as cards reported as stolen: they leave the test days."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

from platform_assets.declaration.product import Product
from platform_assets.declaration.repository import Repository
from platform_assets.training.split import SplitDays, days_from

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

DAY = 86_400_000_000  # microseconds


def labelled_days(product: Product, split: SplitDays) -> tuple[str, ...]:
    """Days whose positives are known before the last test day begins: [first train day, it - delay)."""
    if product.split.remove_known is None:
        return ()
    first, last = date.fromisoformat(split.train[0]), date.fromisoformat(split.test[-1])
    return days_from(first, (last - first).days - product.split.delay_days)


def known_rows(
    repository: Repository, product: Product, rows: pa.Table, labelled: Mapping[str, str]
) -> pa.ChunkedArray:
    """Whether each row's entity is known to be positive when the row's day begins.

    From day D on that is every entity with a positive row on a day strictly before D - delay, from
    the first train day on; where the label tells its own time, that time must also have come.
    Positives before the train days do not count. Source: `get_train_test_set` of the *Reproducible
    Machine Learning for Credit Card Fraud Detection* handbook, chapter 3.

    `labelled` are the Parquet files of `labelled_days` by day.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    source, label = repository.source(product.source), product.label
    entity = repository.entity(str(product.split.remove_known)).join_key
    columns = [entity, label.column, *filter(None, (label.available_at,))]
    keys, known_from = [], []
    for day, path in labelled.items():
        read = pq.read_table(path, columns=list(dict.fromkeys(columns)), partitioning=None)
        positive = pc.equal(pc.cast(read.column(label.column), pa.int64()), 1)
        read = read.filter(pc.and_(positive, read.column(entity).is_valid()))
        day_number = (date.fromisoformat(day) + timedelta(days=product.split.delay_days + 1)).toordinal()
        begins = np.full(read.num_rows, day_number - date(1970, 1, 1).toordinal(), dtype=np.int64)
        if label.available_at:
            told = read.column(label.available_at).cast(pa.timestamp("us")).cast(pa.int64())
            never = np.iinfo(np.int64).max // DAY * DAY
            begins = np.maximum(begins, -(-pc.fill_null(told, never).to_numpy() // DAY))
        keys.append(read.column(entity).combine_chunks())
        known_from.append(begins)
    if not keys:
        return pa.chunked_array([pa.array(np.zeros(rows.num_rows, dtype=bool))])
    # the earliest day decides: who is known on one day is known on all later ones
    facts = pa.table({"entity": pa.chunked_array(keys), "known_from": np.concatenate(known_from)})
    earliest = facts.group_by("entity").aggregate([("known_from", "min")])
    place = pc.index_in(rows.column(entity), value_set=earliest.column("entity").combine_chunks())
    since = pc.take(earliest.column("known_from_min"), place)
    moments = rows.column(source.event_timestamp).cast(pa.timestamp("us")).cast(pa.int64()).to_numpy()
    return pc.fill_null(pc.less_equal(since, pa.array(moments // DAY)), False)
