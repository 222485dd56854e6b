"""The gate `feature_equality`: features recomputed by another implementation, without SQL.

Windows by `independent_features`, the as-of choice by a plain loop. Nothing is shared with `window_sql`
and `as_of_join` but the declaration, so that one mistake is not made twice.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from platform_assets.declaration.duration import microseconds
from platform_assets.declaration.feature_view import AnyEntity, FeatureView
from platform_assets.declaration.gate import FeatureEquality
from platform_assets.declaration.product import Product
from platform_assets.declaration.repository import Repository
from platform_assets.declaration.source import Source
from platform_assets.errors import PlatformError
from platform_assets.evidence.evidence import Evidence, Verdict
from platform_assets.features.availability import availability_column
from platform_assets.features.independent import (
    DAY,
    NotMeasuredError,
    independent_features,
    key_names,
    micros,
)
from platform_assets.features.reach import raw_days
from platform_assets.features.spark import sql_view_on_spark
from platform_assets.lake.digest import document_digest
from platform_assets.lake.manifest import Manifest
from platform_assets.vocabulary import AVAILABLE_AT, product_table, raw_table

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from platform_assets.stores import Stores

    Floats = npt.NDArray[np.float64]
    Integers = npt.NDArray[np.int64]


__all__ = ["feature_equality", "independent_features", "sampled_keys"]


def feature_equality(
    stores: Stores, repository: Repository, product: Product, training_set: Manifest, *, run_id: str = ""
) -> Evidence:
    """Compare a training set's features with their independent recomputation, and record the evidence.

    For each view the entities with the smallest hashes are sampled (`entities` of the gate), with all
    their rows; the raw versions are those that the training set names as its inputs. A difference is
    `|got - expected| > tolerance * max(1, |expected|)`, or a null on one side only. FAILED when
    there is any; UNKNOWN when it could not be measured. A product without features passes.
    """
    gate = next(
        (g for g in product.gates if isinstance(g, FeatureEquality)), FeatureEquality(kind="feature_equality")
    )
    built_with: Mapping[str, str] = training_set.notes.get("views", {})
    measured: dict[str, Any] = {"rows": 0, "columns": 0, "mismatches": {}, "max_abs_error": 0.0}
    try:
        _compare_views(stores, repository, product, training_set, built_with, gate, measured)
    except Exception as error:  # whatever stops the measurement, the verdict says so
        told = str(error) if isinstance(error, PlatformError) else f"{type(error).__name__}: {error}"
        verdict, reason = Verdict.UNKNOWN, f"could not be measured: {told}"
    else:
        wrong = sum(measured["mismatches"].values())
        verdict = Verdict.FAILED if wrong else Verdict.PASSED
        if wrong:
            reason = f"{wrong} values differ in {', '.join(sorted(measured['mismatches']))}"
        elif measured["columns"]:
            reason = f"{measured['rows']} rows x {measured['columns']} features are equal"
        else:
            reason = "the product uses no features"
    return stores.evidence.record(
        Evidence(
            kind="feature_equality",
            subject=product_table(product.name, "training_set"),
            partition=training_set.partition,
            verdict=verdict,
            reason=reason,
            versions={"training_set": training_set.digest, "views": document_digest(dict(built_with))},
            measured=measured,
            limits={"tolerance": gate.tolerance, "entities": gate.entities},
            run_id=run_id,
        )
    )


def _compare_views(
    stores: Stores,
    repository: Repository,
    product: Product,
    training_set: Manifest,
    built_with: Mapping[str, str],
    gate: FeatureEquality,
    measured: dict[str, Any],
) -> None:
    """Fill `measured`; raises NotMeasuredError when a view cannot be compared."""
    import pyarrow.parquet as pq

    path = stores.lake.table(product_table(product.name, "training_set")).path(training_set)
    source = repository.source(product.source)
    rows_seen = 0
    for view in repository.views_of(product):
        names = _used(product, view)
        if not names:
            continue
        if built_with.get(view.name) != view.code_version:
            raise NotMeasuredError(
                f"feature view {view.name!r} is declared as {view.code_version}, the training set was built "
                f"with {built_with.get(view.name)}; build the training set again"
            )
        entity = repository.entity_of(view)
        key_columns = list(dict.fromkeys([*source.primary_key, *entity.join_keys, source.event_timestamp]))
        absent = sorted({*key_columns, *names} - set(training_set_columns := pq.read_schema(path).names))
        if absent:
            raise NotMeasuredError(
                f"{path.name}: no column {', '.join(absent)}; it has {', '.join(training_set_columns)}"
            )
        held = pq.read_table(path, columns=list(entity.join_keys)).group_by(list(entity.join_keys))
        keys = sampled_keys(key_names(held.aggregate([]), entity.join_keys), gate.entities)
        if not keys:
            raise NotMeasuredError(f"the training set holds no {entity.name} to sample")
        rows = _rows_of(path, [*key_columns, *names], entity, keys)
        expected = _expected(stores, source, entity, view, training_set, rows, keys, names)
        _count_differences(rows, names, expected, gate.tolerance, measured)
        rows_seen += rows.num_rows
    measured["rows"] = rows_seen


def sampled_keys(keys: Iterable[Any], most: int) -> list[Any]:
    """The keys with the smallest hashes of their text: the same ones in every process."""
    present = (key for key in keys if key is not None)
    return sorted(present, key=lambda key: hashlib.blake2b(str(key).encode(), digest_size=16).digest())[:most]


def _used(product: Product, view: FeatureView) -> list[str]:
    """Features of a view among the product's inputs."""
    if view.name in product.inputs:
        return list(view.feature_names)
    return [
        name.split(":", 1)[1] for name in product.inputs if name.split(":", 1)[0] == view.name and ":" in name
    ]


