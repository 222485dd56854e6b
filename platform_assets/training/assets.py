"""Training set and training run as assets."""

import time
from pathlib import Path

import dagster as dg

from platform_assets import asset_keys, events, vocabulary
from platform_assets.declaration.product import Product
from platform_assets.declaration.repository import Repository
from platform_assets.product_assets import product_asset
from platform_assets.resources import PlatformResource

LEAKAGE_CHECK = "leakage"
EQUALITY_CHECK = "feature_equality"
# what the web UI has a picture for
KINDS = {"sklearn": "scikitlearn", "lightgbm": "lightgbm", "xgboost": "xgboost"}


def training_set_asset(repository: Repository, product: Product) -> dg.AssetsDefinition:
    """Point-in-time rows of the split's train and test days, guarded against leakage."""
    source = repository.source(product.source)
    key = asset_keys.product_key(product, "training_set")
    inputs = repository.input_columns(product)
    schema, lineage = _columns(repository, product, inputs)

    @product_asset(
        product,
        "training_set",
        description="Point-in-time training and test rows: every value as it was known at its row's time.",
        kinds={"duckdb", "parquet"},
        code_version=product.training_version,
        deps=[
            dg.AssetDep(upstream, partition_mapping=dg.AllPartitionMapping())
            for upstream in (
                asset_keys.raw_key(source.name),
                *(asset_keys.view_key(name) for name in product.feature_views),
            )
        ],
        check_specs=[
            dg.AssetCheckSpec(
                LEAKAGE_CHECK,
                asset=key,
                description="Nothing changes when source and labels are cut at what was available.",
            ),
            dg.AssetCheckSpec(
                EQUALITY_CHECK,
                asset=key,
                description="An independent implementation finds the same features.",
            ),
        ],
        metadata={"dagster/column_schema": schema, "dagster/column_lineage": lineage},
    )
    def training_set(context: dg.AssetExecutionContext, platform: PlatformResource) -> dg.MaterializeResult:  # type: ignore[type-arg]
        from platform_assets.features.equality import feature_equality
        from platform_assets.training.leakage import leakage_guard
        from platform_assets.training.training_set import build_training_set

        started = time.perf_counter()
        stores = platform.stores()
        manifest = build_training_set(
            stores,
            repository,
            product,
            suite_path=repository.contract_path(source),
            cause=f"run {context.run.run_id}",
            run_id=context.run.run_id,
        )
        leakage = leakage_guard(stores, repository, product, manifest, run_id=context.run.run_id)
        equality = feature_equality(stores, repository, product, manifest, run_id=context.run.run_id)
        events.say(
            f"{product.name}/training_set",
            manifest.rows,
            time.perf_counter() - started,
            f"split {manifest.partition}, leakage {leakage.verdict}, equality {equality.verdict}",
        )
        notes = {name: value for name, value in manifest.notes.items() if isinstance(value, int | str)}
        return dg.MaterializeResult(
            metadata=events.manifest_metadata(manifest) | notes | {"split": manifest.partition},
            check_results=[
                events.evidence_check(leakage, LEAKAGE_CHECK, key),
                events.evidence_check(equality, EQUALITY_CHECK, key),
            ],
        )

    return training_set


def training_run_asset(repository: Repository, product: Product) -> dg.AssetsDefinition:
    """One fitted model, one MLflow run an attempt."""

    @product_asset(
        product,
        "training_run",
        description=f"{product.estimator.path} fitted on the training rows; one MLflow run an attempt.",
        kinds={"mlflow", KINDS.get(product.estimator.path.partition(".")[0], "python")},
        code_version=product.estimator_version,
        deps=[asset_keys.product_key(product, "training_set")],
    )
    def training_run(context: dg.AssetExecutionContext, platform: PlatformResource) -> dg.MaterializeResult:  # type: ignore[type-arg]
        from platform_assets.training.present_split import present
        from platform_assets.training.training_run import train

        started = time.perf_counter()
        stores = platform.stores()
        rows = present(stores, product, "training_set")
        manifest = train(
            stores, repository, product, rows, cause=f"run {context.run.run_id}", run_id=context.run.run_id
        )
        payload = stores.lake.table(manifest.table).document_of(manifest)
        events.say(
            f"{product.name}/training_run", None, time.perf_counter() - started, product.estimator.path
        )
        return dg.MaterializeResult(
            metadata={
                "model/estimator": product.estimator.path,
                vocabulary.MODEL_DIGEST: payload["model_digest"],
                "mlflow/run_id": str(manifest.notes.get("mlflow_run_id", "")),
                "model/folder": dg.MetadataValue.path(
                    str(stores.home.root / Path(str(manifest.notes.get("artifact_path", ""))))
                ),
            }
            | events.manifest_metadata(manifest)
        )

    return training_run


def _columns(
    repository: Repository, product: Product, inputs: tuple[str, ...]
) -> tuple[dg.TableSchema, dg.TableColumnLineage]:
    source = repository.source(product.source)
    raw = asset_keys.raw_key(source.name)
    from_view = {
        feature: view.name for view in repository.views_of(product) for feature in view.feature_names
    }
    keys = [repository.entity(name).join_key for name in product.entities]
    names = dict.fromkeys((*source.primary_key, source.event_timestamp, *keys, *inputs, product.label.column))
    features = {f.name: f for view in repository.views_of(product) for f in view.features}
    columns, deps = [], {}
    for name in names:
        if name in from_view:
            columns.append((name, features[name].type, features[name].description))
            deps[name] = [(asset_keys.view_key(from_view[name]), name)]
        else:
            columns.append((name, source.column(name).type, source.column(name).description))
            deps[name] = [(raw, name)]
    columns.append(("_split", "string", "train or test"))
    return events.column_schema(columns), events.column_lineage(deps)
