"""The evaluation report as an asset."""

import time

import dagster as dg

from platform_assets import asset_keys, events, vocabulary
from platform_assets.declaration.product import Product
from platform_assets.declaration.repository import Repository
from platform_assets.product_assets import product_asset
from platform_assets.resources import PlatformResource

MEASURED_CHECK = "metrics_measured"


def evaluation_report_asset(repository: Repository, product: Product) -> dg.AssetsDefinition:
    """Metrics, curves and tables of the newest model on its test days."""
    key = asset_keys.product_key(product, "evaluation_report")

    @product_asset(
        product,
        "evaluation_report",
        description="Metrics, curves and tables of the model on its test days.",
        kinds={"scikitlearn", "evidently"},
        code_version="1",
        deps=[asset_keys.product_key(product, noun) for noun in ("training_set", "training_run")],
        check_specs=[
            dg.AssetCheckSpec(
                MEASURED_CHECK, asset=key, description="Every declared metric could be measured."
            )
        ],
    )
    def evaluation_report(
        context: dg.AssetExecutionContext, platform: PlatformResource
    ) -> dg.MaterializeResult:  # type: ignore[type-arg]
        from platform_assets.evaluation.evaluation_report import evaluate, evaluation_markdown
        from platform_assets.evaluation.report_markdown import (
            calibration_rows,
            card_day_rows,
            curve_markdown,
            fold_rows,
            slice_rows,
        )
        from platform_assets.training.present_split import present

        started = time.perf_counter()
        stores = platform.stores()
        manifest = evaluate(
            stores,
            repository,
            product,
            present(stores, product, "training_set"),
            present(stores, product, "training_run"),
            cause=f"run {context.run.run_id}",
            run_id=context.run.run_id,
        )
        payload = stores.lake.table(manifest.table).document_of(manifest)
        metrics = {f"metric/{k}": round(v, 6) for k, v in payload["metrics"].items() if v is not None}
        evidence = stores.evidence.latest("evaluation", manifest.table, manifest.partition)
        events.say(
            f"{product.name}/evaluation_report",
            payload.get("test_rows"),
            time.perf_counter() - started,
            ", ".join(f"{name.removeprefix('metric/')} {value:.3f}" for name, value in metrics.items()),
        )
        return dg.MaterializeResult(
            metadata=metrics
            | {f"curve/{name}": dg.MetadataValue.md(text) for name, text in curve_markdown(payload).items()}
            | {
                "report": dg.MetadataValue.md(evaluation_markdown(payload)),
                "reports": dg.MetadataValue.path(str(stores.home.reports / product.name)),
                "slices": events.table(slice_rows(payload)),
                "folds": events.table(fold_rows(payload)),
                "card_precision_by_day": events.table(card_day_rows(payload)),
                "calibration": events.table(calibration_rows(payload)),
                vocabulary.MODEL_DIGEST: payload["model_digest"],
            }
            | events.manifest_metadata(manifest),
            check_results=[events.evidence_check(evidence, MEASURED_CHECK, key)] if evidence else [],
        )

    return evaluation_report
