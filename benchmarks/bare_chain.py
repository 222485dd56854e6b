"""The whole chain as plain function calls: what the asset graph does, without Dagster.

    PLATFORM_HOME=/tmp/home python benchmarks/bare_chain.py [--source FOLDER] [--customers 500 --days 60]

It doubles as a tour of the library: every call takes `stores` (where things lie), `repository`
(what is declared) and `product`, and leaves manifests and evidence that the next call reads.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from platform_assets.declaration.product import Product
from platform_assets.declaration.repository import Repository, read_repository
from platform_assets.declaration.source import Source
from platform_assets.declaration.yaml_reader import read_yaml
from platform_assets.evaluation.evaluation_report import evaluate
from platform_assets.features.compute import build_feature_days
from platform_assets.features.equality import feature_equality
from platform_assets.hindsight.hindsight_report import hindsight_report
from platform_assets.home import Home
from platform_assets.monitoring.drift import drift_report
from platform_assets.online.online_store import fill_online
from platform_assets.parity.parity_report import parity_report
from platform_assets.parity.view_parity import view_parity
from platform_assets.raw.contract import evaluate_contract
from platform_assets.raw.ingest import ingest_day
from platform_assets.raw.source_reader import open_source
from platform_assets.raw.trust import untrusted_days
from platform_assets.registry.model_versions import register
from platform_assets.registry.promotion import promote
from platform_assets.serving.predictions import predict_days
from platform_assets.stores import Stores
from platform_assets.training.leakage import leakage_guard
from platform_assets.training.training_run import train
from platform_assets.training.training_set import build_training_set

CHECKOUT = Path(__file__).resolve().parents[1]
CAUSE = "bare chain"


def chain(stores: Stores, repository: Repository, product: Product) -> None:
    """From raw rows to a promoted model, scored days and a drift report."""
    source = repository.source(product.source)
    suite = repository.contract_path(source)
    views = repository.views_of(product)

    with stage("raw"):
        reader = open_source(source, repository.folders[source.name], os.environ)
        days = sorted(reader.days())
        rows = sum(ingest_day(stores, source, reader, day, cause=CAUSE, run_id="").rows for day in days)
        print(f"  {rows:,} rows on {len(days)} days")

    with stage("contract"):
        evaluate_contract(stores, source, suite, days)
        untrusted = untrusted_days(stores, source, suite, days)
        print(f"  {len(untrusted)} days not to be trusted")

    for view in views:
        with stage(view.name):
            entity = repository.entity_of(view)
            build_feature_days(
                stores, source, entity, view, days, untrusted=untrusted, cause=CAUSE, run_id=""
            )

    for view in views:
        if view.online:
            with stage(f"online_{view.name}"):
                fill_online(stores, repository, view, cause=CAUSE, run_id="")
            with stage(f"parity_{view.name}"):
                print(f"  {view_parity(stores, repository, view).verdict}")

    with stage("training_set"):
        training_set = build_training_set(
            stores, repository, product, suite_path=suite, cause=CAUSE, run_id=""
        )
    with stage("leakage_guard"):
        print(f"  {leakage_guard(stores, repository, product, training_set).verdict}")
    with stage("feature_equality"):
        print(f"  {feature_equality(stores, repository, product, training_set).verdict}")

    with stage("training_run"):
        training_run = train(stores, repository, product, training_set, cause=CAUSE, run_id="")
    with stage("evaluation_report"):
        report = evaluate(stores, repository, product, training_set, training_run, cause=CAUSE, run_id="")
        metrics = stores.lake.table(report.table).document_of(report)["metrics"]
        print("  " + ", ".join(f"{name} {value}" for name, value in metrics.items()))
    with stage("hindsight_report"):
        found = hindsight_report(stores, repository, product, training_set, training_run)
        print(f"  {found.verdict}: {found.reason}")
    with stage("registered_model"):
        register(stores, repository, product, suite_path=suite, cause=CAUSE, run_id="")

    with stage("parity_report"):
        print(f"  {parity_report(stores, repository, product).verdict}")
    with stage("promotion"):
        decision = promote(stores, repository, product, suite_path=suite, actor="bare chain", run_id="")
        print(f"  {decision.outcome}: {decision.reason}")
        for gate in decision.gates:
            print(f"  {gate.key}: {gate.verdict}: {gate.reason}")

    with stage("predictions"):
        scored = predict_days(stores, repository, product, days, cause=CAUSE)
        print(f"  {sum(manifest.rows for manifest in scored):,} rows")
    with stage("drift_report"):
        drift = drift_report(stores, repository, product)
        print(f"  {drift.verdict}: {drift.reason}")


@contextmanager
def stage(name: str) -> Iterator[None]:
    """Tell what is running, then its wall and CPU seconds (its own children included)."""
    print(name, flush=True)
    wall, cpu = time.perf_counter(), sum(os.times()[:4])
    yield
    spent = sum(os.times()[:4]) - cpu
    print(f"  {time.perf_counter() - wall:.1f} s, {spent:.1f} CPU s", flush=True)


def declared(product_file: Path) -> tuple[Repository, Product]:
    """The checkout's feature repository and one product, cross-checked."""
    repository = read_repository([CHECKOUT / "feature_repo"])
    product = read_yaml(product_file, Product, inside="attributes")
    repository.check_product(product)
    return repository, product


def smaller(repository: Repository, name: str, customers: int | None, days: int | None) -> Repository:
    """The same repository with a generator of fewer customers (twice as many terminals) or days."""
    source = repository.source(name)
    size = {} if customers is None else {"customers": customers, "terminals": 2 * customers}
    end = source.end if days is None else source.start + timedelta(days=days)
    sized: Source = source.model_copy(update={"generator": {**source.generator, **size}, "end": end})
    return Repository(
        {**repository.sources, name: sized}, repository.entities, repository.feature_views, repository.folders
    )


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--source", help="folder or file to read instead of the generator")
    parser.add_argument(
        "--product", type=Path, default=CHECKOUT / "platform_assets/defs/card_fraud/defs.yaml"
    )
    parser.add_argument("--customers", type=int, help="a smaller generator")
    parser.add_argument("--days", type=int, help="a shorter generator")
    options = parser.parse_args(arguments)
    if options.source:
        os.environ["PLATFORM_SOURCE"] = options.source
    repository, product = declared(options.product)
    repository = smaller(repository, product.source, options.customers, options.days)
    chain(Stores.at(Home.from_environment()), repository, product)


if __name__ == "__main__":
    main(sys.argv[1:])
