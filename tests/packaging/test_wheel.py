"""The wheel holds the package and nothing else at the top level, and loads far from any checkout."""

from __future__ import annotations

import configparser
import json
import sys
import zipfile
from pathlib import Path

import pytest
from commands import CHECKOUT, succeed
from mypy.fscache import FileSystemCache
from mypy.modulefinder import FindModuleCache, SearchPaths
from mypy.options import Options

from platform_assets.definitions import defs


@pytest.fixture(scope="module")
def names(wheel: Path) -> set[str]:
    return set(zipfile.ZipFile(wheel).namelist())


def expected(*suffixes: str) -> set[str]:
    """Files of the package as the checkout has them, links followed."""
    package = CHECKOUT / "platform_assets"
    folders = [package, *(path for path in package.iterdir() if path.is_symlink())]
    return {
        path.relative_to(CHECKOUT).as_posix()
        for folder in folders
        for path in folder.rglob("*")
        if path.suffix in suffixes and "__pycache__" not in path.parts
    }


def test_only_our_package_lands_in_site_packages(names: set[str]) -> None:
    top = {name.split("/")[0] for name in names}
    assert {name for name in top if not name.endswith(".dist-info")} == {"platform_assets"}
    assert len(top) == 2


def test_every_module_and_declaration_is_in_it(names: set[str]) -> None:
    wanted = expected(".py", ".yaml", ".json", ".txt") | {"platform_assets/py.typed"}
    assert {name for name in names if ".dist-info/" not in name} == wanted


@pytest.mark.parametrize(
    "name",
    [
        "defs/card_fraud/defs.yaml",
        "defs/shared_features/defs.yaml",
        "feature_repo/card_transactions.yaml",
        "feature_repo/feature_store.yaml",
        "feature_repo/contracts/card_transactions.json",
        "jobs/product_jobs.py",
        "sensors/product_sensors.py",
    ],
)
def test_linked_folders_are_real_files(installed: Path, name: str) -> None:
    path = installed / "platform_assets" / name
    assert path.is_file()
    assert installed in path.resolve().parents
    assert path.read_bytes() == (CHECKOUT / "platform_assets" / name).read_bytes()


def test_dagster_and_the_shell_find_it(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    (name,) = (name for name in archive.namelist() if name.endswith("entry_points.txt"))
    points = configparser.ConfigParser()
    points.read_string(archive.read(name).decode())
    assert dict(points["dagster_dg_cli.registry_modules"]) == {
        "platform_assets": "platform_assets.components"
    }
    assert dict(points["console_scripts"]) == {"platform-assets": "platform_assets.__main__:main"}


def test_it_loads_outside_a_checkout(installed: Path, tmp_path: Path) -> None:
    """Same assets, same jobs; and the home is a folder of the present folder, never of site-packages."""
    script = tmp_path / "load.py"
    script.write_text(
        "import json, os\n"
        "import platform_assets\n"
        "from platform_assets.definitions import defs\n"
        "from platform_assets.home import Home\n"
        "print(json.dumps({\n"
        "    'file': platform_assets.__file__,\n"
        "    'assets': sorted(k.to_user_string() for k in defs.resolve_asset_graph().get_all_asset_keys()),\n"
        "    'jobs': sorted(job.name for job in defs.get_repository_def().get_all_jobs()),\n"
        "    'home': str(Home.from_environment().root),\n"
        "}))\n"
    )
    told = succeed(
        *(sys.executable, "-W", "ignore", str(script)),
        cwd=tmp_path,
        PYTHONPATH=str(installed),
        PLATFORM_HOME="",
    )
    found = json.loads(told.splitlines()[-1])
    assert Path(found["file"]) == installed / "platform_assets" / "__init__.py"
    graph = defs.resolve_asset_graph()
    assert found["assets"] == sorted(key.to_user_string() for key in graph.get_all_asset_keys())
    assert found["jobs"] == sorted(job.name for job in defs.get_repository_def().get_all_jobs())
    assert found["home"] == str(tmp_path / ".platform")
    assert not list(installed.rglob(".platform"))


def test_the_command_line_answers(installed: Path, tmp_path: Path) -> None:
    told = succeed(
        *(sys.executable, str(installed / "bin" / "platform-assets"), "--help"),
        cwd=tmp_path,
        PYTHONPATH=str(installed),
    )
    for command in ("run", "reproduce", "waive", "champion"):
        assert command in told


def test_type_checkers_trust_the_installed_package(installed: Path) -> None:
    """Without py.typed a squad's mypy would see `Any` behind every name."""
    found = FindModuleCache(SearchPaths((), (), (str(installed),), ()), FileSystemCache(), Options())
    for name in (
        "platform_assets",
        "platform_assets.jobs.product_jobs",
        "platform_assets.declaration.source",
    ):
        path = found.find_module(name)
        assert isinstance(path, str), (name, path)
        assert installed in Path(path).parents
