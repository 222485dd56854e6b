"""What a model's inputs and scores looked like when it was trained, frozen with it.

products/<product>/drift_reference        one document a split id: bins and counts of every column
"""

from __future__ import annotations

from typing import Any

from platform_assets.declaration.product import Product
from platform_assets.lake.manifest import Manifest
from platform_assets.monitoring.psi import Bins, freeze, numbers
from platform_assets.serving.predictions import SCORE
from platform_assets.serving.registered_scorer import RegisteredScorer
from platform_assets.stores import Stores
from platform_assets.vocabulary import product_table

REFERENCE_VERSION = "1"


def drift_reference(
    stores: Stores, product: Product, scorer: RegisteredScorer, *, cause: str, run_id: str = ""
) -> Manifest:
    """The frozen reference of one registered version; made once, from exactly its training rows.

    Columns that cannot be measured (text, infinite values) are recorded with the reason. Raises
    LakeError when the training set or the model is no longer what the lineage names.
    """
    partition, digest = scorer.training_set["partition"], scorer.training_set["digest"]
    training_sets = stores.lake.table(product_table(product.name, "training_set"))
    table = stores.lake.table(product_table(product.name, "drift_reference"))
    made_from = {
        training_sets.name: {partition: digest},
        product_table(product.name, "training_run"): {partition: scorer.training_run_digest},
    }
    code_version = f"{REFERENCE_VERSION}-{product.drift.bins}"
    for manifest in reversed(table.history(partition)):
        if manifest.is_made_from(code_version, made_from):
            return manifest
    columns = _frozen_columns(stores, scorer, training_sets.version(partition, digest), product.drift.bins)
    return table.write_document(
        partition,
        {
            "model_digest": scorer.model_digest,
            "training_set_digest": digest,
            "bins": product.drift.bins,
            "rows": max((column["rows"] for column in columns.values()), default=0),
            "columns": columns,
        },
        code_version=code_version,
        inputs=made_from,
        cause=cause,
        run_id=run_id,
        notes={"model_version": scorer.version},
    )


def bins_of(document: dict[str, Any], column: str) -> Bins:
    """The frozen bins of one column. Raises ValueError with the recorded reason when it has none."""
    found = document["columns"][column]
    if "reason" in found:
        raise ValueError(f"training rows: {found['reason']}")
    return Bins.from_document(found)


def _frozen_columns(
    stores: Stores, scorer: RegisteredScorer, training_set: Manifest, bins: int
) -> dict[str, dict[str, Any]]:
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    path = stores.lake.table(training_set.table).path(training_set)
    rows = pq.read_table(path, columns=[*scorer.inputs, "_split"], partitioning=None)
    rows = rows.filter(pc.equal(rows.column("_split"), "train")).drop_columns(["_split"])
    rows = rows.append_column(SCORE, pa.array(scorer.score(rows), pa.float64()))
    columns: dict[str, dict[str, Any]] = {}
    for name in rows.column_names:
        try:
            columns[name] = freeze(numbers(rows.column(name)), bins).to_document()
        except ValueError as error:
            columns[name] = {"reason": str(error), "rows": rows.num_rows}
    return columns
