"""Predictions: a day keeps its first result; what it would be today stands beside it.

products/<product>/predictions            one partition a day: the first result
products/<product>/predictions_rescored   the same day again by the same version, on corrected inputs
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from platform_assets.declaration.product import Product
from platform_assets.declaration.repository import Repository
from platform_assets.errors import Blocked, LakeError
from platform_assets.lake.atomic_files import exclusive_lock
from platform_assets.lake.lake import Inputs
from platform_assets.lake.manifest import Manifest
from platform_assets.serving.day_inputs import DayInputs, day_inputs
from platform_assets.serving.registered_scorer import RegisteredScorer
from platform_assets.stores import Stores
from platform_assets.vocabulary import feature_table, product_table, raw_table

if TYPE_CHECKING:
    import pyarrow as pa

    from platform_assets.registry.champion import Champion

SCORING_VERSION = "1"
SCORE = "score"


def predict_days(
    stores: Stores,
    repository: Repository,
    product: Product,
    days: Iterable[str],
    *,
    cause: str,
    run_id: str = "",
) -> list[Manifest]:
    """One manifest a day, in order of days: what is known of the day's scores.

    The champion is resolved once. A day never scored is scored by it. A day scored before keeps
    its result; if its raw rows or features have changed since, the version that scored it first
    scores it again into `predictions_rescored`, unless that version's feature views are no longer
    declared: it cannot be fed then, and the first result is all there is.

    Each day is one call of the model, whatever days are asked for together: linear algebra over
    another number of rows differs in the last bits, and a day's digest would depend on its company.

    Raises Blocked, before anything is scored, without a champion, when the champion's feature views
    are not the declared ones, or naming each day and view that is missing or stale.
    """
    table = stores.lake.table(product_table(product.name, "predictions"))
    with exclusive_lock(stores.home.locks / f"predictions-{product.name}.lock"):
        live = _resolved(stores, product)
        wanted = sorted(set(days))
        first = table.current(wanted)
        fresh = [day for day in wanted if day not in first]
        scorers: dict[str, RegisteredScorer] = {}
        plan: dict[str, tuple[RegisteredScorer, DayInputs]] = {}
        if fresh:
            champion = scorers[live.version] = _champion_scorer(stores, product, live)
            plan |= _planned(stores, repository, product, champion, fresh)
        for version, changed in _changed_since(stores, first).items():
            if version not in scorers:
                scorers[version] = RegisteredScorer.of(stores, product, version)
            if not scorers[version].changed_views(repository):
                plan |= _planned(stores, repository, product, scorers[version], changed)

        made: dict[str, Manifest] = dict(first)
        for day, (scorer, inputs) in sorted(plan.items()):
            if day in first:
                made[day] = _score_again(
                    stores, repository, product, scorer, inputs, first[day], cause=cause, run_id=run_id
                )
                continue
            made[day] = table.write(
                day,
                _scored(stores, repository, product, scorer, inputs),
                key=repository.source(product.source).primary_key,
                code_version=SCORING_VERSION,
                inputs=_inputs(product, scorer, inputs),
                cause=cause,
                run_id=run_id,
                notes={
                    "model_version": scorer.version,
                    "model_digest": scorer.model_digest,
                    "decision_id": live.decision_id,
                    "retroactive": _is_retroactive(day, live),
                },
            )
    return [made[day] for day in wanted]


def days_to_score(stores: Stores, repository: Repository, product: Product, days: Iterable[str]) -> list[str]:
    """Those of the days that `predict_days` would score now: never scored, or corrected since.

    A corrected day whose first version can no longer be fed keeps its first result and is not named.
    """
    first = stores.lake.table(product_table(product.name, "predictions")).current()
    again = stores.lake.table(product_table(product.name, "predictions_rescored"))
    wanted = sorted(set(days))
    found = [day for day in wanted if day not in first]
    for version, changed in _changed_since(stores, {d: first[d] for d in wanted if d in first}).items():
        if RegisteredScorer.of(stores, product, version).changed_views(repository):
            continue
        for day in changed:
            rescored = again.manifest(day)
            if rescored is None or _changed_since(stores, {day: rescored}):
                found.append(day)
    return sorted(found)


def tables_scored_from(stores: Stores, repository: Repository, product: Product) -> list[str]:
    """The lake tables that the champion's scores of a day come from: of its own feature view versions."""
    from platform_assets.registry.champion import champion_at

    # by the ledger alone: looking at what is open must not cost an import of MLflow
    live = champion_at(stores.ledger, product.name, stores.ledger.now())
    views = repository.views_of(product)
    if live is not None:
        scorer = RegisteredScorer.of(stores, product, live.version)
        views = views if scorer.changed_views(repository) else scorer.views(repository)
    return [raw_table(product.source), *(feature_table(view.lake_name) for view in views)]