def _expected(
    stores: Stores,
    source: Source,
    entity: AnyEntity,
    view: FeatureView,
    training_set: Manifest,
    rows: pa.Table,
    keys: list[Any],
    names: Sequence[str],
) -> dict[str, Floats]:
    """Each row's features as of its time: those of the newest raw row of its entity known by then."""
    import numpy as np
    import pyarrow as pa

    raw = _raw_rows(stores, source, entity, view, training_set, rows, keys)
    when = micros(rows, source.event_timestamp)
    reading = str(training_set.notes.get("reading", "as_known_now"))
    available = availability_column(source, reading)
    chosen = _newest_known(source, entity, raw, rows, microseconds(view.ttl), available)
    _check_reach(source, view, training_set, when, micros(raw, source.event_timestamp), chosen)
    some = chosen >= 0
    recomputed = independent_features if view.recomputed_on is None else sql_view_on_spark
    computed = recomputed(source, entity, view, raw, raw.take(pa.array(chosen[some])))
    expected = {}
    for name in names:
        expected[name] = np.full(rows.num_rows, np.nan)
        expected[name][some] = computed[name]
    return expected


def _raw_rows(
    stores: Stores,
    source: Source,
    entity: AnyEntity,
    view: FeatureView,
    training_set: Manifest,
    rows: pa.Table,
    keys: list[Any],
) -> pa.Table:
    """Raw rows of the sampled entities in the versions the training set was made from."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = stores.lake.table(raw_table(source.name))
    digests = training_set.inputs.get(raw_table(source.name), {})
    when = micros(rows, source.event_timestamp)
    oldest = _days(when - microseconds(view.ttl)) | _days(when)
    days = sorted(raw_days(oldest, view, start=source.start) & digests.keys())
    if not days:
        raise NotMeasuredError("the training set names no raw day among its inputs")
    paths = [table.path(table.version(day, digests[day])) for day in days]
    if view.sql is not None:  # which may look at other entities too
        everything = [*source.column_names, AVAILABLE_AT]
        return pa.concat_tables(pq.read_table(path, columns=everything) for path in paths)
    keyed = [*source.primary_key, *entity.join_keys, source.event_timestamp, AVAILABLE_AT]
    columns = list(dict.fromkeys((*keyed, *view.columns_read)))
    return pa.concat_tables(_rows_of(path, columns, entity, keys) for path in paths)


def _rows_of(path: Path, columns: Sequence[str], entity: AnyEntity, keys: list[Any]) -> pa.Table:
    """A file's rows of the entities with these keys."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    parts = [keys] if len(entity.join_keys) == 1 else [list(set(part)) for part in zip(*keys, strict=True)]
    among = [(name, "in", part) for name, part in zip(entity.join_keys, parts, strict=True)]
    rows = pq.read_table(path, columns=list(columns), filters=among)
    if len(parts) == 1:
        return rows
    wanted = set(keys)
    return rows.filter(pa.array([name in wanted for name in key_names(rows, entity.join_keys)], pa.bool_()))


