"""Training sets of a Feast user's repository as assets, and served feature vectors against them."""

import dagster as dg

from platform_assets import events
from platform_assets.declaration.feast_project import TrainingSet
from platform_assets.feast_project.project_asset import ProjectAssets
from platform_assets.feast_project.training_set import feature_references, training_version, views_read
from platform_assets.resources import PlatformResource

SERVED_CHECK = "served_equals_training"


def training_set_asset(assets: ProjectAssets, declared: TrainingSet) -> dg.AssetsDefinition:
    """Features as they were known at each row of an entity frame."""
    references = feature_references(assets.snapshot, declared)
    views = views_read(assets.snapshot, declared)

    def measure(context: dg.AssetExecutionContext, platform: PlatformResource) -> dg.MaterializeResult:  # type: ignore[type-arg]
        from platform_assets.feast_project.training_set import PARTITION, build_training_set, null_counts

        opened = assets.opened(platform)
        manifest = build_training_set(
            opened, declared, cause=f"run {context.run.run_id}", run_id=context.run.run_id
        )
        rows = opened.stores.lake.table(manifest.table).read([PARTITION])
        return dg.MaterializeResult(
            metadata=events.manifest_metadata(manifest)
            | {"features": events.table(null_counts(rows, [feature for _, feature in references]))}
        )

    return assets.asset(
        assets.key("training_set", declared.name),
        measure,
        description=f"Features of {declared.feature_service or 'the declared list'} as known at each row of "
        f"{declared.entities}.",
        kinds={"feast", "parquet"},
        code_version=training_version(assets.snapshot, declared),
        deps=[
            assets.key("registry"),
            *(assets.key("source", name) for name in dict.fromkeys(view.source for view in views)),
        ],
        metadata={
            "dagster/column_schema": events.column_schema(
                [(feature, "feature", view) for view, feature in references]
            )
        },
    )


def served_asset(assets: ProjectAssets, declared: TrainingSet) -> dg.AssetsDefinition:
    """Whole feature vectors as served, on-demand views too, against those of training."""
    key = assets.key("served", declared.name)

    def measure(context: dg.AssetExecutionContext, platform: PlatformResource) -> dg.MaterializeResult:  # type: ignore[type-arg]
        from platform_assets.feast_project.service_parity import service_parity

        evidence = service_parity(assets.opened(platform), declared, run_id=context.run.run_id)
        return events.evidence_result(evidence, SERVED_CHECK, key)

    return assets.asset(
        key,
        measure,
        description=f"Feature vectors served for requests of {declared.name} against those of training.",
        kinds={"feast"},
        code_version="1",
        deps=[
            assets.key("training_set", declared.name),
            *(assets.key("online", view.name) for view in views_read(assets.snapshot, declared)),
        ],
        checks={SERVED_CHECK: "A request is served what training would take for it."},
    )
