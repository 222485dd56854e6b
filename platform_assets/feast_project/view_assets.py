"""A feature view of a Feast user's repository as assets: offline, online, and parity of the two."""

from datetime import UTC, datetime

import dagster as dg

from platform_assets import events, vocabulary
from platform_assets.feast_project.project_asset import ProjectAssets
from platform_assets.feast_project.snapshot import View
from platform_assets.resources import PlatformResource

PARITY_CHECK = "parity"


def view_asset(assets: ProjectAssets, view: View) -> dg.AssetsDefinition:
    """A view's offline side: each entity's newest row."""

    def measure(context: dg.AssetExecutionContext, platform: PlatformResource) -> dg.MaterializeResult:  # type: ignore[type-arg]
        from platform_assets.feast_project.latest_rows import build_latest, cut_off

        opened = assets.opened(platform)
        as_of = cut_off(opened, _began(context))
        manifest = build_latest(
            opened, view, as_of, cause=f"run {context.run.run_id}", run_id=context.run.run_id
        )
        return dg.MaterializeResult(
            metadata=events.manifest_metadata(manifest)
            | {"as_of": as_of.isoformat(), "expired": int(manifest.notes["expired"])}
        )

    return assets.asset(
        assets.key("offline", view.name),
        measure,
        description=view.description or f"Newest row of each {' and '.join(view.entities)} in {view.name}.",
        kinds={"feast", "parquet"},
        code_version=view.version,
        deps=[assets.key("registry"), *(assets.key("source", name) for name in _read_first(assets, view))],
        metadata={
            "dagster/column_schema": events.column_schema(
                [
                    *((name, "join key", "") for name in view.join_keys),
                    *((field.name, field.type, field.description) for field in view.features),
                ]
            ),
            "feast/ttl_hours": round(view.ttl / 3600, 2),
        },
        owner=view.owner,
    )


def _read_first(assets: ProjectAssets, view: View) -> list[str]:
    """The view's source; of `as_of: newest` all of them, since the newest row of any is the moment."""
    if assets.project.as_of == "now":
        return [view.source]
    return list(dict.fromkeys(v.source for v in assets.snapshot.chosen(assets.project.feature_views)))


def _began(context: dg.AssetExecutionContext) -> datetime:
    """When the run was created: one moment for all its assets."""
    record = context.instance.get_run_record_by_id(context.run.run_id)
    return record.create_timestamp.astimezone(UTC) if record else datetime.now(UTC)


def online_asset(assets: ProjectAssets, view: View) -> dg.AssetsDefinition:
    """A view's values in the user's online store."""

    def measure(context: dg.AssetExecutionContext, platform: PlatformResource) -> dg.MaterializeResult:  # type: ignore[type-arg]
        from platform_assets.feast_project.online_state import fill_online

        opened = assets.opened(platform)
        manifest = fill_online(opened, view, cause=f"run {context.run.run_id}", run_id=context.run.run_id)
        payload = opened.stores.lake.table(manifest.table).document_of(manifest)
        return dg.MaterializeResult(
            metadata=events.manifest_metadata(manifest) | payload | {vocabulary.ROWS: payload["entities"]}
        )

    return assets.asset(
        assets.key("online", view.name),
        measure,
        description=f"{view.name} in the online store {assets.snapshot.online_store}: "
        "newest rows within their TTL.",
        kinds={"feast", assets.snapshot.online_store.split(".")[-1].lower()},
        code_version=view.version,
        deps=[assets.key("offline", view.name)],
        owner=view.owner,
    )


def parity_asset(assets: ProjectAssets, view: View) -> dg.AssetsDefinition:
    """Online against offline, every entity and feature of a view."""
    key = assets.key("parity", view.name)

    def measure(context: dg.AssetExecutionContext, platform: PlatformResource) -> dg.MaterializeResult:  # type: ignore[type-arg]
        from platform_assets.feast_project.view_parity import view_parity

        evidence = view_parity(assets.opened(platform), view, run_id=context.run.run_id)
        result = events.evidence_result(evidence, PARITY_CHECK, key)
        shown = {
            name: events.table(evidence.measured[name])
            for name in ("causes", "examples", "repair")
            if evidence.measured.get(name)
        }
        return dg.MaterializeResult(
            metadata={**(result.metadata or {}), **shown}, check_results=list(result.check_results or [])
        )

    return assets.asset(
        key,
        measure,
        description=f"Stored values of {view.name} against what training takes at the same moment.",
        kinds={"feast"},
        code_version="1",
        deps=[assets.key("online", view.name)],
        checks={PARITY_CHECK: "Online equals offline, for every entity and feature."},
        owner=view.owner,
    )
