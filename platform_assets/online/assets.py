"""The online store of a feature view as an asset."""

import time

import dagster as dg

from platform_assets import asset_keys, events, vocabulary
from platform_assets.declaration.feature_view import FeatureView
from platform_assets.declaration.repository import Repository
from platform_assets.home import Home
from platform_assets.resources import PlatformResource
from platform_assets.step_failure import failing_plainly


def online_asset(repository: Repository, view: FeatureView) -> dg.AssetsDefinition:
    """What serving needs to finish a view's windows at request time, in Feast's online store."""
    source = repository.source(view.source)

    @dg.asset(
        key=asset_keys.online_key(view.name),
        description=f"Recent events of each {' and '.join(view.entities)} in Feast's online store; "
        "windows are finished at request time.",
        owners=list(view.owners),
        group_name=source.name,
        kinds={"feast", "redis" if Home.from_environment().online else "sqlite"},
        code_version=view.code_version,
        deps=[
            dg.AssetDep(asset_keys.raw_key(source.name), partition_mapping=dg.AllPartitionMapping()),
            dg.AssetDep(asset_keys.view_key(view.name), partition_mapping=dg.AllPartitionMapping()),
        ],
        tags={vocabulary.SOURCE_TAG: source.name},
        op_tags={vocabulary.K8S_CONFIG: view.compute.k8s_config()},
    )
    @failing_plainly
    def online(context: dg.AssetExecutionContext, platform: PlatformResource) -> dg.MaterializeResult:  # type: ignore[type-arg]
        from platform_assets.features.live_views import check_live_views, kept_views
        from platform_assets.online.feast_registry import Fault
        from platform_assets.online.latest_rows import LATEST
        from platform_assets.online.online_store import fill_online, online_inputs
        from platform_assets.raw.trust import untrusted_days

        started = time.perf_counter()
        stores = platform.stores()
        faults: list[Fault] = []
        check_live_views(stores, repository, [view.name])
        for recorded, other in kept_views(stores, repository, view):
            if other.online:
                read = online_inputs(stores, recorded, other)[vocabulary.raw_table(source.name)]
                fill_online(
                    stores,
                    recorded,
                    other,
                    untrusted=untrusted_days(stores, source, repository.contract_path(source), read),
                    cause=f"run {context.run.run_id}",
                    run_id=context.run.run_id,
                    tell=faults.append,
                )
        held = online_inputs(stores, repository, view)[vocabulary.raw_table(source.name)]
        manifest = fill_online(
            stores,
            repository,
            view,
            untrusted=untrusted_days(stores, source, repository.contract_path(source), held),
            cause=f"run {context.run.run_id}",
            run_id=context.run.run_id,
            tell=faults.append,
        )
        for fault in faults:
            context.log.warning(str(fault))
        payload = stores.lake.table(manifest.table).document_of(manifest)
        events.say(
            f"features/online_{view.name}",
            None,
            time.perf_counter() - started,
            f"{payload.get('entities', 0)} entities",
        )
        plain = {k: v for k, v in payload.items() if isinstance(v, str | int | float)}
        latest = stores.lake.table(manifest.table).document(LATEST) or {}
        told = {
            "newest_rows": latest.get("rows", 0),
            "faults_found": len(faults),
            "faults": events.table(
                {"kind": fault.kind, "feast_view": fault.view, "what": fault.told} for fault in faults
            ),
        }
        return dg.MaterializeResult(metadata=events.manifest_metadata(manifest) | plain | told)

    return online
