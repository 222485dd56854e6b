"""Estimates come from past runs; without one there is none, and asking creates nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from platform_assets.__main__ import main
from platform_assets.automation.past_runs import Pace, paces


@pytest.mark.parametrize(
    ("pace", "days", "seconds"),
    [
        pytest.param(Pace(30.0, built=60, runs=2), 10, 5.0, id="by the day"),
        pytest.param(Pace(6.0, built=3, runs=3), 0, 2.0, id="an asset without days"),
    ],
)
def test_pace(pace: Pace, days: int, seconds: float) -> None:
    assert pace.for_days(days) == pytest.approx(seconds)


def test_a_home_without_runs_has_no_pace(tmp_path: Path) -> None:
    assert paces(tmp_path / "dagster", [("raw", "x")]) == {}


def test_plan_of_an_empty_home_writes_nothing_and_invents_no_estimate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "home"
    monkeypatch.setenv("PLATFORM_HOME", str(home))
    assert main(["plan"]) == 0
    told = capsys.readouterr().out
    assert "features/terminal_risk" in told
    assert "183 days    no estimate" in told
    assert "about" not in told
    assert not home.exists()
