"""Manifests and evidence as Dagster events: metadata, checks, column schemas and lineage."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import dagster as dg

from platform_assets import vocabulary
from platform_assets.evidence.evidence import Evidence, Verdict
from platform_assets.lake.digest import digest_of_digests
from platform_assets.lake.manifest import Manifest

progress = logging.getLogger("platform_assets.progress")


def say(asset: str, rows: int | None, seconds: float, what: str = "") -> None:
    """One line of progress: asset, rows, seconds."""
    counted = f"{rows:>11,} rows" if rows is not None else " " * 16
    progress.info(f"  {asset:<44} {counted} {seconds:7.1f} s  {what}".rstrip())


def manifest_metadata(manifest: Manifest) -> dict[str, Any]:
    """What a partition holds and where it came from."""
    rows = {vocabulary.ROWS: manifest.rows} if manifest.schema else {}
    return rows | {
        vocabulary.DIGEST: manifest.digest,
        vocabulary.CODE_VERSION: manifest.code_version,
        vocabulary.INPUTS_DIGEST: manifest.inputs_digest,
        vocabulary.CAUSE: manifest.cause,
    }


def evidence_metadata(evidence: Evidence) -> dict[str, Any]:
    """Verdict, reason and id, and every measured number."""
    numbers = {
        f"measured/{name}": value
        for name, value in evidence.measured.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }
    return {
        vocabulary.VERDICT: str(evidence.verdict),
        vocabulary.EVIDENCE_REASON: evidence.reason,
        vocabulary.EVIDENCE_ID: evidence.id,
        "evidence/versions": dg.MetadataValue.json(dict(evidence.versions)),
        "evidence/limits": dg.MetadataValue.json(dict(evidence.limits)),
        **numbers,
    }


def evidence_check(evidence: Evidence, name: str, asset_key: dg.AssetKey) -> dg.AssetCheckResult:
    """A check result; UNKNOWN is as red as FAILED."""
    return dg.AssetCheckResult(
        asset_key=asset_key,
        check_name=name,
        passed=evidence.verdict is Verdict.PASSED,
        severity=dg.AssetCheckSeverity.ERROR,
        description=f"{evidence.verdict}: {evidence.reason}"[:500],
        metadata=evidence_metadata(evidence),
    )


def evidence_result(
    evidence: Evidence, check_name: str, asset_key: dg.AssetKey
) -> dg.MaterializeResult[None]:
    """A control's materialization: the evidence, what it measured per feature, and its check."""
    return dg.MaterializeResult(
        metadata=evidence_metadata(evidence) | {"features": table(evidence.measured.get("features", []))},
        check_results=[evidence_check(evidence, check_name, asset_key)],
    )


def range_result(
    context: dg.AssetExecutionContext,
    manifests: Sequence[Manifest],
    *,
    check_results: Sequence[dg.AssetCheckResult] = (),
    notes: Mapping[str, Any] | None = None,
) -> dg.MaterializeResult[None]:
    """The result of one or many daily partitions, each with its own metadata."""
    for manifest in manifests:
        metadata = manifest_metadata(manifest) | {
            f"note/{name}": value
            for name, value in manifest.notes.items()
            if isinstance(value, str | int | float | bool)
        }
        context.add_asset_metadata(metadata=metadata, partition_key=manifest.partition)
    return dg.MaterializeResult(
        metadata={
            "days": len(manifests),
            "rows": sum(manifest.rows for manifest in manifests),
            "digest_of_days": digest_of_digests({m.partition: m.digest for m in manifests}),
            **(notes or {}),
        },
        check_results=list(check_results),
    )


def table(rows: Iterable[Mapping[str, Any]]) -> dg.TableMetadataValue | dg.MetadataValue:
    """Rows of plain values as a table in the UI, fractions with the digits that people read."""
    plain = [{name: _cell(value) for name, value in row.items()} for row in rows]
    if not plain:
        return dg.MetadataValue.text("no rows")
    kinds = {bool: "bool", int: "int", float: "float"}
    columns = [dg.TableColumn(name, kinds.get(type(plain[0][name]), "string")) for name in plain[0]]
    return dg.MetadataValue.table(
        records=[dg.TableRecord(row) for row in plain], schema=dg.TableSchema(columns=columns)
    )


def _cell(value: Any) -> str | int | float | bool:
    if isinstance(value, float):
        return round(value, 4) if abs(value) >= 0.001 else float(f"{value:.2g}")
    if isinstance(value, str | int | bool):
        return value
    return "" if value is None else str(value)


def column_schema(columns: Iterable[tuple[str, str, str]]) -> dg.TableSchema:
    """Names, types and descriptions as the column schema of an asset."""
    return dg.TableSchema(
        columns=[dg.TableColumn(name, kind, description=text or None) for name, kind, text in columns]
    )


def column_lineage(deps: Mapping[str, Iterable[tuple[dg.AssetKey, str]]]) -> dg.TableColumnLineage:
    """Column -> the upstream columns it is made from."""
    return dg.TableColumnLineage(
        deps_by_column={
            column: [dg.TableColumnDep(asset_key=key, column_name=name) for key, name in sources]
            for column, sources in deps.items()
        }
    )
