"""Parity: what is served at a moment equals what was trained on at that moment.

A key-hash sample of the newest materialized day's rows is sent as requests, at their own event
timestamps, and each served value is held against the feature lake's value for the same primary key.
For people, it also tells what two common shortcuts would have served to the same requests.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from platform_assets.declaration.feature_view import Feature, FeatureView
from platform_assets.declaration.gate import Parity
from platform_assets.declaration.product import Product
from platform_assets.declaration.repository import Repository
from platform_assets.declaration.source import Source
from platform_assets.errors import Blocked, PlatformError
from platform_assets.evidence.evidence import Evidence, Verdict, worst
from platform_assets.features.compute import expected_inputs
from platform_assets.lake.digest import document_digest
from platform_assets.online.online_events import PARTITION
from platform_assets.online.online_store import online_inputs, serve
from platform_assets.parity.serving_shortcuts import shortcuts_of
from platform_assets.parity.view_parity import newest_view_parity, view_parity, view_parity_history
from platform_assets.parity.view_verdicts import evidence_names, judged
from platform_assets.stores import Stores
from platform_assets.vocabulary import feature_table, online_table, product_table, raw_table

if TYPE_CHECKING:
    import pyarrow as pa

KIND = "parity"
EXAMPLES = 3

Value = int | float | None


@dataclass
class _Tally:
    """One feature's comparison over the sample."""

    view: str
    feature: str
    mismatches: int = 0
    missing: int = 0
    max_abs_error: float = 0.0
    last_stored_row: int = 0
    midnight_snapshot: int = 0

    def row(self, requests: int) -> dict[str, Any]:
        """As one line of a table; shortcuts as shares of the requests."""
        return {
            "view": self.view,
            "feature": self.feature,
            "mismatches": self.mismatches,
            "missing": self.missing,
            "max_abs_error": self.max_abs_error,
            "last_stored_row_differs": round(self.last_stored_row / requests, 4),
            "midnight_snapshot_differs": round(self.midnight_snapshot / requests, 4),
        }


def parity_versions(stores: Stores, repository: Repository, product: Product) -> dict[str, str]:
    """What parity evidence must be bound to now: the views' versions, each online state's digest, and the
    newest evidence of each view's own parity."""
    views = repository.views_of(product)
    versions = {"views": document_digest({view.name: view.code_version for view in views})}
    for view in views:
        if not view.online:
            continue
        manifest = stores.lake.table(online_table(view.lake_name)).manifest(PARTITION)
        if manifest is not None:
            versions[f"online:{view.name}"] = manifest.digest
    return versions | evidence_names(
        {view.name: view_parity_history(stores, view)[-1:] for view in views if view.online}
    )


def parity_report(stores: Stores, repository: Repository, product: Product, *, run_id: str = "") -> Evidence:
    """Compare served with training values on a sample, and record the evidence.

    PASSED when at most the gate's share of requests differs in any feature and each view's own parity
    holds, FAILED when more do,
    UNKNOWN when it could not be measured: nothing materialized, or not from the present raw days;
    feature days missing or stale; a store that cannot be read; an empty sample.
    """
    import pyarrow as pa

    gate = next(gate for gate in product.gates if isinstance(gate, Parity))
    by_view = {
        view.name: newest_view_parity(stores, view) or view_parity(stores, repository, view, run_id=run_id)
        for view in repository.views_of(product)
        if view.online
    }
    versions = parity_versions(stores, repository, product)
    try:
        verdict, reason, measured = _measure(stores, repository, product, gate)
    except (PlatformError, OSError, pa.ArrowException) as error:
        verdict, reason, measured = Verdict.UNKNOWN, str(error), {}
    if verdict is Verdict.PASSED:
        verdict, reason = _with_views(gate, by_view, reason)
        measured["views"] = [
            {"view": name, "evidence": found.id, "verdict": str(found.verdict), "reason": found.reason}
            for name, found in by_view.items()
        ]
    if versions != parity_versions(stores, repository, product):
        verdict, reason = (
            Verdict.UNKNOWN,
            "an online store was filled while parity was measured; measure again",
        )
    return stores.evidence.record(
        Evidence(
            kind=KIND,
            subject=product_table(product.name, "parity_report"),
            verdict=verdict,
            reason=reason,
            versions=versions,
            measured=measured,
            limits={"at_most": gate.at_most, "tolerance": gate.tolerance, "requests": gate.requests},
            run_id=run_id,
        )
    )


def _with_views(gate: Parity, by_view: Mapping[str, Evidence], reason: str) -> tuple[Verdict, str]:
    """The sample passed; whether the parity of every view does by the same gate."""
    verdicts = {name: judged(found, gate) for name, found in by_view.items()}
    verdict = worst([Verdict.PASSED, *(of_view for of_view, _ in verdicts.values())])
    if verdict is Verdict.PASSED:
        return verdict, reason
    told = "; ".join(f"{name}: {why}" for name, (of_view, why) in verdicts.items() if of_view is verdict)
    return verdict, f"the sample passed, the parity of view {told}"


