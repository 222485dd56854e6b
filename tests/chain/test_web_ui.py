"""What a person sees: the web UI in a real headless Chromium on a finished home."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from clinic import Clinic
from web_server import web_server

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("chromium") is None, reason="Debian's chromium is not installed"),
]

HERE = Path(__file__).resolve().parent
CHROMIUM = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def address(make_clinic: Callable[..., Clinic], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    clinic = make_clinic(26)
    done = clinic.run()
    assert done.returncode == 0, done.stdout + done.stderr
    folder = tmp_path_factory.mktemp("web")
    workspace = folder / "workspace.yaml"
    workspace.write_text(
        "load_from:\n  - python_module: {module_name: clinic_code_location, location_name: clinic, "
        f"working_directory: {HERE}}}\n"
    )
    variables = clinic.environment(
        CLINIC_DEFS=str(clinic.defs), PYTHONPATH=str(HERE), DAGSTER_HOME=str(clinic.home / "dagster")
    )
    with web_server(workspace, variables, folder) as address:
        yield address


@pytest.mark.parametrize(
    ("path", "texts"),
    [
        ("/asset-groups", ("appointments", "clinic_no_shows")),
        (
            "/assets/clinic_no_shows/promotion",
            ("all 6 gates passed; replaces no champion", "not_worse_than_champion"),
        ),
        (
            "/assets/clinic_no_shows/promotion?view=checks&checkDetail=gate_floor_roc_auc",
            ("roc_auc is at least 0.6 on the test days.", "evidence/id"),
        ),
        ("/assets/clinic_no_shows/evaluation_report", ("metric/roc_auc", "curve/ROC", "calibration")),
        (
            "/assets/raw/appointments?view=checks&checkDetail=expected_volume",
            ("expected_volume", "all 26 days passed"),
        ),
    ],
    ids=["graph", "promotion", "gate", "evaluation", "contract"],
)
def test_page_shows(address: str, path: str, texts: tuple[str, ...]) -> None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=CHROMIUM)
        page = browser.new_page(viewport={"width": 1600, "height": 1400})
        page.goto(address + path)
        for text in texts:
            # the page measures how long names are in elements of their own, which nobody sees
            page.get_by_text(text).locator("visible=true").first.wait_for(timeout=60_000)
        browser.close()
