"""Registered model and promotion as assets."""

import time
from typing import TYPE_CHECKING

import dagster as dg

from platform_assets import asset_keys, events, vocabulary
from platform_assets.declaration.product import Product
from platform_assets.declaration.repository import Repository
from platform_assets.product_assets import product_asset
from platform_assets.resources import PlatformResource

if TYPE_CHECKING:
    from platform_assets.registry.gate_decision import GateDecision
    from platform_assets.registry.promotion import Decision
    from platform_assets.registry.timeline import Event

LISTED, DETAIL = 30, 160


def registered_model_asset(repository: Repository, product: Product) -> dg.AssetsDefinition:
    """The newest training run as a model version, with its lineage."""

    @product_asset(
        product,
        "registered_model",
        description="The model as a version in the registry, with everything it was made from.",
        kinds={"mlflow"},
        code_version="1",
        deps=[asset_keys.product_key(product, noun) for noun in ("training_run", "evaluation_report")],
    )
    def registered_model(
        context: dg.AssetExecutionContext, platform: PlatformResource
    ) -> dg.MaterializeResult:  # type: ignore[type-arg]
        from platform_assets.registry.model_versions import register

        started = time.perf_counter()
        stores = platform.stores()
        manifest = register(
            stores,
            repository,
            product,
            suite_path=repository.contract_path(repository.source(product.source)),
            cause=f"run {context.run.run_id}",
            run_id=context.run.run_id,
        )
        payload = stores.lake.table(manifest.table).document_of(manifest)
        events.say(
            f"{product.name}/registered_model",
            None,
            time.perf_counter() - started,
            f"version {payload['version']}",
        )
        return dg.MaterializeResult(
            metadata={
                vocabulary.MODEL_VERSION: payload["version"],
                vocabulary.MODEL_DIGEST: payload["model_digest"],
                "model/lineage": dg.MetadataValue.json(
                    {k: v for k, v in payload.items() if k not in ("raw", "gates")}
                ),
            }
            | events.manifest_metadata(manifest)
        )

    return registered_model


def promotion_asset(repository: Repository, product: Product) -> dg.AssetsDefinition:
    """The decision on the newest version, gate by gate, and its entry in the ledger."""
    key = asset_keys.product_key(product, "promotion")
    checks = {gate.key: f"gate_{gate.key}" for gate in product.gates}

    @product_asset(
        product,
        "promotion",
        description="The decision on the newest version: every gate's verdict, and who is champion.",
        kinds={"mlflow", "ledger"},
        code_version=product.gates_version,
        deps=[asset_keys.product_key(product, noun) for noun in ("registered_model", "parity_report")],
        check_specs=[
            dg.AssetCheckSpec(checks[gate.key], asset=key, description=gate.demand) for gate in product.gates
        ],
    )
    def promotion(context: dg.AssetExecutionContext, platform: PlatformResource) -> dg.MaterializeResult:  # type: ignore[type-arg]
        from platform_assets.registry.ledger_page import write_ledger_page
        from platform_assets.registry.promotion import promote
        from platform_assets.registry.timeline import timeline

        started = time.perf_counter()
        stores = platform.stores()
        decision = promote(
            stores,
            repository,
            product,
            suite_path=repository.contract_path(repository.source(product.source)),
            actor=f"dagster run {context.run.run_id}",
            run_id=context.run.run_id,
        )
        events.say(
            f"{product.name}/promotion",
            None,
            time.perf_counter() - started,
            f"version {decision.version}: {decision.outcome}",
        )
        rows = [
            {
                "gate": g.key,
                "verdict": "WAIVED" if g.waived_by else str(g.verdict),
                "reason": g.told.removeprefix(f"{g.verdict}: "),
                "evidence": g.evidence_id or "",
            }
            for g in decision.gates
        ]
        history = timeline(stores.ledger.entries(), product.name, product.source)
        head = stores.ledger.head
        return dg.MaterializeResult(
            metadata={
                "decision": decision.outcome,
                "decision/reason": decision.reason,
                vocabulary.MODEL_VERSION: decision.version,
                vocabulary.CHAMPION: decision.champion or "none",
                "gates": events.table(rows),
                "ledger": events.table([_listed(event) for event in history[:LISTED]]),
                "ledger/head": f"{head[0]}:{head[1]}" if head else "none",
                "ledger/page": dg.MetadataValue.path(str(write_ledger_page(stores, product.name, history))),
            },
            # every declared check gets a result, also where the decision came before any gate
            check_results=[
                _gate_check(key, name, decision, next((g for g in decision.gates if g.key == gate), None))
                for gate, name in checks.items()
            ],
        )

    return promotion


def _gate_check(
    key: dg.AssetKey, name: str, decision: "Decision", gate: "GateDecision | None"
) -> dg.AssetCheckResult:
    """What a gate said; one that was not asked is as red as one that failed."""
    return dg.AssetCheckResult(
        asset_key=key,
        check_name=name,
        passed=gate is not None and str(gate.verdict) == "PASSED",
        # a waived failure stays a failure to look at, in yellow
        severity=dg.AssetCheckSeverity.WARN if gate and gate.waived_by else dg.AssetCheckSeverity.ERROR,
        description=(gate.told if gate else f"UNKNOWN: not decided: {decision.reason}")[:500],
        metadata={vocabulary.EVIDENCE_ID: gate.evidence_id} if gate and gate.evidence_id else {},
    )


def _listed(event: "Event") -> dict[str, str]:
    """An event as a row that fits beside the others; all of it stands on the page."""
    detail = event.detail if len(event.detail) <= DETAIL else f"{event.detail[: DETAIL - 4]} ..."
    return {
        "at": event.at[:19].replace("T", " "),
        "what": event.what,
        "version": event.version,
        "why": detail,
        "who": event.who,
        "entry": str(event.sequence),
    }
