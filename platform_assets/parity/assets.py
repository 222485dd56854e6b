"""Parity as assets: of a view's online store after each fill, and of a product's requests."""

import time
from typing import Any

import dagster as dg

from platform_assets import asset_keys, events, vocabulary
from platform_assets.declaration.feature_view import FeatureView
from platform_assets.declaration.product import Product
from platform_assets.declaration.repository import Repository
from platform_assets.evidence.evidence import Evidence, worst
from platform_assets.product_assets import product_asset
from platform_assets.resources import PlatformResource
from platform_assets.step_failure import failing_plainly

PARITY_CHECK = "parity"


def view_parity_asset(repository: Repository, view: FeatureView) -> dg.AssetsDefinition:
    """Every entity and feature of a view's online store against the lake."""
    source = repository.source(view.source)
    key = asset_keys.view_parity_key(view.name)
    severity = dg.AssetCheckSeverity[{"error": "ERROR", "warning": "WARN"}[view.parity.severity]]

    @dg.asset(
        key=key,
        description=f"Every {' and '.join(view.entities)} and feature: what is served against what is "
        "trained on, at the cut-off and at its newest event; with causes and the smallest repair.",
        owners=list(view.owners),
        group_name=source.name,
        kinds={"feast", "duckdb"},
        code_version=view.code_version,
        deps=[
            asset_keys.online_key(view.name),
            dg.AssetDep(asset_keys.raw_key(source.name), partition_mapping=dg.AllPartitionMapping()),
            dg.AssetDep(asset_keys.view_key(view.name), partition_mapping=dg.AllPartitionMapping()),
        ],
        tags={vocabulary.SOURCE_TAG: source.name},
        op_tags={vocabulary.K8S_CONFIG: view.compute.k8s_config()},
        check_specs=[
            dg.AssetCheckSpec(PARITY_CHECK, asset=key, description="Everything is served as trained.")
        ],
    )
    @failing_plainly
    def parity(context: dg.AssetExecutionContext, platform: PlatformResource) -> dg.MaterializeResult:  # type: ignore[type-arg]
        from platform_assets.features.live_views import kept_views
        from platform_assets.parity.view_parity import shares, view_parity

        started = time.perf_counter()
        stores = platform.stores()
        others = [
            view_parity(stores, recorded, other, run_id=context.run.run_id)
            for recorded, other in kept_views(stores, repository, view)
            if other.online
        ]
        evidence = view_parity(stores, repository, view, run_id=context.run.run_id)
        events.say(
            f"features/parity_{view.name}",
            None,
            time.perf_counter() - started,
            f"{evidence.verdict}: {evidence.reason}",
        )
        verdict = worst([found.verdict for found in (*others, evidence)])
        shown = next(found for found in (evidence, *others) if found.verdict is verdict)
        check = events.evidence_check(shown, PARITY_CHECK, key)._replace(severity=severity)
        return dg.MaterializeResult(
            metadata=view_parity_metadata(evidence, shares(stores, view)), check_results=[check]
        )

    return parity


def view_parity_metadata(evidence: Evidence, shares: list[float]) -> dict[str, Any]:
    """What people look at: the tables of features, causes, repair and examples, and the share over time."""
    from platform_assets.sparkline import sparkline

    measured = evidence.measured
    drawn = [share for share in shares if share == share]
    told = f"![share of entities that differ]({sparkline(drawn)}) {drawn[-1]:.2%} now" if drawn else "unknown"
    tables = {name: measured.get(name, []) for name in ("causes", "repair", "features", "examples")}
    tables["features"] = [_shown(row) for row in tables["features"]]
    facts = events.evidence_metadata(evidence)
    first = {name: facts.pop(name) for name in (vocabulary.VERDICT, vocabulary.EVIDENCE_REASON)}
    return {
        **first,
        "share over time": dg.MetadataValue.md(told),
        **{name: events.table(rows) for name, rows in tables.items()},
        **facts,
    }


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    """A feature's line as people read it: errors to six digits, the largest first."""
    kept = {name: value for name, value in row.items() if not name.endswith("_error")}
    errors = {name: f"{row[name]:.6g}" for name in ("max_error", "p99_error", "p50_error", "mean_error")}
    return kept | errors


def parity_report_asset(repository: Repository, product: Product) -> dg.AssetsDefinition:
    """Served values against training values at the same moment."""
    key = asset_keys.product_key(product, "parity_report")
    online = [view.name for view in repository.views_of(product) if view.online]

    @product_asset(
        product,
        "parity_report",
        description="Values served at a request time against training values at the same time.",
        kinds={"feast"},
        code_version="1",
        deps=[
            *(asset_keys.online_key(name) for name in online),
            *(asset_keys.view_parity_key(name) for name in online),
            *(
                dg.AssetDep(asset_keys.view_key(name), partition_mapping=dg.AllPartitionMapping())
                for name in product.feature_views
            ),
        ],
        check_specs=[dg.AssetCheckSpec(PARITY_CHECK, asset=key, description="Served equals training.")],
    )
    def parity_report(context: dg.AssetExecutionContext, platform: PlatformResource) -> dg.MaterializeResult:  # type: ignore[type-arg]
        from platform_assets.parity.parity_report import parity_report as measure

        started = time.perf_counter()
        evidence = measure(platform.stores(), repository, product, run_id=context.run.run_id)
        events.say(
            f"{product.name}/parity_report",
            None,
            time.perf_counter() - started,
            f"{evidence.verdict}: {evidence.reason}",
        )
        return events.evidence_result(evidence, PARITY_CHECK, key)

    return parity_report
