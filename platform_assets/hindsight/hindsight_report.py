"""The hindsight report: a training set as known now against the same as known then."""

from __future__ import annotations

from typing import Any

from platform_assets.declaration.product import Product
from platform_assets.declaration.repository import Repository
from platform_assets.errors import Blocked, PlatformError
from platform_assets.evidence.evidence import Evidence, Verdict
from platform_assets.features.engine import duckdb_engine
from platform_assets.hindsight.difference import Difference, difference
from platform_assets.hindsight.known_then import known_then
from platform_assets.hindsight.metric_added import MetricAdded, metric_added
from platform_assets.hindsight.row_versions import RowVersions, row_versions
from platform_assets.lake.manifest import Manifest
from platform_assets.stores import Stores
from platform_assets.training.training_set import VIEWS, read_training_set
from platform_assets.vocabulary import product_table, raw_table

KIND = "hindsight"


def hindsight_versions(training_set: Manifest, training_run: Manifest) -> dict[str, str]:
    """What hindsight evidence is bound to: the rows, all they were made from, and the model."""
    return {
        "training_set": training_set.digest,
        "inputs": training_set.inputs_digest,
        "training_run": training_run.digest,
    }


def hindsight_report(
    stores: Stores,
    repository: Repository,
    product: Product,
    training_set: Manifest,
    training_run: Manifest,
    *,
    run_id: str = "",
) -> Evidence:
    """Measure what the training set knows that nobody knew at the time, and record the evidence.

    PASSED when at most the declared share of rows differs and hindsight adds at most the declared
    amount to the metric, up to its upper bound. FAILED when either is above its limit. UNKNOWN when it
    could not be measured: history loaded in bulk by a source that does not say when rows became known,
    superseded rows collected as garbage, too few test rows for a bound, an error of any kind.

    Without late or corrected raw rows nothing is computed and no model is fitted.
    """
    measured: dict[str, Any] = {}
    try:
        verdict, reason = _measure(stores, repository, product, training_set, training_run, measured)
    except Exception as error:
        # whatever went wrong, hindsight was not measured, and that is told as loudly as hindsight itself
        told = str(error) if isinstance(error, PlatformError) else f"{type(error).__name__}: {error}"
        verdict, reason = Verdict.UNKNOWN, f"could not be measured: {told}"
    return stores.evidence.record(
        Evidence(
            kind=KIND,
            subject=product_table(product.name, "hindsight_report"),
            partition=training_set.partition,
            verdict=verdict,
            reason=reason,
            versions=hindsight_versions(training_set, training_run),
            measured=measured,
            limits=product.hindsight.model_dump(mode="json"),
            run_id=run_id,
        )
    )


def _measure(
    stores: Stores,
    repository: Repository,
    product: Product,
    training_set: Manifest,
    training_run: Manifest,
    measured: dict[str, Any],
) -> tuple[Verdict, str]:
    _check_present(stores, repository, product, training_set, training_run)
    source = repository.source(product.source)
    versions = row_versions(
        stores,
        source,
        training_set.inputs[raw_table(source.name)],
        loaded_within=product.hindsight.loaded_within,
    )
    with duckdb_engine() as engine:
        hindsight_rows = versions.hindsight(engine)
    measured |= {
        "raw_days": len(versions.files),
        "raw_days_assumed": len(versions.assumed_days),
        "raw_rows_late_or_corrected": hindsight_rows,
    }
    if not hindsight_rows:
        measured |= {"share_of_rows": 0.0, "rows_differ": 0, "added": 0.0, "features": []}
        told = f"none of the raw rows of {len(versions.files)} days came late or was corrected"
        return _unless_assumed(product, versions, told)
    now = read_training_set(stores, training_set)
    then = known_then(stores, repository, product, training_set, versions)
    found = difference(
        now,
        then.rows,
        key=source.primary_key,
        inputs=repository.input_columns(product),
        label=product.label.column,
    )
    measured |= {**found.summary(), "rows_reached": then.reached}
    measured["features"] = [line for line in found.columns if line["rows"]]
    added = None
    if found.rows:
        added = metric_added(stores, repository, product, training_run, now, then.rows, found)
        measured |= {
            "metric": added.metric,
            "metrics": list(added.metrics),
            "added": added.added,
            "added_lower": added.lower,
            "added_upper": added.upper,
            "test_rows": added.rows,
            "entities": added.entities,
        }
    else:
        measured["added"] = 0.0
    return _judged(product, versions, found, added)


def _check_present(
    stores: Stores, repository: Repository, product: Product, training_set: Manifest, training_run: Manifest
) -> None:
    run = stores.lake.table(training_run.table).document_of(training_run)
    if run["training_set_digest"] != training_set.digest:
        raise Blocked(
            f"the model of {training_run.partition} was fitted on another training set; materialize "
            f"{product.name}/training_run first"
        )
    declared = {view.name: view.code_version for view in repository.views_of(product)}
    if declared != dict(training_set.inputs[VIEWS]) or training_set.code_version != product.training_version:
        raise Blocked(
            "the product or its feature views changed since the training set was built; materialize "
            f"{product.name}/training_set first"
        )


def _judged(
    product: Product, versions: RowVersions, found: Difference, added: MetricAdded | None
) -> tuple[Verdict, str]:
    limits = product.hindsight
    told = (
        f"{found.rows} of {len(found.now) + found.added + found.removed} rows differ ({found.share:.2%}): "
        f"{found.added} only known now, {found.removed} only known then, {found.labels_changed} with another "
        f"label, {found.rows_changed} with any other value"
    )
    over = []
    if found.share > limits.rows_at_most:
        over.append(f"more than {limits.rows_at_most:.2%} of the rows")
    if added is None:
        told += "; nothing the model reads differs" if not found.rows else ""
    elif added.added is None:
        return (Verdict.FAILED if over else Verdict.UNKNOWN), f"{told}; no metric: {added.unknown}"
    else:
        told += f"; hindsight adds {added.added:+.4f} to {added.metric} on {added.rows} test rows"
        if added.upper is not None:
            told += f" (bounds {added.lower:+.4f} and {added.upper:+.4f})"
        if added.added > limits.metric_at_most:
            over.append(f"more than {limits.metric_at_most:g} of {added.metric}")
    if over:
        return Verdict.FAILED, (
            f"{told}: {' and '.join(over)}; leave out inputs that are corrected later, give their windows a "
            f"longer delay, or raise the limit"
        )
    if added is not None and (added.upper is None or added.upper > limits.metric_at_most):
        why = (
            added.unknown or f"the upper bound is above {limits.metric_at_most:g}, more test rows would tell"
        )
        return Verdict.UNKNOWN, f"{told}: {why}"
    return _unless_assumed(product, versions, told)


def _unless_assumed(product: Product, versions: RowVersions, told: str) -> tuple[Verdict, str]:
    """A pass, if the days are known to have been loaded as they came or the product takes them so."""
    days = versions.assumed_days
    if not days:
        return Verdict.PASSED, told
    where = f"{len(days)} of {len(versions.files)} raw days ({days[0]} to {days[-1]}) were loaded in bulk"
    if product.hindsight.bulk_history == "known_at_once":
        return Verdict.PASSED, f"{told}; {where} and are declared known at once"
    return Verdict.UNKNOWN, (
        f"{told}; but {where}, so nobody can tell what came late or was corrected before that: declare "
        f"available_at of source {versions.source.name!r}, or hindsight.bulk_history: known_at_once"
    )
