"""The Evidently page as a person sees it: nothing is cut off at the width of a laptop's window."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from platform_assets.evaluation.evidently_report import Side, write_evidently

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("chromium") is None, reason="Debian's chromium is not installed"),
]

CUT_OFF = """() => [...document.querySelectorAll('*')].filter(
    e => getComputedStyle(e).overflowX === 'hidden' && e.clientWidth > 300 && e.scrollWidth > e.clientWidth + 2
).map(e => [e.className, e.scrollWidth, e.clientWidth])"""


def side(seed: int) -> Side:
    rng = np.random.default_rng(seed)
    names = [f"TERMINAL_ID_NB_TX_{days}DAY_WINDOW" for days in range(12)]
    labels = rng.integers(0, 2, 1_500)
    return Side(pa.table({name: rng.normal(size=1_500) for name in names}), labels, rng.random(1_500))


def test_nothing_is_cut_off(tmp_path: Path) -> None:
    from playwright.sync_api import sync_playwright

    write_evidently(tmp_path / "page.html", side(1), side(2))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1200, "height": 900})
        page.goto((tmp_path / "page.html").as_uri())
        page.get_by_text("Data Drift Summary").first.wait_for(timeout=60_000)
        page.get_by_text("Wasserstein").first.wait_for(timeout=60_000)
        found = page.evaluate(CUT_OFF)
        browser.close()
    assert found == []
