"""Champion and challenger on one evaluation set: the candidate's test rows, each with its own features."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from platform_assets.declaration.gate import NotWorseThanChampion
from platform_assets.declaration.product import Product
from platform_assets.declaration.repository import Repository
from platform_assets.errors import PlatformError
from platform_assets.lake.manifest import Manifest
from platform_assets.registry.gates import Comparison
from platform_assets.registry.paired_bootstrap import paired_difference
from platform_assets.stores import Stores
from platform_assets.training.raw_columns import raw_columns
from platform_assets.vocabulary import AVAILABLE_AT, feature_table, product_table

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa


class Incomparable(PlatformError):
    """Why two versions have no common ground; becomes UNKNOWN."""


def compare(
    stores: Stores,
    repository: Repository,
    product: Product,
    gate: NotWorseThanChampion,
    candidate: Mapping[str, Any],
    champion: Mapping[str, Any] | None,
) -> Comparison:
    """Score both lineages on the candidate's test rows and bound the difference of the gate's metric.

    Rows at or before either model's label cut-off are left out. Whatever keeps the two from being
    compared (no row left, a feature version that the lake does not hold, a model that was changed)
    is told in `unknown`, never raised.
    """
    if champion is None:
        return Comparison(champion=None)
    name = str(champion["version"])
    try:
        rows, left_out = evaluation_rows(stores, repository, product, candidate, champion)
        scores = [
            scores_of(
                stores, product, lineage, inputs_of(stores, repository, product, lineage, candidate, rows)
            )
            for lineage in (candidate, champion)
        ]
    except PlatformError as error:
        return Comparison(champion=name, unknown=f"cannot be compared with version {name}: {error}")
    entity = repository.entity(gate.entity).join_key
    found = paired_difference(
        entity_codes(rows.column(entity)),
        rows.column(product.label.column).to_numpy(zero_copy_only=False),
        *scores,
        metric=gate.metric,
        confidence=gate.confidence,
        resamples=gate.resamples,
    )
    return Comparison(
        champion=name,
        candidate_value=found.candidate,
        champion_value=found.champion,
        lower=found.lower,
        rows=rows.num_rows,
        left_out=left_out,
        entities=found.entities,
        unknown=f"cannot be compared with version {name}: {found.unknown}" if found.unknown else "",
    )


def evaluation_rows(
    stores: Stores,
    repository: Repository,
    product: Product,
    candidate: Mapping[str, Any],
    champion: Mapping[str, Any],
) -> tuple[pa.Table, int]:
    """The candidate's test rows after both label cut-offs, and how many test rows that left out."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    table = stores.lake.table(product_table(product.name, "training_set"))
    manifest = table.version(candidate["training_set"]["partition"], candidate["training_set"]["digest"])
    rows = pq.read_table(table.path(manifest), partitioning=None)
    test = rows.filter(pc.equal(rows.column("_split"), "test")).combine_chunks()
    cut_off = max(_moment(lineage["trained_as_of"]) for lineage in (candidate, champion))
    moments = test.column(repository.source(product.source).event_timestamp).cast(pa.timestamp("us"))
    kept = test.filter(pc.greater(moments, pa.scalar(cut_off, pa.timestamp("us"))))
    if not kept.num_rows:
        raise Incomparable(
            f"none of the {test.num_rows} test rows lies after both label cut-offs "
            f"({candidate['trained_as_of']} and {champion['trained_as_of']}); take a later test window"
        )
    return kept, test.num_rows - kept.num_rows


def inputs_of(
    stores: Stores,
    repository: Repository,
    product: Product,
    lineage: Mapping[str, Any],
    candidate: Mapping[str, Any],
    rows: pa.Table,
) -> pa.Table:
    """A model's own inputs for the evaluation rows, in its order and of its own view versions."""
    import pyarrow as pa

    wanted = _training_run(stores, product, lineage)[1]["inputs"]
    owner = {f: view.name for view in repository.views_of(product) for f in view.feature_names}
    own, theirs = lineage["views"], candidate["views"]
    source = repository.source(product.source)
    same = {view for view, code_version in own.items() if theirs.get(view) == code_version}
    found = {
        name: rows.column(name)
        for name in wanted
        if name in rows.column_names and (name in source.column_names or owner.get(name) in same)
    }
    missing = [name for name in wanted if name not in found]
    raw = [name for name in missing if name in source.column_names]
    if raw:
        found |= raw_columns(stores, source, candidate["raw"], candidate["test_days"], rows, raw)
    for view in own:
        columns = [name for name in missing if name not in found and _holds(stores, view, own[view], name)]
        if columns:
            found |= _view_columns(stores, repository, view, own[view], candidate, rows, columns)
    absent = [name for name in wanted if name not in found]
    if absent:
        raise Incomparable(
            f"version {lineage['version']} needs {', '.join(absent)}, which neither the evaluation rows nor "
            f"its feature views in the lake ({', '.join(f'{v} {c}' for v, c in own.items())}) hold; keep the "
            f"champion's views declared and built beside the new ones until it is replaced"
        )
    return pa.table({name: found[name] for name in wanted})


