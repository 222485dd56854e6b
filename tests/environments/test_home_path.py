"""Where a home may lie: any folder that its databases can be opened in, whatever its name."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from platform_assets.command_line.home_check import LONGEST, check_home
from platform_assets.errors import Blocked
from platform_assets.home import Home

CHECKOUT = Path(__file__).resolve().parents[2]


def test_a_path_that_sqlite_cannot_open_is_told(tmp_path: Path) -> None:
    long = tmp_path / ("a" * 200) / ("b" * 200) / ("c" * 200)
    with pytest.raises(Blocked, match=f"too long for the databases below it; set PLATFORM_HOME .* {LONGEST}"):
        check_home(Home.at(long))
    check_home(Home.at(tmp_path / "hömé with spaces"))


@pytest.mark.skipif(not (CHECKOUT / "Makefile").exists(), reason="a checkout has a Makefile, a wheel none")
def test_make_hands_on_paths_with_spaces() -> None:
    done = subprocess.run(
        ["make", "--dry-run", "run", "PRODUCT=/a b/defs.yaml", "PLATFORM_SOURCE=/c d"],
        cwd=CHECKOUT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert '--product "/a b/defs.yaml" --source "/c d"' in done.stdout
