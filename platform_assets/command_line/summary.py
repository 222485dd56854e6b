"""What a person reads when the run has ended."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from platform_assets import vocabulary
from platform_assets.automation.plan import Work
from platform_assets.declaration.product import Product
from platform_assets.declaration.repository import Repository
from platform_assets.evidence.ledger import to_the_second
from platform_assets.stores import Stores
from platform_assets.training.present_split import present_split_id

LINE = "-" * 78


def print_summary(
    stores: Stores,
    repository: Repository,
    product: Product,
    *,
    built: Mapping[str, float],
    work: Sequence[Work],
    seconds: float,
) -> None:
    """Rows, metrics, each gate's verdict, champion, drift, seconds per stage, and where to look."""
    print(f"\n{LINE}\n{product.name}")
    if not built:
        print("  nothing has changed; nothing was rebuilt")
    raw = vocabulary.raw_table(product.source)
    tables = [
        raw,
        *(vocabulary.feature_table(view.lake_name) for view in repository.views_of(product)),
        vocabulary.product_table(product.name, "predictions"),
    ]
    for name in tables:
        manifests = stores.lake.table(name).current()
        rows = sum(manifest.rows for manifest in manifests.values())
        print(f"  {name:<40} {len(manifests):>4} days {rows:>12,} rows")
    for item in work:
        for day, reason in list(item.blocked.items())[:5]:
            print(f"  BLOCKED {'/'.join(item.asset)} {day}: {reason}")
        if len(item.blocked) > 5:
            print(f"  BLOCKED {'/'.join(item.asset)}: and {len(item.blocked) - 5} more days")
    _print_model(stores, product)
    _print_decision(stores, product)
    split = present_split_id(stores, product) if stores.lake.table(raw).partitions() else ""
    for kind, noun, part in (
        ("hindsight", "hindsight_report", split),
        ("parity", "parity_report", ""),
        ("drift", "drift_report", ""),
    ):
        evidence = stores.evidence.latest(kind, vocabulary.product_table(product.name, noun), part)
        if evidence is not None:
            print(f"  {noun:<40} {evidence.verdict}: {evidence.reason}")
    if built:
        stages = ", ".join(f"{stage} {spent:.1f}" for stage, spent in built.items())
        print(f"  seconds: {stages}; all {seconds:.1f}")
    else:
        print(f"  seconds: all {seconds:.1f}")
    print(f"  reports: {stores.home.reports / product.name}")
    print(f"  look at it:  {_web_ui(stores)}   (http://127.0.0.1:3000/asset-groups)\n{LINE}")


def _web_ui(stores: Stores) -> str:
    """What starts the web UI: the checkout's Makefile, or `dg` in a squad's own project."""
    if (Path(__file__).resolve().parents[2] / "Makefile").exists():
        return "make ui"
    return f"DAGSTER_HOME={shlex.quote(str(stores.home.dagster))} dg dev"


def _newest(stores: Stores, product: Product, noun: str) -> Mapping[str, object] | None:
    table = stores.lake.table(vocabulary.product_table(product.name, noun))
    manifests = table.current()
    if not manifests:
        return None
    # of the present split; while that was not built, of the one written last
    written_last = max(manifests.values(), key=lambda m: (m.created_at, m.partition))
    return table.document_of(manifests.get(present_split_id(stores, product), written_last))


def _print_model(stores: Stores, product: Product) -> None:
    report = _newest(stores, product, "evaluation_report")
    if report is None:
        print("  no model was evaluated")
        return
    print(
        f"  train {report.get('train_rows'):,} rows ({report.get('train_positives'):,} positive), "
        f"test {report.get('test_rows'):,} rows ({report.get('test_positives'):,} positive)"
    )
    metrics = report.get("metrics")
    if isinstance(metrics, Mapping):
        for name, value in metrics.items():
            print(f"  {name:<40} " + ("could not be measured" if value is None else f"{value:.4f}"))


def _print_decision(stores: Stores, product: Product) -> None:
    registered = _newest(stores, product, "registered_model")
    if registered is None:
        return
    version = str(registered["version"])
    entries = stores.ledger.entries(product.name)
    decisions = [
        entry
        for entry in entries
        if (entry.kind == "intent" and str(entry.body.get("to")) == version)
        or (entry.kind == "refusal" and str(entry.body.get("version")) == version)
    ]
    last = decisions[-1].body if decisions else {}
    decided = {gate["key"]: gate for gate in last.get("gates", ())}
    for gate in product.gates:
        print(f"  gate {gate.key:<35} {_gate_told(decided.get(gate.key))}")
    if decisions and not decided:
        print(f"  refused: {'; '.join(last.get('reasons', ()))}")
    confirmed = [e for e in entries if e.kind == "confirm"]
    champion = (
        f"version {confirmed[-1].body.get('to')} since {to_the_second(confirmed[-1].at)}"
        if confirmed
        else "none"
    )
    refused = " (refused)" if decisions and decisions[-1].kind == "refusal" else ""
    print(f"  newest version {version}{refused}; champion: {champion}")


def _gate_told(gate: Mapping[str, Any] | None) -> str:
    """A gate as the last decision on the version left it: a waived failure with who answers for it."""
    if gate is None:
        return "not decided"
    if gate.get("waived_by"):
        return f"WAIVED: {gate['verdict']}, {gate['reason']} ({gate['waiver']})"
    return f"{gate['verdict']}: {gate['reason']}"
