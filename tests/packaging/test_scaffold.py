"""`dg scaffold defs` in a squad's own project: what it writes loads, checks and runs as it is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from commands import CHECKOUT, succeed
from driver_world import DriverWorld

PRODUCT = "platform_assets.components.ModelProduct"
FEATURES = "platform_assets.components.FeatureRepository"
FEAST = "platform_assets.components.FeastProject"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project of a squad, which depends on this package and declares nothing yet."""
    root = tmp_path / "squad"
    (root / "squad" / "defs").mkdir(parents=True)
    (root / "squad" / "__init__.py").touch()
    (root / "squad" / "defs" / "__init__.py").touch()
    (root / "squad" / "definitions.py").write_text(
        "import platform_assets\nimport squad.defs\n\ndefs = platform_assets.code_location(squad.defs)\n"
    )
    (root / "pyproject.toml").write_text(
        '[project]\nname = "squad"\nversion = "0"\n[tool.dg]\ndirectory_type = "project"\n'
        '[tool.dg.project]\nroot_module = "squad"\nregistry_modules = ["platform_assets.components"]\n'
        '[tool.dg.cli]\nsuppress_warnings = ["project_and_activated_venv_mismatch"]\n'
    )
    return root


def dg(project: Path, *arguments: str, passes: bool = True, **variables: str) -> str:
    """Run `dg` in the project; what it said."""
    paths = os.pathsep.join([str(project), str(CHECKOUT)])
    done = subprocess.run(
        [str(Path(sys.executable).parent / "dg"), *arguments],
        cwd=project,
        env={**os.environ, "PYTHONPATH": paths, "PYTHONWARNINGS": "ignore", "COLUMNS": "200", **variables},
        capture_output=True,
        text=True,
    )
    assert (done.returncode == 0) is passes, f"{arguments}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def loaded(project: Path) -> set[str]:
    script = (
        "import json\nfrom squad.definitions import defs\n"
        "keys = defs.resolve_asset_graph().get_all_asset_keys()\n"
        "print(json.dumps(sorted(k.to_user_string() for k in keys)))\n"
    )
    told = succeed(
        *(sys.executable, "-W", "ignore", "-c", script),
        cwd=project,
        PYTHONPATH=os.pathsep.join([str(project), str(CHECKOUT)]),
    )
    return set(json.loads(told.splitlines()[-1]))


@pytest.mark.slow
def test_a_source_and_a_product_on_it_run_to_a_champion(project: Path, tmp_path: Path) -> None:
    defs = project / "squad" / "defs"
    dg(project, "scaffold", "defs", FEATURES, "returns", "--example-days", "30", "--owner", "team:returns")
    dg(project, "scaffold", "defs", PRODUCT, "late_returns", "--source", "returns", "--label", "outcome")
    file = defs / "late_returns" / "defs.yaml"
    text = file.read_text()
    assert text.count("#") > 8, "a start is commented"
    assert "$" not in text
    assert yaml.safe_load(text)["attributes"]["feature_views"] == ["returns_history"]
    assets = loaded(project)
    assert {"raw/returns", "features/returns_history", "late_returns/training_set"} <= assets
    told = succeed(
        *(sys.executable, "-m", "platform_assets", "run", "--product", str(file)),
        cwd=project,
        PYTHONPATH=str(CHECKOUT),
        PLATFORM_HOME=str(tmp_path / "home"),
    )
    assert "champion: version 1" in told, told


def test_a_view_begins_on_a_declared_source(project: Path) -> None:
    dg(project, "scaffold", "defs", FEATURES, "customer_pace", "--source", "card_transactions")
    (view,) = yaml.safe_load(
        (project / "squad/defs/customer_pace/feature_repo/customer_pace.yaml").read_text()
    )["feature_views"]
    assert view["source"] == "card_transactions"
    assets = loaded(project)
    assert "features/customer_pace" in assets
    assert "raw/card_transactions" in assets


@pytest.mark.slow
def test_a_feast_project_begins_with_an_example_that_runs(project: Path, tmp_path: Path) -> None:
    home = {"PLATFORM_HOME": str(tmp_path / "home"), "DAGSTER_HOME": str(tmp_path / "dagster")}
    (tmp_path / "dagster").mkdir()
    dg(project, "scaffold", "defs", FEAST, "devices", "--owner", "team:devices", **home)
    folder = project / "squad" / "defs" / "devices"
    text = (folder / "defs.yaml").read_text()
    assert text.count("#") > 8, "a start is commented"
    assert "$" not in text
    assert "the repository declares: device_readings" in text
    assert {"devices/registry", "devices/parity_device_readings"} <= loaded(project)
    told = dg(project, "launch", "--assets", "*", "-m", "squad.definitions", **home)
    assert "devices__parity_device_readings" in told
    assert "RUN_SUCCESS" in told


@pytest.mark.slow
def test_a_feast_project_begins_on_a_repository_that_is_there(project: Path, tmp_path: Path) -> None:
    world = DriverWorld(tmp_path / "theirs").write()
    dg(project, "scaffold", "defs", FEAST, "rides", "--repo", str(world.repo), PLATFORM_HOME=str(tmp_path))
    file = project / "squad" / "defs" / "rides" / "defs.yaml"
    repo = yaml.safe_load(file.read_text())["attributes"]["repo"]
    assert (file.parent / repo).resolve() == world.repo
    assert "feature_service: ranking_v1" in file.read_text()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((PRODUCT, "Late", "--source", "card_transactions"), "expected a name such as my_model"),
        ((PRODUCT, "late", "--source", "card_transaction"), "did you mean 'card_transactions'"),
        ((PRODUCT, "late", "--label", "tx_froud"), "label column"),
        ((PRODUCT, "late", "--owner", "me"), "--owner: expected team:<name> or an e-mail address"),
        ((FEATURES, "card_transactions"), "source 'card_transactions' is declared already"),
        ((FEATURES, "pace", "--entity", "customer"), "--entity goes with --source"),
        ((FEAST, "rides", "--repo", "/no/where"), "/no/where/feature_store.yaml: no such file"),
    ],
)
def test_what_cannot_begin_is_told_and_leaves_nothing(
    project: Path, arguments: tuple[str, ...], told: str
) -> None:
    said = dg(project, "scaffold", "defs", *arguments, passes=False)
    assert told in " ".join(said.split()), said
    assert "Traceback" not in said
    assert [path.name for path in (project / "squad" / "defs").iterdir()] == ["__init__.py"]
