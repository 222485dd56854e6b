"""What a person sees of a Feast repository: the web UI in a real headless Chromium, after a run with a finding."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from web_server import web_server

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("chromium") is None, reason="Debian's chromium is not installed"),
]

CHROMIUM = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
PLANT = """\
import sys
from pathlib import Path
sys.path[:0] = [{tests!r}, {worlds!r}]
from datetime import timedelta
from driver_world import END, DriverWorld
from rides_project import HOURLY, Rides, row
from platform_assets.feast_project.online_rows import write_online
rides = Rides(DriverWorld(Path({folder!r})))
write_online(rides.opened(), rides.view(), row(1001, city="Atlantis"), [END - timedelta(hours=1)])
"""


@pytest.fixture(scope="module")
def address(applied: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A finished run, then a foreign write, and parity measured again, behind a web server."""
    root = tmp_path_factory.mktemp("web")
    package = root / "squad_with_feast" / "defs"
    shutil.copytree(applied, package / "rides")
    for folder in (package, package.parent):
        (folder / "__init__.py").touch()
    (package.parent / "definitions.py").write_text(
        "import platform_assets\nimport squad_with_feast.defs\n"
        "defs = platform_assets.code_location(squad_with_feast.defs)\n"
    )
    checkout = Path(__file__).resolve().parents[2]
    home = package / "rides" / "home"
    variables = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(root), str(checkout)]),
        "PLATFORM_HOME": str(home),
    }
    prepared = [sys.executable, "-W", "ignore", "-m", "platform_assets.command_line.dagster_home"]
    subprocess.run(prepared, env=variables, check=True, capture_output=True)
    variables["DAGSTER_HOME"] = str(home / "dagster")

    def launch(selection: str) -> None:
        command = [str(Path(sys.executable).parent / "dg"), "launch", "--assets", selection]
        done = subprocess.run(
            [*command, "-m", "squad_with_feast.definitions"],
            env=variables,
            cwd=root,
            capture_output=True,
            text=True,
        )
        assert "RUN_SUCCESS" in done.stdout + done.stderr, done.stdout + done.stderr

    launch("*")
    planted = PLANT.format(
        tests=str(Path(__file__).parent), worlds=str(checkout / "tests/worlds"), folder=str(package / "rides")
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", planted], env=variables, check=True)
    command = [
        str(Path(sys.executable).parent / "dg"),
        "launch",
        "--assets",
        "key:rides/parity_driver_hourly_stats",
    ]
    subprocess.run(
        [*command, "-m", "squad_with_feast.definitions"], env=variables, cwd=root, capture_output=True
    )
    workspace = root / "workspace.yaml"
    workspace.write_text("load_from:\n  - python_module: squad_with_feast.definitions\n")
    with web_server(workspace, variables, root) as address:
        yield address


@pytest.mark.parametrize(
    ("path", "texts"),
    [
        ("/asset-groups", ("offline_driver_hourly_stats", "parity_driver_fresh_stats")),
        ("/assets/rides/registry", ("rides_materialization", "driver_fresh_stats")),
        ("/assets/rides/source_driver_hourly?view=checks", ("fresh", "hours old")),
        ("/assets/rides/online_driver_hourly_stats", ("entities", "as_of")),
        ("/assets/rides/parity_driver_hourly_stats", ("foreign write", "causes", "repair")),
        ("/assets/rides/training_set_ranking", ("features", "ranking_v1")),
    ],
    ids=["groups", "registry", "source", "online", "parity", "training set"],
)
def test_page_shows(address: str, path: str, texts: tuple[str, ...]) -> None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=CHROMIUM)
        page = browser.new_page(viewport={"width": 1600, "height": 1400})
        page.goto(address + path)
        try:
            for text in texts:
                page.get_by_text(text).locator("visible=true").first.wait_for(timeout=60_000)
        finally:
            if folder := os.environ.get("SCREENSHOTS"):
                page.screenshot(path=Path(folder) / f"{path.strip('/').replace('/', '_').split('?')[0]}.png")
            browser.close()
