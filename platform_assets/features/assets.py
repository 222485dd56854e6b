"""Feature views as assets."""

import time

import dagster as dg

from platform_assets import asset_keys, events, vocabulary
from platform_assets.declaration.feature_view import Feature, FeatureView
from platform_assets.declaration.repository import Repository
from platform_assets.declaration.view_sql_text import columns_in
from platform_assets.resources import PlatformResource
from platform_assets.step_failure import failing_plainly


def _columns(repository: Repository, view: FeatureView) -> list[tuple[str, str, str]]:
    source = repository.source(view.source)
    names = dict.fromkeys(
        (*source.primary_key, *repository.entity_of(view).join_keys, source.event_timestamp)
    )
    return [
        *((name, source.column(name).type, source.column(name).description) for name in names),
        (vocabulary.AVAILABLE_AT, "timestamp", "When the row was known"),
        *((feature.name, feature.type, feature.description) for feature in view.features),
    ]


def _lineage(repository: Repository, view: FeatureView) -> dg.TableColumnLineage:
    source = repository.source(view.source)
    raw = asset_keys.raw_key(source.name)
    join_keys = repository.entity_of(view).join_keys
    deps: dict[str, list[tuple[dg.AssetKey, str]]] = {
        name: [(raw, name)] for name in (*source.primary_key, *join_keys, source.event_timestamp)
    }
    for feature in view.features:
        behind = [feature, *_behind(view, feature)]
        names = [source.event_timestamp]
        if view.sql is not None or any(other.is_window for other in behind):
            names += join_keys
        names += view.columns_of(feature) if view.sql is None else columns_in(view.sql, source.column_names)
        deps[feature.name] = [(raw, name) for name in dict.fromkeys(names)]
    return events.column_lineage(deps)


def _behind(view: FeatureView, feature: Feature) -> list[Feature]:
    """Every feature that one is computed from, directly or through others."""
    direct = view.features_of(feature)
    return [*direct, *(further for other in direct for further in _behind(view, other))]


def feature_view_asset(repository: Repository, view: FeatureView) -> dg.AssetsDefinition:
    """One feature view, one partition a day; a range is one query and one run."""
    source = repository.source(view.source)

    @dg.asset(
        key=asset_keys.view_key(view.name),
        description=view.description or f"Feature view {view.name}.",
        owners=list(view.owners),
        group_name=source.name,
        kinds={"duckdb", "feast"},
        code_version=view.code_version,
        partitions_def=asset_keys.daily(source),
        backfill_policy=dg.BackfillPolicy.single_run(),
        deps=[dg.AssetDep(asset_keys.raw_key(source.name), partition_mapping=_reach(view))],
        metadata={
            "dagster/column_schema": events.column_schema(_columns(repository, view)),
            "dagster/column_lineage": _lineage(repository, view),
            "feature_view/version": view.version,
        },
        tags={vocabulary.SOURCE_TAG: source.name},
        op_tags={vocabulary.K8S_CONFIG: view.compute.k8s_config()},
    )
    @failing_plainly
    def feature_view(context: dg.AssetExecutionContext, platform: PlatformResource) -> dg.MaterializeResult:  # type: ignore[type-arg]
        from platform_assets.features.compute import build_feature_days
        from platform_assets.features.live_views import check_live_views, kept_views
        from platform_assets.features.reach import raw_days
        from platform_assets.raw.trust import untrusted_days

        started = time.perf_counter()
        stores = platform.stores()
        check_live_views(stores, repository, [view.name])
        days = asset_keys.days_of(context)
        kept = kept_views(stores, repository, view)
        reaching = set(raw_days(days, view, start=source.start))
        for _, other in kept:
            reaching |= raw_days(days, other, start=source.start)
        untrusted = untrusted_days(stores, source, repository.contract_path(source), sorted(reaching))
        for recorded, other in kept:
            # what a live model reads is built first: it is needed until the new version has won
            build_feature_days(
                stores,
                recorded.source(other.source),
                recorded.entity_of(other),
                other,
                days,
                untrusted=untrusted,
                cause=f"run {context.run.run_id}",
                run_id=context.run.run_id,
            )
        manifests = build_feature_days(
            stores,
            source,
            repository.entity_of(view),
            view,
            days,
            untrusted=untrusted,
            cause=f"run {context.run.run_id}",
            run_id=context.run.run_id,
        )
        events.say(
            f"features/{view.name}",
            sum(m.rows for m in manifests),
            time.perf_counter() - started,
            f"{len(days)} days",
        )
        return events.range_result(context, manifests)

    return feature_view


def _reach(view: FeatureView) -> dg.PartitionMapping:
    """A feature day reads raw days back to its widest window; never the days after it."""
    days = max((-(-(delay + length).total_seconds() // 86400) for delay, length in view.frames), default=0)
    return dg.TimeWindowPartitionMapping(
        start_offset=-int(days), end_offset=0, allow_nonexistent_upstream_partitions=True
    )