def _measure(
    stores: Stores, repository: Repository, product: Product, gate: Parity
) -> tuple[Verdict, str, dict[str, Any]]:
    source = repository.source(product.source)
    views = repository.views_of(product)
    day = _newest_day(stores, repository, source, views)
    trained = {view.name: _training_rows(stores, source, view, day) for view in views}
    requests = _sample(stores.lake.table(raw_table(source.name)).read([day]), source, gate.requests)
    if not requests.num_rows:
        raise Blocked(f"no request could be sampled: raw day {day} of {source.name} has no rows")
    keys = _keys(source, requests)
    differing: set[int] = set()
    shortcuts: dict[str, set[int]] = {"last_stored_row": set(), "midnight_snapshot": set()}
    tallies: list[_Tally] = []
    examples: list[dict[str, Any]] = []
    for view in views:
        expected = _by_key(source, view, trained[view.name])
        served = serve(stores, repository, view, requests)
        others = shortcuts_of(stores, repository, view, requests, day)
        for place, feature in enumerate(view.features):
            tally = _Tally(view.name, feature.name)
            tallies.append(tally)
            for i, key in enumerate(keys):
                want = expected.get(key)
                got = served[feature.name][i]
                if want is None:
                    tally.missing += 1
                    differing.add(i)
                    continue
                error = difference(feature, want[place], got, gate.tolerance)
                if error is not None:
                    differing.add(i)
                    tally.mismatches += 1
                    tally.max_abs_error = max(tally.max_abs_error, error)
                    if tally.mismatches <= EXAMPLES:
                        examples.append(
                            {
                                "feature": feature.name,
                                "key_hash": _hash(key)[:12],
                                "served": got,
                                "trained": want[place],
                            }
                        )
                for name, values in others.items() if feature.is_window else ():
                    if difference(feature, want[place], values[feature.name][i], gate.tolerance) is not None:
                        shortcuts[name].add(i)
                        setattr(tally, name, getattr(tally, name) + 1)
    count = requests.num_rows
    share = len(differing) / count
    measured = {
        "day": day,
        "requests": count,
        "differing": len(differing),
        "share": share,
        "last_stored_row_share": round(len(shortcuts["last_stored_row"]) / count, 4),
        "midnight_snapshot_share": round(len(shortcuts["midnight_snapshot"]) / count, 4),
        "examples": examples,
        "features": [tally.row(count) for tally in tallies],
    }
    worst = max(tallies, key=lambda t: t.mismatches + t.missing, default=None)
    if share > gate.at_most and worst is not None:
        return (
            Verdict.FAILED,
            f"{len(differing)} of {count} requests of {day} differ from training, most in "
            f"{worst.view}:{worst.feature} ({worst.mismatches} values, {worst.missing} missing); "
            f"at most {gate.at_most:.2%} may",
            measured,
        )
    if not views:
        return Verdict.PASSED, "no feature view is used: every input is the request's own", measured
    return Verdict.PASSED, f"{count - len(differing)} of {count} requests of {day} equal training", measured


def _newest_day(stores: Stores, repository: Repository, source: Source, views: Sequence[FeatureView]) -> str:
    """The last day that every online view was materialized through, from the present raw days."""
    newest: dict[str, str] = {}
    for view in views:
        if not view.online:
            continue
        manifest = stores.lake.table(online_table(view.lake_name)).manifest(PARTITION)
        if manifest is None:
            raise Blocked(f"online {view.name}: nothing was materialized yet")
        expected = online_inputs(stores, repository, view)
        if not manifest.is_made_from(view.code_version, expected):
            raise Blocked(
                f"online {view.name} is stale: it was filled from other raw days, or another version of the "
                f"view, than there are now; materialize online_{view.name}"
            )
        newest[view.name] = max(expected[raw_table(source.name)])
    if newest:
        return max(newest.values())
    days = stores.lake.table(raw_table(source.name)).partitions()
    if not days:
        raise Blocked(f"raw table of {source.name} is empty")
    return days[-1]


def _training_rows(stores: Stores, source: Source, view: FeatureView, day: str) -> pa.Table:
    """The view's feature rows of a day, if they are those of the present raw days and view."""
    table = stores.lake.table(feature_table(view.lake_name))
    manifest = table.manifest(day)
    expected = expected_inputs(stores, source, view, day)
    if manifest is None:
        raise Blocked(f"feature view {view.name}: day {day} was not built")
    if expected is None or not manifest.is_made_from(view.code_version, expected):
        raise Blocked(f"feature view {view.name}: day {day} is stale; build it again")
    return table.read([day])


def _sample(rows: pa.Table, source: Source, wanted: int) -> pa.Table:
    """The rows whose keys hash lowest: the same ones in every run, and no choice of anybody."""
    import pyarrow as pa

    hashes = [(_hash(key), i) for i, key in enumerate(_keys(source, rows))]
    return rows.take(pa.array(sorted(i for _, i in sorted(hashes)[:wanted]), pa.int64()))


def _keys(source: Source, rows: pa.Table) -> list[tuple[Any, ...]]:
    return list(zip(*(rows.column(name).to_pylist() for name in source.primary_key), strict=True))


def _hash(key: tuple[Any, ...]) -> str:
    return hashlib.sha256("\x1f".join(str(part) for part in key).encode()).hexdigest()


def _by_key(source: Source, view: FeatureView, rows: pa.Table) -> dict[tuple[Any, ...], tuple[Value, ...]]:
    values = zip(*(rows.column(name).to_pylist() for name in view.feature_names), strict=True)
    return dict(zip(_keys(source, rows), values, strict=True))


def difference(feature: Feature, want: Value, got: Value, tolerance: float) -> float | None:
    """How far a value is off; None when it is equal: whole numbers and nulls exactly, floats nearly.

    The tolerance is relative for floats above 1. A null against a value is off by that value.

    >>> from datetime import timedelta
    >>> mean = Feature(name="m", function="mean", column="c", window="1d")
    >>> difference(mean, 2.0, 2.0 + 1e-12, 1e-9) is None, difference(mean, None, 3.0, 1e-9)
    (True, 3.0)
    """
    want, got = (None if value is None or value != value else value for value in (want, got))  # NaN is null
    if want is None or got is None:
        return None if want is got else abs(float(got if want is None else want))  # type: ignore[arg-type]
    off = abs(float(got) - float(want))
    if feature.type == "int64":
        return None if got == want else off
    return None if off <= tolerance * max(1.0, abs(float(want))) else off