def _view_columns(
    stores: Stores,
    repository: Repository,
    view_name: str,
    code_version: str,
    candidate: Mapping[str, Any],
    rows: pa.Table,
    columns: list[str],
) -> dict[str, pa.ChunkedArray]:
    """Features of one view version for the evaluation rows, as of each row's event timestamp."""
    from datetime import date, timedelta

    from platform_assets.features.as_of_join import AsOfView, as_of_join

    view = repository.feature_views.get(view_name)
    if view is None:
        raise Incomparable(
            f"feature view {view_name} is no longer declared; declare it until its champion is replaced"
        )
    source = repository.source(view.source)
    table = stores.lake.table(_table_of(view_name, code_version))
    first = date.fromisoformat(min(candidate["test_days"])) - timedelta(
        days=-(-view.ttl // timedelta(days=1))
    )
    last = date.fromisoformat(max(candidate["test_days"]))
    paths = []
    for n in range((last - first).days + 1):
        day = (first + timedelta(days=n)).isoformat()
        if day < source.start.isoformat():
            continue
        paths.append(str(table.path(_built(table.history(day), view_name, code_version, candidate, day))))
    as_of = AsOfView(
        name=view_name,
        paths=tuple(paths),
        join_keys=repository.entity_of(view).join_keys,
        event_timestamp=source.event_timestamp,
        available_at=AVAILABLE_AT,
        features=tuple(columns),
        ttl=view.ttl,
    )
    plain = rows.select([*dict.fromkeys((*source.primary_key, *as_of.join_keys, source.event_timestamp))])
    joined = as_of_join(plain, [as_of], event_timestamp=source.event_timestamp)
    return {name: joined.column(name) for name in columns}


def _built(
    history: list[Manifest], view: str, code_version: str, candidate: Mapping[str, Any], day: str
) -> Manifest:
    """The newest build of a feature day by that view version over the candidate's own raw days."""
    for manifest in reversed(history):
        if manifest.code_version != code_version:
            continue
        reached = {d: digest for parts in manifest.inputs.values() for d, digest in parts.items()}
        if all(candidate["raw"].get(d, digest) == digest for d, digest in reached.items()):
            return manifest
    raise Incomparable(
        f"feature view {view} version {code_version}, on which it was trained, was not built for {day} over "
        f"the candidate's raw data; keep the old view declared beside the new one until its champion is "
        f"replaced"
    )


def _table_of(view: str, code_version: str) -> str:
    """The lake table of a view version: the first has the view's name, every other its own."""
    version = int(code_version.partition("-")[0].removeprefix("v"))
    return feature_table(view if version == 1 else f"{view}@{version}")


def _holds(stores: Stores, view: str, code_version: str, column: str) -> bool:
    """Whether a view version has that column, as its builds in the lake tell."""
    table = stores.lake.table(_table_of(view, code_version))
    for partition in reversed(table.partitions()):
        for manifest in reversed(table.history(partition)):
            if manifest.code_version == code_version:
                return column in dict(manifest.schema)
    return False


def scores_of(stores: Stores, product: Product, lineage: Mapping[str, Any], inputs: pa.Table) -> np.ndarray:
    """Scores by the saved model; its files are checked against their digest before it is loaded."""
    from platform_assets.training.estimator import score
    from platform_assets.training.model_artifact import load_model

    run, _ = _training_run(stores, product, lineage)
    return score(load_model(stores, run.notes["artifact_path"], lineage["artifact_digest"]), inputs)


def _training_run(
    stores: Stores, product: Product, lineage: Mapping[str, Any]
) -> tuple[Manifest, dict[str, Any]]:
    table = stores.lake.table(product_table(product.name, "training_run"))
    run = table.version(lineage["training_set"]["partition"], lineage["training_run_digest"])
    return run, table.document_of(run)


def entity_codes(entities: pa.ChunkedArray) -> np.ndarray:
    """A number for each entity; rows without one count as one entity."""
    codes: np.ndarray = entities.combine_chunks().dictionary_encode("encode").indices.to_numpy()
    return codes


def _moment(text: str) -> Any:
    """A moment in UTC without zone, as timestamps are in the lake."""
    from datetime import UTC, datetime

    moment = datetime.fromisoformat(text)
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment
