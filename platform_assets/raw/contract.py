"""The data contract of a source: a verdict per day, bound to the day's rows and to the suite."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from platform_assets.declaration.source import Source
from platform_assets.errors import PlatformError
from platform_assets.evidence.evidence import Evidence, Verdict
from platform_assets.lake.manifest import Manifest
from platform_assets.raw.finding import Finding, reason_of, verdict_of
from platform_assets.raw.repeated_keys import repeated_keys
from platform_assets.raw.suite import (
    SUITE_NAME,
    Suite,
    contract_version,
    expectation_names,
    read_suite,
)
from platform_assets.raw.volume import expected_volume
from platform_assets.stores import Stores
from platform_assets.vocabulary import raw_table

if TYPE_CHECKING:
    import pyarrow as pa

    from platform_assets.raw.expectation_run import ExpectationRun

__all__ = [
    "KIND",
    "contract_version",
    "contract_versions",
    "evaluate_contract",
    "expectation_names",
    "judge_contract",
]

KIND = "contract"
ROWS_HELD = 400_000


def contract_versions(raw_digest: str, contract: str) -> dict[str, str]:
    """What contract evidence is bound to."""
    return {"raw": raw_digest, "contract": contract}


def evaluate_contract(
    stores: Stores, source: Source, suite_path: Path, days: Iterable[str], *, run_id: str = ""
) -> dict[str, Evidence]:
    """Ask the contract of each day and record one Evidence a day.

    Its verdict is the worst of the critical expectations; every expectation stands in
    `measured["expectations"]`. A day without raw partition, or a suite that cannot be read, is
    UNKNOWN. Where the same is found again on the same versions, the earlier evidence stays, and
    with it a waiver given for it.
    """
    found = judge_contract(stores, source, suite_path, days, run_id=run_id)
    return {day: _record(stores, evidence) for day, evidence in found.items()}


def judge_contract(
    stores: Stores, source: Source, suite_path: Path, days: Iterable[str], *, run_id: str = ""
) -> dict[str, Evidence]:
    """What a contract says to stored days, by day; nothing is recorded and nothing changes."""
    table = stores.lake.table(raw_table(source.name))
    current = table.current()
    wanted = sorted(set(days))
    version = contract_version(source, suite_path)
    suite = read_suite(suite_path)
    rows = {day: manifest.rows for day, manifest in current.items()}
    found: dict[str, Evidence] = {}
    for day in wanted:
        if day not in current:
            found[day] = _evidence(source, day, "", version, [], run_id, "the raw partition is missing")
    present = [day for day in wanted if day in current]
    repeated = repeated_keys(stores, source, present) if present else {}
    for day, findings in _findings(stores, source, suite, present, current):
        again = [repeated[day]] if day in repeated else []
        findings = [*findings, *again, expected_volume(source, day, rows)]
        found[day] = _evidence(source, day, current[day].digest, version, findings, run_id, rows=rows[day])
    return {day: found[day] for day in wanted}


def _findings(
    stores: Stores, source: Source, suite: Suite, days: Sequence[str], current: Mapping[str, Manifest]
) -> Iterator[tuple[str, list[Finding]]]:
    if suite.problem:
        unknown = Finding(SUITE_NAME, "", "critical", Verdict.UNKNOWN, reason=suite.problem)
        yield from ((day, [unknown]) for day in days)
        return
    if not days:
        return
    from platform_assets.raw.expectation_run import ExpectationRun
    from platform_assets.raw.large_day import LARGE_DAY_ROWS

    run = ExpectationRun(source, suite.expectations)
    for together in _chunks(days, current):
        held: dict[str, pa.Table] = {}
        for day in together:
            if current[day].rows > LARGE_DAY_ROWS:
                yield day, _of_large_day(run, stores, source, current[day])
                continue
            rows = _read(stores, source, day)
            if isinstance(rows, str):
                yield day, [Finding(SUITE_NAME, "", "critical", Verdict.UNKNOWN, reason=rows)]
            else:
                held[day] = rows
        yield from run.findings(held).items()


def _of_large_day(run: ExpectationRun, stores: Stores, source: Source, manifest: Manifest) -> list[Finding]:
    import pyarrow as pa

    from platform_assets.raw.large_day import LargeDay

    try:
        day = LargeDay(run, stores.lake.table(raw_table(source.name)).path(manifest))
        problem = _missing_column(source, day.column_names)
        if not problem:
            return day.findings()
    except (PlatformError, pa.ArrowException, OSError) as error:
        problem = f"the raw partition cannot be read ({error})"
    return [Finding(SUITE_NAME, "", "critical", Verdict.UNKNOWN, reason=problem)]


def _chunks(days: Sequence[str], current: Mapping[str, Manifest]) -> Iterator[list[str]]:
    """Days in order, as many at a time as memory should hold."""
    chunk: list[str] = []
    rows = 0
    for day in days:
        if chunk and rows + current[day].rows > ROWS_HELD:
            yield chunk
            chunk, rows = [], 0
        chunk.append(day)
        rows += current[day].rows
    if chunk:
        yield chunk


def _read(stores: Stores, source: Source, day: str) -> pa.Table | str:
    """The day's rows, or why they cannot be looked at."""
    import pyarrow as pa

    try:
        rows = stores.lake.table(raw_table(source.name)).read([day])
    except (PlatformError, pa.ArrowException, OSError) as error:
        return f"the raw partition cannot be read ({error})"
    return _missing_column(source, rows.column_names) or rows


def _missing_column(source: Source, present: Sequence[str]) -> str:
    missing = [name for name in source.column_names if name not in present]
    if not missing:
        return ""
    return f"the raw partition has no column {missing[0]}, declared since; ingest the day again"


def _evidence(
    source: Source,
    day: str,
    digest: str,
    version: str,
    findings: Sequence[Finding],
    run_id: str,
    reason: str = "",
    rows: int = 0,
) -> Evidence:
    measured: dict[str, Any] = {"rows": rows, "expectations": [finding.to_json() for finding in findings]}
    return Evidence(
        kind=KIND,
        subject=raw_table(source.name),
        partition=day,
        verdict=verdict_of(findings) if findings else Verdict.UNKNOWN,
        reason=reason or reason_of(findings),
        versions=contract_versions(digest, version),
        measured=measured,
        run_id=run_id,
    )


def _record(stores: Stores, evidence: Evidence) -> Evidence:
    """Keep the earlier evidence where only the volume of other days moved."""
    earlier = stores.evidence.latest(KIND, evidence.subject, evidence.partition)
    if (
        earlier is not None
        and earlier.holds_for(evidence.versions)
        and _substance(earlier) == _substance(evidence)
    ):
        return earlier
    return stores.evidence.record(evidence)


def _substance(evidence: Evidence) -> list[tuple[Any, ...]]:
    listed = evidence.measured.get("expectations", [])
    return [
        (str(evidence.verdict),),
        *((e["name"], e["verdict"], e["failing"], e["blocking"]) for e in listed),
    ]
