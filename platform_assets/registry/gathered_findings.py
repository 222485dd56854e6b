"""All that the gates look at, read from evidence, ledger and lake."""

from __future__ import annotations

from pathlib import Path

from platform_assets.declaration.product import Product
from platform_assets.declaration.repository import Repository
from platform_assets.evidence.evidence import Evidence, Verdict
from platform_assets.evidence.waiver import waiver_for
from platform_assets.parity.view_parity import view_parity_history, view_parity_versions
from platform_assets.registry.gates import Candidate, Comparison, Findings, bound
from platform_assets.stores import Stores
from platform_assets.vocabulary import online_table, product_table, raw_table


def gathered_findings(
    stores: Stores,
    repository: Repository,
    product: Product,
    candidate: Candidate,
    partition: str,
    suite_path: Path,
    comparison: Comparison | None,
) -> Findings:
    """Histories of evidence about a candidate's training set, model and views, and what is current now.

    `partition` is the split's training set, `comparison` what was found against the champion.
    """
    from platform_assets.raw.contract_in_force import contract_standing

    def history(kind: str, noun: str, part: str = partition) -> list[Evidence]:
        return stores.evidence.history(kind, product_table(product.name, noun), part)

    source = repository.source(product.source)
    raw = raw_table(source.name)
    contract = {day: stores.evidence.history("contract", raw, day) for day in candidate.raw}
    waived = {
        day: waiver
        for day, found in contract.items()
        for evidence in [bound(found, {"raw": candidate.raw[day], "contract": candidate.contract_version})]
        if isinstance(evidence, Evidence)
        and evidence.verdict is not Verdict.PASSED
        and (waiver := waiver_for(stores.ledger, evidence, owners=source.owners)) is not None
    }
    served = [view for view in repository.views_of(product) if view.online]
    online = {
        view.name: stores.lake.table(online_table(view.lake_name)).manifest("current") for view in served
    }
    return Findings(
        evaluation=history("evaluation", "evaluation_report"),
        feature_equality=history("feature_equality", "training_set"),
        leakage=history("leakage", "training_set"),
        parity=history("parity", "parity_report", ""),
        contract=contract,
        waived=waived,
        contract_version=contract_standing(stores, source, suite_path).in_force.version,
        online={view: manifest.digest if manifest else None for view, manifest in online.items()},
        view_parity={v.name: view_parity_history(stores, v) for v in served},
        view_versions={v.name: view_parity_versions(stores, v) for v in served},
        comparison=comparison,
    )
