"""Jobs of a product: training, promotion, predictions, monitoring, reproduction."""

from typing import TYPE_CHECKING, TypeAlias

import dagster as dg

from platform_assets import asset_keys, vocabulary
from platform_assets.declaration.product import Product
from platform_assets.declaration.repository import Repository
from platform_assets.jobs.source_jobs import job_name
from platform_assets.resources import PlatformResource
from platform_assets.step_failure import failing_plainly

if TYPE_CHECKING:
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

STAGES = {
    "training": ("training_set", "training_run", "evaluation_report", "hindsight_report", "registered_model"),
    "promotion": ("parity_report", "promotion"),
    "predictions": ("predictions",),
    "monitoring": ("drift_report",),
}
DAILY = (*STAGES["training"], *STAGES["promotion"])

Jobs: TypeAlias = "list[UnresolvedAssetJobDefinition | dg.JobDefinition]"


def product_jobs(repository: Repository, product: Product) -> Jobs:
    """One job a stage, one from training to promotion for the schedule, one that reproduces."""
    jobs: Jobs = [
        dg.define_asset_job(
            job_name(product.name, stage),
            selection=dg.AssetSelection.assets(*(asset_keys.product_key(product, noun) for noun in nouns)),
            description=f"{stage} of {product.name}",
            tags={vocabulary.PRODUCT_TAG: product.name, vocabulary.STAGE_TAG: stage},
        )
        for stage, nouns in {**STAGES, "daily": DAILY}.items()
    ]
    return [*jobs, reproduce_job(repository, product)]


class ReproduceConfig(dg.Config):
    """Which registered version to rebuild; empty: the present split's."""

    version: str = ""


def reproduce_job(repository: Repository, product: Product) -> dg.JobDefinition:
    """Rebuild a registered version from its recorded lineage in a fresh process, and compare."""

    @dg.op(name=f"{product.name}_reproduce_version")
    @failing_plainly
    def reproduce_version(
        context: dg.OpExecutionContext, config: ReproduceConfig, platform: PlatformResource
    ) -> None:
        from platform_assets.registry.model_versions import candidate_version
        from platform_assets.training.reproduce import reproduce

        stores = platform.stores()
        version = config.version or candidate_version(stores, product)
        result = reproduce(stores, repository, product, version)
        context.log.info(result.summary())
        if not result.identical:
            raise dg.Failure(description=result.summary())

    @dg.job(
        name=job_name(product.name, "reproduce"),
        description=f"Rebuild a version of {product.name} from its lineage and compare predictions.",
        tags={vocabulary.PRODUCT_TAG: product.name, vocabulary.STAGE_TAG: "reproduce"},
    )
    def reproduce_product() -> None:
        reproduce_version()

    return reproduce_product
