"""`platform-assets run`: the chain of a product, end to end, building only what has changed."""

from __future__ import annotations

import argparse
import logging
import os
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from platform_assets import vocabulary
from platform_assets.automation.plan import Request, Work, next_requests
from platform_assets.command_line.dagster_home import prepare
from platform_assets.command_line.declaration_check import check_declaration
from platform_assets.declaration.product import Product
from platform_assets.declaration.repository import Repository
from platform_assets.environments import environment, keep_choices
from platform_assets.errors import Blocked, PlatformError
from platform_assets.lake.storage_errors import fix_in
from platform_assets.stores import Stores

if TYPE_CHECKING:
    import dagster as dg


def add_parser(commands: Any) -> None:
    """Add the subcommand."""
    parser = commands.add_parser("run", help="run a product's chain; what has not changed is left alone")
    parser.add_argument("--product", default=None, help="name, or a defs.yaml anywhere; default: card_fraud")
    parser.add_argument(
        "--source", default=None, help="folder or file to read instead of the declared source"
    )
    parser.set_defaults(function=run)


def run(arguments: argparse.Namespace) -> int:
    """Run until nothing is open; 0 when every requested run went well (a refused promotion is one).

    Raises Blocked while another run is at work on the home, LakeError when one of its databases is damaged.
    """
    from platform_assets.command_line.home_check import check_home
    from platform_assets.command_line.run_lock import only_run

    home = environment().home
    with only_run(home):
        check_home(home)
        return _run(arguments)


def _run(arguments: argparse.Namespace) -> int:
    from platform_assets.command_line.products import default_file, find_product, packaged_file

    started = time.perf_counter()
    variables = dict(os.environ)
    if arguments.source:
        variables["PLATFORM_SOURCE"] = arguments.source
    given = variables.get("PLATFORM_SOURCE")
    if given and not Path(given).expanduser().exists():
        # before it is kept as the home's choice, which a web UI would follow
        raise Blocked(f"{given}: no such folder or file to read; correct --source or PLATFORM_SOURCE")
    home = environment().home
    _show_progress()
    prepare(home)
    # without a word about it, the packaged product: not one that an earlier run was given
    product, repository, file = find_product(
        str(default_file()) if arguments.product is None else arguments.product
    )
    check_declaration(product, repository, file or packaged_file(product.name))
    keep_choices(home, source=product.source, variables=variables, product=product.name, product_file=file)

    import dagster as dg

    from platform_assets.automation.reconcile import reconcile, tables_of_product, tables_of_source
    from platform_assets.command_line.abandoned_runs import end_abandoned_runs
    from platform_assets.command_line.summary import print_summary
    from platform_assets.definitions import build_definitions

    stores = Stores.at(home)
    print(f"platform-assets: {product.name} in {home.root}")
    with dg.DagsterInstance.get() as instance:
        daily = tables_of_source(product.source, repository.views_of(product)) | tables_of_product(product)
        for told in end_abandoned_runs(instance) + reconcile(instance, stores, daily):
            print(f"  {told}")
        built, failed, work = _until_nothing_is_open(
            instance, build_definitions(), stores, repository, product
        )
    _publish(stores, product)
    print_summary(stores, repository, product, built=built, work=work, seconds=time.perf_counter() - started)
    for message in failed:
        print(f"\nerror: {message}", file=sys.stderr)
    return 1 if failed else 0


