"""The graph as reviewed: keys, deps, owners, groups, kinds, checks; and what loading it may cost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from platform_assets.definitions import build_definitions

SNAPSHOT = Path(__file__).with_name("graph_snapshot.json")
HEAVY = ("mlflow", "feast", "evidently", "great_expectations", "pyspark", "sklearn", "pandas")


def drawn(definitions: dg.Definitions) -> dict[str, dict]:
    """What a review wants to see of every asset."""
    graph = definitions.resolve_asset_graph()
    found = {}
    for key in sorted(graph.get_all_asset_keys(), key=lambda k: k.to_user_string()):
        node = graph.get(key)
        spec = definitions.resolve_assets_def(key).specs_by_key[key]
        schema = spec.metadata.get("dagster/column_schema")
        lineage = spec.metadata.get("dagster/column_lineage")
        found[key.to_user_string()] = {
            "deps": sorted(parent.to_user_string() for parent in node.parent_keys),
            "owners": sorted(spec.owners),
            "group": spec.group_name,
            "kinds": sorted(spec.kinds),
            "code_version": spec.code_version,
            "partitions": type(spec.partitions_def).__name__ if spec.partitions_def else None,
            "checks": sorted(check.name for check in graph.get_check_keys_for_assets({key})),
            "columns": [column.name for column in schema.columns] if schema else [],
            "lineage": {
                column: sorted(f"{d.asset_key.to_user_string()}.{d.column_name}" for d in deps)
                for column, deps in lineage.deps_by_column.items()
            }
            if lineage
            else {},
        }
    return found


def test_graph_is_as_reviewed() -> None:
    """Set UPDATE_SNAPSHOT=1 to write it anew, and review the difference."""
    present = json.dumps(drawn(build_definitions()), indent=1, sort_keys=True) + "\n"
    if os.environ.get("UPDATE_SNAPSHOT"):
        SNAPSHOT.write_text(present)
    assert present == SNAPSHOT.read_text()


def test_every_asset_says_who_and_what() -> None:
    definitions = build_definitions()
    for key in definitions.resolve_asset_graph().get_all_asset_keys():
        spec = definitions.resolve_assets_def(key).specs_by_key[key]
        assert spec.owners, key
        assert spec.description, key
        assert spec.kinds, key
        assert spec.code_version, key
        config = definitions.resolve_assets_def(key).op.tags["dagster-k8s/config"]
        resources = (
            json.loads(config)["container_config"]["resources"]
            if isinstance(config, str)
            else config["container_config"]["resources"]
        )
        assert {"cpu", "memory"} == set(resources["requests"]) == set(resources["limits"]), key


def test_every_check_and_column_says_what_it_is() -> None:
    definitions = build_definitions()
    graph = definitions.resolve_asset_graph()
    silent = [key.to_user_string() for key in graph.asset_check_keys if not graph.get(key).description]
    assert silent == []
    for key in graph.get_all_asset_keys():
        schema = definitions.resolve_assets_def(key).specs_by_key[key].metadata.get("dagster/column_schema")
        columns = schema.columns if schema else []
        assert [column.name for column in columns if not column.description] == [], key


@pytest.mark.parametrize(
    ("asset", "file", "line"),
    [
        ("raw/card_transactions", "card_transactions.yaml", "- name: card_transactions"),
        ("features/terminal_risk", "terminal_risk.yaml", "- name: terminal_risk"),
        ("features/online_terminal_risk", "terminal_risk.yaml", "- name: terminal_risk"),
        ("features/parity_customer_spending", "customer_spending.yaml", "- name: customer_spending"),
        ("card_fraud/promotion", "defs.yaml", "type: platform_assets.components.ModelProduct"),
    ],
)
def test_an_asset_opens_its_declaration_in_an_editor(asset: str, file: str, line: str) -> None:
    spec = build_definitions().resolve_assets_def(dg.AssetKey(asset.split("/"))).get_asset_spec()
    first = spec.metadata["dagster/code_references"].code_references[0]
    assert Path(first.file_path).name == file
    assert Path(first.file_path).read_text().splitlines()[first.line_number - 1].strip() == line


def test_the_chain_is_connected() -> None:
    graph = build_definitions().resolve_asset_graph()
    ends = dg.AssetSelection.assets(["card_fraud", "drift_report"], ["card_fraud", "hindsight_report"])
    upstream = ends.upstream().resolve(graph)
    assert upstream == graph.get_all_asset_keys()


def test_loading_imports_nothing_heavy() -> None:
    code = (
        "import sys, platform_assets.definitions as d; d.defs.get_repository_def();"
        f"print('loaded', [m for m in {HEAVY!r} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "loaded []", done.stdout + done.stderr


@pytest.mark.parametrize("command", [["check", "yaml"], ["list", "defs"]], ids=" ".join)
def test_dg_commands_work(command: list[str], tmp_path: Path) -> None:
    checkout = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [str(Path(sys.executable).parent / "dg"), *command],
        cwd=checkout,
        capture_output=True,
        text=True,
        env={**os.environ, "PLATFORM_HOME": str(tmp_path)},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert ("successfully" if command[1] == "yaml" else "training_set") in done.stdout


def test_production_asks_for_its_home(monkeypatch: pytest.MonkeyPatch) -> None:
    from platform_assets.environments import environment
    from platform_assets.errors import DeclarationError

    with pytest.raises(DeclarationError, match="PLATFORM_HOME must be set in production"):
        environment({"PLATFORM_ENV": "production"})
    with pytest.raises(DeclarationError, match="expected one of dev, staging, production"):
        environment({"PLATFORM_ENV": "prod"})


def test_production_runs_steps_as_kubernetes_jobs(tmp_path: Path) -> None:
    code = (
        "from platform_assets.definitions import defs; "
        "print('executor', defs.resolve_job_def('card_fraud_training').executor_def.name)"
    )
    environment = {**os.environ, "PLATFORM_ENV": "production", "PLATFORM_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, env=environment
    )
    assert done.stdout.strip() == "executor k8s", done.stdout + done.stderr
