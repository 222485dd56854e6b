"""What a contract says of stored days: a verdict per day, bound to its rows and to the contract."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from platform_assets.declaration.source import Source
from platform_assets.errors import PlatformError
from platform_assets.evidence.evidence import Evidence, Verdict
from platform_assets.lake.manifest import Manifest
from platform_assets.raw.declared_contract import Contract
from platform_assets.raw.finding import Finding, reason_of, verdict_of
from platform_assets.raw.repeated_keys import repeated_keys
from platform_assets.raw.suite import SUITE_NAME, Suite
from platform_assets.raw.volume import expected_volume
from platform_assets.stores import Stores
from platform_assets.vocabulary import raw_table

if TYPE_CHECKING:
    import pyarrow as pa

    from platform_assets.raw.expectation_run import ExpectationRun

KIND = "contract"
ROWS_HELD = 400_000


def contract_versions(raw_digest: str, contract: str) -> dict[str, str]:
    """What contract evidence is bound to."""
    return {"raw": raw_digest, "contract": contract}


def judge_contract(
    stores: Stores, source: Source, contract: Contract, days: Iterable[str], *, run_id: str = ""
) -> dict[str, Evidence]:
    """What a contract says of days, one Evidence a day; nothing is recorded and nothing changes.

    Its verdict is the worst of the critical expectations; every expectation stands in
    `measured["expectations"]`. A day without raw partition, or a suite that cannot be read, is UNKNOWN.
    """
    table = stores.lake.table(raw_table(source.name))
    current = table.current()
    wanted = sorted(set(days))
    version = contract.version
    rows = {day: manifest.rows for day, manifest in current.items()}
    found: dict[str, Evidence] = {}
    for day in wanted:
        if day not in current:
            found[day] = _evidence(source, day, "", version, [], run_id, "the raw partition is missing")
    present = [day for day in wanted if day in current]
    repeated = repeated_keys(stores, source, present) if present else {}
    for day, findings in _findings(stores, source, contract.suite, present, current):
        again = [repeated[day]] if day in repeated else []
        findings = [*findings, *again, expected_volume(contract.volume, day, rows)]
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
