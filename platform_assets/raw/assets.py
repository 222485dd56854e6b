"""Raw rows of a source as a daily asset, with one check for each expectation of its contract."""

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg

from platform_assets import asset_keys, events, vocabulary
from platform_assets.declaration.repository import Repository
from platform_assets.declaration.source import Source
from platform_assets.evidence.evidence import Evidence, Verdict
from platform_assets.resources import PlatformResource
from platform_assets.step_failure import failing_plainly

if TYPE_CHECKING:
    from platform_assets.raw.contract_in_force import ContractStanding

DAYS_SHOWN = 20
IN_FORCE_CHECK = "contract_in_force"


def raw_asset(repository: Repository, source: Source) -> dg.AssetsDefinition:
    """One partition a day; a range of days is one run with one verdict per day and expectation."""
    from platform_assets.raw.declared_contract import declared_contract

    key = asset_keys.raw_key(source.name)
    suite_path = repository.contract_path(source)
    names = declared_contract(source, suite_path).checks

    @dg.asset(
        key=key,
        description=source.description or f"Raw rows of {source.name}.",
        owners=list(source.owners),
        group_name=source.name,
        kinds={"parquet", "greatexpectations"},
        code_version=source.fingerprint("description", "owners", "compute"),
        partitions_def=asset_keys.daily(source),
        backfill_policy=dg.BackfillPolicy.single_run(),
        check_specs=[
            dg.AssetCheckSpec(name, asset=key, description=f"{severity}: {text}")
            for name, severity, text in names
        ]
        + [
            dg.AssetCheckSpec(
                IN_FORCE_CHECK,
                asset=key,
                description="The declared contract counts: stored days pass it, or an owner accepts that.",
            )
        ],
        metadata={
            "dagster/column_schema": events.column_schema(
                [
                    *((c.name, c.type, c.description) for c in source.columns),
                    (vocabulary.AVAILABLE_AT, "timestamp", "When the row was known"),
                ]
            )
        },
        tags={vocabulary.SOURCE_TAG: source.name},
        op_tags={vocabulary.K8S_CONFIG: source.compute.k8s_config()},
    )
    @failing_plainly
    def raw(context: dg.AssetExecutionContext, platform: PlatformResource) -> dg.MaterializeResult:  # type: ignore[type-arg]
        from platform_assets.raw.contract import evaluate_contract
        from platform_assets.raw.contract_in_force import contract_standing
        from platform_assets.raw.ingest import ingest_day
        from platform_assets.raw.source_reader import open_source

        stores = platform.stores()
        variables = platform.environment().source_variables(source.name)
        reader = open_source(source, repository.folders[source.name], variables)
        days = asset_keys.days_of(context)
        manifests = []
        started = time.perf_counter()
        for day in days:
            manifests.append(
                ingest_day(
                    stores, source, reader, day, cause=f"run {context.run.run_id}", run_id=context.run.run_id
                )
            )
        events.say(
            f"raw/{source.name}",
            sum(m.rows for m in manifests),
            time.perf_counter() - started,
            f"{len(days)} days",
        )
        started = time.perf_counter()
        verdicts = evaluate_contract(stores, source, suite_path, days, run_id=context.run.run_id)
        contracts = contract_standing(stores, source, suite_path)
        red = sorted(day for day, evidence in verdicts.items() if evidence.verdict is not Verdict.PASSED)
        events.say(
            f"raw/{source.name} contract",
            None,
            time.perf_counter() - started,
            f"{len(days) - len(red)} days passed" + (f", not passed: {', '.join(red[:5])}" if red else ""),
        )
        return events.range_result(
            context,
            manifests,
            check_results=[
                *(_check(key, name, severity, verdicts, contracts) for name, severity, _ in names),
                _in_force(key, contracts, red),
            ],
        )

    return raw


def _in_force(key: dg.AssetKey, contracts: "ContractStanding", red: Sequence[str]) -> dg.AssetCheckResult:
    """Whether the declared contract counts: else its own checks cannot tell which days did not pass."""
    return dg.AssetCheckResult(
        asset_key=key,
        check_name=IN_FORCE_CHECK,
        passed=not contracts.pending,
        severity=dg.AssetCheckSeverity.WARN,
        description=contracts.refused[:500] or "the declared contract is in force",
        metadata={
            "in_force": contracts.in_force.version,
            "declared": contracts.declared.version,
            "days_not_passed": len(red),
            **({"not_passed": ", ".join(red[:DAYS_SHOWN])} if red else {}),
        },
    )


def _check(
    key: dg.AssetKey,
    name: str,
    severity: str,
    verdicts: Mapping[str, Evidence],
    contracts: "ContractStanding",
) -> dg.AssetCheckResult:
    """One expectation over all days of the run: the days that did not pass, with what was seen.

    While the declared contract is pending, days were not asked what only it holds.
    """
    if contracts.pending and name not in {asked for asked, _, _ in contracts.in_force.checks}:
        return dg.AssetCheckResult(
            asset_key=key,
            check_name=name,
            passed=False,
            severity=dg.AssetCheckSeverity.WARN,
            description=f"not asked: it is declared and not in force, see {IN_FORCE_CHECK}",
        )
    rows: list[dict[str, Any]] = []
    for day, evidence in sorted(verdicts.items()):
        found = [e for e in evidence.measured.get("expectations", []) if e["name"] == name]
        if not found:
            rows.append(
                {
                    "day": day,
                    "verdict": "UNKNOWN",
                    "observed": "",
                    "failing": 0,
                    "samples": "",
                    "reason": evidence.reason,
                    "blocking": True,
                }
            )
        for item in found:
            if item["verdict"] != "PASSED":
                rows.append(
                    {
                        "day": day,
                        "verdict": str(item["verdict"]),
                        "observed": str(item.get("observed")),
                        "failing": int(item.get("failing") or 0),
                        "samples": str(item.get("samples") or ""),
                        "reason": str(item.get("reason") or ""),
                        "blocking": bool(item.get("blocking", True)),
                    }
                )
    text = f"all {len(verdicts)} days passed"
    if rows:
        shown = ", ".join(row["day"] for row in rows[:DAYS_SHOWN])
        text = f"{len(rows)} of {len(verdicts)} days did not pass: {shown}"
    metadata: dict[str, Any] = {"days": len(verdicts), "days_not_passed": len(rows)}
    if rows:
        metadata["not_passed"] = events.table(rows[:DAYS_SHOWN])
    # a volume without neighbours to compare with is not measured, and blocks nothing
    blocks = severity == "critical" and any(row["blocking"] for row in rows)
    return dg.AssetCheckResult(
        asset_key=key,
        check_name=name,
        passed=not rows,
        severity=dg.AssetCheckSeverity.ERROR if blocks else dg.AssetCheckSeverity.WARN,
        description=text,
        metadata=metadata,
    )
