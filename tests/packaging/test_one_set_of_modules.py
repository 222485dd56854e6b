"""Python, pytest, the type checker and `dg` find the same files through the links."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

import pytest
from commands import CHECKOUT, succeed
from mypy.find_sources import create_source_list
from mypy.fscache import FileSystemCache
from mypy.modulefinder import FindModuleCache, SearchPaths
from mypy.options import Options

LINKED = ("jobs", "sensors", "feature_repo")


@pytest.mark.parametrize("name", LINKED)
def test_python_and_pytest(name: str) -> None:
    module = importlib.import_module(f"platform_assets.{name}")
    assert Path(str(module.__file__)).resolve() == CHECKOUT / name / "__init__.py"
    assert (CHECKOUT / "platform_assets" / name).readlink() == Path("..") / name


@pytest.mark.parametrize("name", LINKED)
def test_nothing_is_imported_by_its_plain_name(name: str) -> None:
    """`import jobs` works in the checkout only by accident of the present folder; we never do it."""
    importlib.import_module("platform_assets.definitions")
    module = sys.modules.get(name)
    assert module is None or CHECKOUT not in Path(str(module.__file__)).resolve().parents


def test_type_checker() -> None:
    options = Options()
    search = SearchPaths((str(CHECKOUT),), (), (), ())
    found = FindModuleCache(search, FileSystemCache(), options)
    for name in LINKED:
        path = found.find_module(f"platform_assets.{name}")
        assert isinstance(path, str), path
        assert Path(path).resolve() == CHECKOUT / name / "__init__.py"
    sources = {s.module for s in create_source_list([str(CHECKOUT / "platform_assets")], options)}
    assert {"platform_assets.jobs.product_jobs", "platform_assets.sensors.product_sensors"} <= sources


def test_dg(tmp_path: Path) -> None:
    """`dg list components` sees ours, `dg list defs` the jobs and sensors made by the linked modules."""
    dg = str(Path(sys.executable).parent / "dg")
    variables = {"PLATFORM_HOME": str(tmp_path), "PYTHONPATH": str(CHECKOUT)}
    listed = json.loads(succeed(dg, "list", "components", "--json", cwd=CHECKOUT, **variables))
    ours = {item["key"] for item in listed["items"] if item["key"].startswith("platform_assets.")}
    assert ours == {
        "platform_assets.components.FeastProject",
        "platform_assets.components.FeatureRepository",
        "platform_assets.components.ModelProduct",
    }
    defs = json.loads(succeed(dg, "list", "defs", "--json", cwd=CHECKOUT, **variables))
    assert {item["name"] for item in defs["jobs"]} >= {"card_fraud_training"}
    assert {item["name"] for item in defs["sensors"]}
