"""Drift: the newest scored days against the rows the champion was trained on."""

from __future__ import annotations

import math
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from platform_assets.declaration.monitor import DriftMonitor
from platform_assets.declaration.product import Product
from platform_assets.declaration.repository import Repository
from platform_assets.errors import Blocked, PlatformError
from platform_assets.evidence.evidence import Evidence, Verdict, worst
from platform_assets.lake.digest import digest_of_digests
from platform_assets.lake.manifest import Manifest
from platform_assets.monitoring.drift_reference import bins_of, drift_reference
from platform_assets.monitoring.psi import numbers, population_stability_index
from platform_assets.serving.day_inputs import day_inputs
from platform_assets.serving.predictions import SCORE
from platform_assets.serving.registered_scorer import RegisteredScorer
from platform_assets.stores import Stores
from platform_assets.vocabulary import product_table

if TYPE_CHECKING:
    import pyarrow as pa


def drift_report(stores: Stores, repository: Repository, product: Product, *, run_id: str = "") -> Evidence:
    """Record the stability index of every model input and of the score, as Evidence "drift".

    FAILED when one is above the declared limit. UNKNOWN, with the reason, when anything could not
    be measured: no champion, too few rows, a day missing or stale, a column without numbers, or an
    error of any kind. PASSED only when everything was measured and is within the limit.
    """
    versions = {"model": "", "training_set": "", "predictions": ""}
    measured: dict[str, Any] = {"features": [], "worst": None}
    try:
        scorer = _champion_scorer(stores, product)
        versions |= {"model": scorer.model_digest, "training_set": scorer.training_set["digest"]}
        scored = _newest_days(stores, product)
        versions["predictions"] = digest_of_digests({day: made.digest for day, made in scored.items()})
        cause = f"drift of version {scorer.version}"
        reference = drift_reference(stores, product, scorer, cause=cause, run_id=run_id)
        document = stores.lake.table(reference.table).document_of(reference)
        current = _current_rows(stores, repository, product, scorer, scored)
        features = [_column_drift(name, document, current, product.drift) for name in (*scorer.inputs, SCORE)]
        measured = {
            "features": features,
            "worst": _worst_name(features),
            "days": [min(scored), max(scored)],
            "model_version": scorer.version,
        }
        verdict, reason = _judged(features, product.drift.psi_limit, [min(scored), max(scored)])
    except Exception as error:
        # whatever went wrong, drift was not measured, and that is told as loudly as drift itself
        verdict, reason = Verdict.UNKNOWN, _in_words(error)
    return stores.evidence.record(
        Evidence(
            kind="drift",
            subject=product_table(product.name, "drift_report"),
            verdict=verdict,
            reason=reason,
            versions=versions,
            measured=measured,
            limits=product.drift.model_dump(mode="json"),
            run_id=run_id,
        )
    )


def _champion_scorer(stores: Stores, product: Product) -> RegisteredScorer:
    from platform_assets.registry.champion import champion

    live = champion(stores, product)
    if live is None:
        raise Blocked(f"product {product.name} has no champion; promote a version first")
    return RegisteredScorer.of(stores, product, live.version)


def _newest_days(stores: Stores, product: Product) -> dict[str, Manifest]:
    """The newest scored days, as many as declared and without a gap."""
    table = stores.lake.table(product_table(product.name, "predictions"))
    days = table.partitions()
    if not days:
        raise Blocked(f"{table.name} holds no day; score some first")
    newest = date.fromisoformat(days[-1])
    wanted = [(newest - timedelta(days=n)).isoformat() for n in reversed(range(product.drift.current_days))]
    missing = [day for day in wanted if day not in days]
    if missing:
        raise Blocked(
            f"{table.name} lacks {len(missing)} of the {len(wanted)} days up to {newest} "
            f"({', '.join(missing[:5])}); score them first"
        )
    return table.current(wanted)


def _current_rows(
    stores: Stores,
    repository: Repository,
    product: Product,
    scorer: RegisteredScorer,
    scored: dict[str, Manifest],
) -> dict[str, list[pa.ChunkedArray]]:
    """Each input and the score, one array a day.

    A day that another version scored is scored by the champion here, in memory: two models'
    scores differ without any drift.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    source, views = repository.source(product.source), scorer.views(repository)
    predictions = stores.lake.table(product_table(product.name, "predictions"))
    found: dict[str, list[pa.ChunkedArray]] = {name: [] for name in (*scorer.inputs, SCORE)}
    for day, inputs in day_inputs(stores, source, views, scored).items():
        rows = inputs.read(stores, source, views, scorer.inputs)
        for name in scorer.inputs:
            found[name].append(rows.column(name))
        if scored[day].notes["model_digest"] == scorer.model_digest:
            path = predictions.path(scored[day])
            found[SCORE].append(pq.read_table(path, columns=[SCORE], partitioning=None).column(SCORE))
        else:
            found[SCORE].append(pa.chunked_array([pa.array(scorer.score(rows), pa.float64())]))
    return found


def _column_drift(
    name: str, document: dict[str, Any], current: dict[str, list[pa.ChunkedArray]], monitor: DriftMonitor
) -> dict[str, Any]:
    """One line of the report; `psi` is None where it could not be measured, and `reason` says why."""
    import numpy as np

    rows = {
        "rows_reference": document["columns"][name]["rows"],
        "rows_current": sum(len(column) for column in current[name]),
    }
    try:
        few = min(rows.values())
        if few < monitor.min_rows:
            raise ValueError(f"{few} rows on one side, fewer than {monitor.min_rows}")
        values = np.concatenate([numbers(column) for column in current[name]])
        index = population_stability_index(bins_of(document, name), values)
        if not math.isfinite(index):
            raise ValueError(f"the index is {index}")
    except ValueError as error:
        return {"name": name, "psi": None, **rows, "verdict": str(Verdict.UNKNOWN), "reason": str(error)}
    verdict = Verdict.FAILED if index > monitor.psi_limit else Verdict.PASSED
    return {"name": name, "psi": index, **rows, "verdict": str(verdict)}


def _judged(features: list[dict[str, Any]], limit: float, days: list[str]) -> tuple[Verdict, str]:
    verdict = worst([Verdict(feature["verdict"]) for feature in features])
    where = f"{days[0]} to {days[-1]}"
    failed = [f"{f['name']} {f['psi']:.3f}" for f in features if f["verdict"] == Verdict.FAILED]
    unknown = [f"{f['name']}: {f['reason']}" for f in features if f["verdict"] == Verdict.UNKNOWN]
    parts = []
    if failed:
        parts.append(f"above the limit {limit:g}: {', '.join(failed)}")
    if unknown:
        parts.append(f"not measured: {'; '.join(unknown[:3])}" + (" ..." if len(unknown) > 3 else ""))
    if not parts:
        highest = max(features, key=lambda feature: feature["psi"])
        parts.append(
            f"{len(features)} columns within the limit {limit:g}, "
            f"highest {highest['name']} {highest['psi']:.3f}"
        )
    return verdict, f"{where}: {'; '.join(parts)}"


def _worst_name(features: list[dict[str, Any]]) -> str | None:
    measured = [feature for feature in features if feature["psi"] is not None]
    return max(measured, key=lambda feature: feature["psi"])["name"] if measured else None


def _in_words(error: Exception) -> str:
    told = str(error) if isinstance(error, PlatformError) else f"{type(error).__name__}: {error}"
    return f"could not be measured: {told}"