def live_model_at(stores: Stores, product: Product, day: str) -> dict[str, Any]:
    """The model that was live on a day: `version`, `model_digest`, `retroactive`.

    It is the version that first scored the day. A day never scored takes the present champion,
    marked retroactive when the day had ended before the champion was confirmed. Raises Blocked
    when there is neither.
    """
    history = stores.lake.table(product_table(product.name, "predictions")).history(day)
    if history:
        notes = history[0].notes
        return {
            "version": notes["model_version"],
            "model_digest": notes["model_digest"],
            "retroactive": notes["retroactive"],
        }
    live = _resolved(stores, product)
    return {
        "version": live.version,
        "model_digest": live.model_digest,
        "retroactive": _is_retroactive(day, live),
    }


def _resolved(stores: Stores, product: Product) -> Champion:
    from platform_assets.registry.champion import champion

    live = champion(stores, product)
    if live is None:
        raise Blocked(
            f"product {product.name} has no champion, so nothing can be scored; train a version and promote "
            f"it (materialize {product.name}/promotion, or make run)"
        )
    return live


def _champion_scorer(stores: Stores, product: Product, live: Champion) -> RegisteredScorer:
    scorer = RegisteredScorer.of(stores, product, live.version)
    if (scorer.model_digest, scorer.artifact_digest) != (live.model_digest, live.artifact_digest):
        raise LakeError(
            f"product {product.name}: the lineage of version {live.version} names model "
            f"{scorer.model_digest}, the promotion confirmed {live.model_digest}; promote a version again"
        )
    return scorer


def _planned(
    stores: Stores, repository: Repository, product: Product, scorer: RegisteredScorer, days: list[str]
) -> dict[str, tuple[RegisteredScorer, DayInputs]]:
    source = repository.source(product.source)
    found = day_inputs(stores, source, scorer.views(repository), days)
    return {day: (scorer, inputs) for day, inputs in found.items()}


def _changed_since(stores: Stores, first: dict[str, Manifest]) -> dict[str, list[str]]:
    """Days whose raw rows or features are no longer those first scored, by the version that scored them."""
    changed: dict[str, list[str]] = {}
    for day, manifest in sorted(first.items()):
        for table, read in manifest.inputs.items():
            if day not in read:
                continue  # the registered model
            current = stores.lake.table(table).manifest(day)
            if current is None or current.digest != read[day]:
                changed.setdefault(manifest.notes["model_version"], []).append(day)
                break
    return changed


def _scored(
    stores: Stores, repository: Repository, product: Product, scorer: RegisteredScorer, inputs: DayInputs
) -> pa.Table:
    """Primary key, event timestamp, join keys and score of one day's rows."""
    import pyarrow as pa

    source = repository.source(product.source)
    joins = (repository.entity(name).join_key for name in product.entities)
    carried = [*dict.fromkeys((*source.primary_key, source.event_timestamp, *joins))]
    rows = inputs.read(stores, source, scorer.views(repository), (*carried, *scorer.inputs))
    return rows.select(carried).append_column(SCORE, pa.array(scorer.score(rows), pa.float64()))


def _inputs(product: Product, scorer: RegisteredScorer, inputs: DayInputs) -> Inputs:
    registered = product_table(product.name, "registered_model")
    return {**inputs.digests, registered: {scorer.version: scorer.model_digest}}


def _score_again(
    stores: Stores,
    repository: Repository,
    product: Product,
    scorer: RegisteredScorer,
    inputs: DayInputs,
    first: Manifest,
    *,
    cause: str,
    run_id: str,
) -> Manifest:
    """Score a corrected day by the version that scored it first, beside the first result."""
    table = stores.lake.table(product_table(product.name, "predictions_rescored"))
    made_from = _inputs(product, scorer, inputs)
    present = table.manifest(inputs.day)
    if present is not None and present.is_made_from(SCORING_VERSION, made_from):
        return present
    rows = _scored(stores, repository, product, scorer, inputs)
    predictions = stores.lake.table(first.table)
    return table.write(
        inputs.day,
        rows,
        key=first.key,
        code_version=SCORING_VERSION,
        inputs=made_from,
        cause=cause,
        run_id=run_id,
        notes={
            **first.notes,
            "first_digest": first.digest,
            **_differences(predictions.path(first), rows, list(first.key)),
        },
    )


def _differences(first: Any, again: pa.Table, key: list[str]) -> dict[str, int]:
    """How many rows of a second scoring have another score, are new, or are gone."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    before = pq.read_table(first, columns=[*key, SCORE], partitioning=None)
    both = before.join(again.select([*key, SCORE]), key, join_type="inner", right_suffix="_again")
    differing = pc.sum(pc.not_equal(both.column(SCORE), both.column(f"{SCORE}_again"))).as_py() or 0
    return {
        "rows_differing": differing,
        "rows_added": again.num_rows - both.num_rows,
        "rows_removed": before.num_rows - both.num_rows,
    }


def _is_retroactive(day: str, live: Champion) -> bool:
    """Whether a day (in UTC) had ended before its champion was confirmed."""
    end = datetime.fromisoformat(day).replace(tzinfo=UTC) + timedelta(days=1)
    return end <= datetime.fromisoformat(live.confirmed_at)
