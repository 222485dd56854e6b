"""The registry and the sources of a Feast user's repository as assets."""

from datetime import UTC, datetime
from typing import Any

import dagster as dg

from platform_assets import events, vocabulary
from platform_assets.feast_project.project_asset import ProjectAssets
from platform_assets.feast_project.snapshot import Snapshot, Source
from platform_assets.resources import PlatformResource

REGISTERED_CHECK = "registered_as_declared"
FRESH_CHECK = "fresh"
COPIES_CHECK = "no_copies"


def registry_asset(assets: ProjectAssets) -> dg.AssetsDefinition:
    """Feast's registry, brought to what the repository declares."""
    key, snapshot = assets.key("registry"), assets.snapshot

    def measure(_: dg.AssetExecutionContext, platform: PlatformResource) -> dg.MaterializeResult:  # type: ignore[type-arg]
        from platform_assets.feast_project.registry_state import update_registry

        state = update_registry(platform.stores(), assets.project, assets.repo, snapshot)
        told = "; ".join(f"{row['kind']} {row['name']}: {row['what']}" for row in state.differs)
        return dg.MaterializeResult(
            metadata={
                "feature_views": events.table(_described(state.snapshot)),
                "feast/version": state.snapshot.feast_version,
                "feast/online_store": state.snapshot.online_store,
                "feast/offline_store": state.snapshot.offline_store,
                "healed": ", ".join(state.healed) or "nothing",
                vocabulary.DIGEST: state.snapshot.definitions_digest,
            },
            check_results=[
                dg.AssetCheckResult(
                    asset_key=key,
                    check_name=REGISTERED_CHECK,
                    passed=not state.differs,
                    description=(
                        f"{told}; run `feast apply` in {assets.repo}" if told else "all that is declared"
                    )[:500],
                )
            ],
        )

    what = "Applies" if assets.project.apply else "Compares"
    return assets.asset(
        key,
        measure,
        description=assets.project.description
        or f"{what} the definitions of the Feast repository {assets.project.repo}.",
        kinds={"feast"},
        code_version=snapshot.definitions_digest[:16],
        deps=[],
        checks={REGISTERED_CHECK: "The registry holds what the repository declares."},
    )


def _described(snapshot: Snapshot) -> list[dict[str, Any]]:
    return [
        {
            "view": view.name,
            "entities": ", ".join(view.entities),
            "features": len(view.features),
            "ttl_hours": round(view.ttl / 3600, 2),
            "online": view.online,
            "source": view.source,
            "pushed_by": view.pushed_by,
        }
        for view in snapshot.views
    ]


def source_asset(assets: ProjectAssets, source: Source) -> dg.AssetsDefinition:
    """A source as it is: rows, newest row, and whether it can be used."""
    key = assets.key("source", source.name)

    def measure(context: dg.AssetExecutionContext, platform: PlatformResource) -> dg.MaterializeResult:  # type: ignore[type-arg]
        from platform_assets.feast_project.open_project import moment_of
        from platform_assets.feast_project.source_state import keep_source_state

        opened = assets.opened(platform)
        state, manifest = keep_source_state(
            opened, source, cause=f"run {context.run.run_id}", run_id=context.run.run_id
        )
        age = datetime.now(UTC) - moment_of(state.newest)
        return dg.MaterializeResult(
            metadata=events.manifest_metadata(manifest)
            | {
                vocabulary.ROWS: state.rows,
                "files": state.files,
                "oldest_row": state.oldest,
                "newest_row": state.newest,
                "age_hours": round(age.total_seconds() / 3600, 2),
                "copies": state.copies,
            },
            check_results=[
                _warning(key, COPIES_CHECK, not state.copies, f"{state.copies} rows repeat another one"),
                *_fresh(assets, key, age.total_seconds()),
            ],
        )

    checks = {COPIES_CHECK: "No row repeats another."}
    if assets.project.freshness is not None:
        checks[FRESH_CHECK] = "The newest row is not older than declared."
    return assets.asset(
        key,
        measure,
        description=f"Rows of the source {source.name}, as they are: {source.path or source.type}.",
        kinds={"feast", "parquet"} if source.type == "FileSource" else {"feast"},
        code_version="1",
        deps=[assets.key("registry")],
        checks=checks,
    )


def _fresh(assets: ProjectAssets, key: dg.AssetKey, age: float) -> list[dg.AssetCheckResult]:
    limit = assets.project.freshness
    if limit is None:
        return []
    told = (
        f"the newest row is {age / 3600:.1f} hours old; at most {limit.total_seconds() / 3600:g} are allowed"
    )
    return [_warning(key, FRESH_CHECK, age <= limit.total_seconds(), told)]


def _warning(key: dg.AssetKey, name: str, passed: bool, told: str) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        asset_key=key,
        check_name=name,
        passed=passed,
        severity=dg.AssetCheckSeverity.WARN,
        description=told,
    )