def _until_nothing_is_open(
    instance: dg.DagsterInstance,
    definitions: dg.Definitions,
    stores: Stores,
    repository: Repository,
    product: Product,
) -> tuple[dict[str, float], list[str], list[Work]]:
    """Runs stage after stage; a run that failed is not asked for again, and ends the loop."""
    from platform_assets.automation.product_observation import PRODUCT_STAGES, observe_product
    from platform_assets.automation.source_observation import SOURCE_STAGES, observe_source

    source = repository.source(product.source)
    seconds: dict[str, float] = {}
    asked: set[str] = set()
    answers: set[tuple[object, ...]] = set()
    while True:
        variables = environment().source_variables(source.name)
        upstream = observe_source(stores, repository, source, variables)
        needed = {("raw", source.name)} | {
            ("features", name)
            for view in product.feature_views
            for name in (view, f"online_{view}", f"parity_{view}")
        }
        work: list[Work] = [item for item in upstream.work if item.asset in needed]
        requests = next_requests(_without(work, answers), SOURCE_STAGES)
        if not requests:
            work += observe_product(stores, repository, product)
            requests = next_requests(_without(work, answers), PRODUCT_STAGES)
        fresh = [request for request in requests if request.run_key(0) not in asked]
        if not fresh:
            failed = [f"{r.stage} is still open after it ran: {r.reason}" for r in requests] + _blocked(
                work, product
            )
            return seconds, failed, work
        for request in fresh:
            asked.add(request.run_key(0))
            answers |= {_question(item) for item in work if item.asset in request.assets and _is_parity(item)}
            started = time.perf_counter()
            owner = source.name if request.stage in SOURCE_STAGES else product.name
            message = _execute(instance, definitions, owner, request)
            seconds[request.stage] = seconds.get(request.stage, 0.0) + time.perf_counter() - started
            if message:
                return seconds, [message], work


def _without(work: list[Work], answers: set[tuple[object, ...]]) -> list[Work]:
    """The work but for parity that this run measured: UNKNOWN is an answer, which promotion refuses."""
    return [item for item in work if not (_is_parity(item) and _question(item) in answers)]


def _is_parity(item: Work) -> bool:
    return item.asset[-1].startswith("parity_")


def _question(item: Work) -> tuple[object, ...]:
    return (item.asset, *sorted(item.days.items()))


def _blocked(work: list[Work], product: Product) -> list[str]:
    """What keeps the chain from its end; other blocked days stand in the summary."""
    return [
        f"{'/'.join(item.asset)} is blocked: {reason}"
        for item in work
        if item.asset == (product.name, "training_set")
        for reason in item.blocked.values()
    ]


def _execute(
    instance: dg.DagsterInstance, definitions: dg.Definitions, owner: str, request: Request
) -> str | None:
    """Run one request in this process; the message of its failure, or None."""
    import dagster as dg

    from platform_assets.jobs.source_jobs import job_name

    span = f" {request.days[0]} .. {request.days[1]}" if request.days else ""
    print(f"{request.stage}{span}: {request.reason}", flush=True)
    tags: dict[str, str] = {}
    if request.days:
        tags = {vocabulary.RANGE_START: request.days[0], vocabulary.RANGE_END: request.days[1]}
    job = definitions.resolve_job_def(job_name(owner, request.stage))
    result = job.execute_in_process(
        instance=instance,
        asset_selection=[dg.AssetKey(list(asset)) for asset in request.assets],
        tags=tags,
        raise_on_error=False,
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
    )
    if result.success:
        return None
    for event in result.all_events:
        if event.is_step_failure:
            text = _told(event.step_failure_data.error)
            fix = fix_in(text)
            text = f"{text}; {fix}" if fix and fix not in text else text
            return f"{request.stage}{span} failed in {event.step_key}: {text} (run {result.run_id})"
    return f"{request.stage}{span} failed (run {result.run_id})"


def _told(error: Any) -> str:
    """What an error says: the first of ours among its causes, which tells the fix, else the innermost."""
    ours, innermost = _names(PlatformError), "unknown"
    while error is not None:
        innermost = error.message
        if error.cls_name in ours:
            break
        error = error.cause
    return str(innermost).strip()


def _names(kind: type[Exception]) -> set[str]:
    return {kind.__name__}.union(*(_names(below) for below in kind.__subclasses__()))


def _publish(stores: Stores, product: Product) -> None:
    """Copy the report's figures to `reports/<product>/` of the present folder, unless it is that home's."""
    made = stores.home.reports / product.name / "metrics.json"
    shown = Path.cwd() / "reports" / product.name / "metrics.json"
    if made.exists() and made.resolve() != shown.resolve():
        shown.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(made, shown)


def _show_progress() -> None:
    logging.captureWarnings(True)
    logger = logging.getLogger("platform_assets.progress")
    logger.handlers[:] = [logging.StreamHandler(sys.stdout)]
    logger.setLevel(logging.INFO)
    logger.propagate = False