def _newest_known(
    source: Source, entity: AnyEntity, raw: pa.Table, rows: pa.Table, ttl: int, available: str
) -> Integers:
    """Index of the raw row that each row takes its features from; -1 for none."""
    import numpy as np

    when, known = micros(raw, source.event_timestamp), micros(raw, available)
    has_availability = ~raw.column(available).combine_chunks().is_null().to_numpy(zero_copy_only=False)
    of: dict[Any, list[tuple[int, int, int]]] = {}
    for index, name in enumerate(key_names(raw, entity.join_keys)):
        if name is not None and has_availability[index]:
            of.setdefault(name, []).append((int(when[index]), int(known[index]), index))
    for events in of.values():
        events.sort()
    chosen = np.full(rows.num_rows, -1, dtype=np.int64)
    names = key_names(rows, entity.join_keys)
    for number, (name, t) in enumerate(
        zip(names, micros(rows, source.event_timestamp).tolist(), strict=True)
    ):
        events = of.get(name, [])
        for event, known_at, index in reversed(events[: bisect_right(events, t, key=lambda item: item[0])]):
            if event < t - ttl:
                break
            if known_at <= t:
                chosen[number] = index
                break
    return chosen


def _check_reach(
    source: Source,
    view: FeatureView,
    training_set: Manifest,
    when: Integers,
    raw_when: Integers,
    chosen: Integers,
) -> None:
    """Raise NotMeasuredError unless every raw day that the choice and its windows look at was there."""
    some = chosen >= 0
    looked_at = _days(raw_when[chosen[some]])
    older = ~some
    older[some] = raw_when[chosen[some]] < when[some]
    # where an older row stands in, the days in between were searched too
    ttl_days = -(-microseconds(view.ttl) // DAY)
    for number in sorted({int(t) // DAY for t in when[older]}):
        looked_at |= {_name(number - back) for back in range(ttl_days + 1)}
    needed = raw_days(looked_at, view, start=source.start)
    absent = sorted(needed - training_set.inputs.get(raw_table(source.name), {}).keys())
    if absent:
        raise NotMeasuredError(
            f"feature view {view.name!r}: {len(absent)} raw days that reach the rows are not among the "
            f"training set's inputs, first {absent[0]}; build the training set again"
        )


def _count_differences(
    rows: pa.Table,
    names: Sequence[str],
    expected: Mapping[str, Floats],
    tolerance: float,
    measured: dict[str, Any],
) -> None:
    import numpy as np
    import pyarrow as pa

    for name in names:
        got = rows.column(name).cast(pa.float64()).to_numpy()
        want = expected[name]
        with np.errstate(invalid="ignore"):
            error = np.where(got == want, 0.0, np.abs(got - want))
        both = np.isnan(got) & np.isnan(want)
        error[both] = 0.0
        wrong = ~(error <= tolerance * np.maximum(1.0, np.abs(np.nan_to_num(want))))
        measured["columns"] += 1
        if wrong.any():
            measured["mismatches"][name] = int(wrong.sum())
        comparable = error[np.isfinite(error)]
        if len(comparable):
            measured["max_abs_error"] = max(measured["max_abs_error"], float(comparable.max()))


def _days(moments: Integers) -> set[str]:
    import numpy as np

    return {_name(int(number)) for number in np.unique(moments // DAY)}


def _name(number: int) -> str:
    return date.fromordinal(number + 719_163).isoformat()  # ordinal of 1970-01-01
