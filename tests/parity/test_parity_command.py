"""`platform-assets parity`: measures, tells causes, repairs, and answers with its exit code."""

from __future__ import annotations

import pytest
from planted_faults import alter, keep
from sales_world import DAYS, REPOSITORY, SHOP_TRADE, World, product

from platform_assets.__main__ import main
from platform_assets.command_line import parity
from platform_assets.vocabulary import raw_table


@pytest.fixture(autouse=True)
def home(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLATFORM_HOME", str(world.stores.home.root))
    monkeypatch.setattr(parity, "find_product", lambda _: (product(), REPOSITORY, None))
    monkeypatch.setattr(parity, "_untrusted", lambda *_: {})


def test_all_views_pass(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["parity"]) == 0
    told = capsys.readouterr().out
    assert "shop_trade: PASSED: 4 of 4 entities" in told
    assert "member_returns: PASSED: 8 of 8 entities" in told


def test_a_fault_is_told_and_repaired(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    alter(world, SHOP_TRADE, ["shop 3"], lambda c: keep(c, lambda n: n % 2 == 0))
    assert main(["parity", "--view", "shop_trade"]) == 1
    told = capsys.readouterr().out
    assert "cause: unknown cause (served side is wrong), entities: 1" in told
    assert "repair: fill the online store of shop_trade, days: 2024-0" in told
    assert "carry it out: platform-assets parity --view shop_trade --repair" in told
    assert main(["parity", "--view", "shop_trade", "--repair"]) == 0
    assert "shop_trade: PASSED" in capsys.readouterr().out
    assert main(["parity", "--view", "shop_trade"]) == 0


def test_what_no_plan_repairs_is_told_as_that(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    raw = world.stores.lake.table(raw_table("sales"))
    (raw.folder / "manifests" / DAYS[-2] / "current").unlink()
    assert main(["parity", "--view", "shop_trade", "--repair"]) == 1
    told = capsys.readouterr().out
    assert f"1 raw days in reach of its windows are missing, the first {DAYS[-2]}" in told
    assert "nothing here can be repaired: do what the reason says" in told
    assert "after the repair" not in told


@pytest.mark.parametrize(
    ("view", "told"),
    [("shop_trad", "did you mean 'shop_trade'?"), ("sale_time", "declared online: false")],
)
def test_a_wrong_view_is_one_clear_error(
    world: World, view: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["parity", "--view", view]) == 1
    assert told in capsys.readouterr().err
