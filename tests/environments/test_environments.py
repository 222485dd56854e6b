"""What one run was told is what the next process sees."""

from __future__ import annotations

from pathlib import Path

import pytest

from platform_assets.command_line.products import default_file, find_product
from platform_assets.environments import environment, keep_choices
from platform_assets.home import Home


def keep(home: Path, product_file: Path | None, **variables: str) -> None:
    keep_choices(
        Home.at(home), source="payments", variables=variables, product="card_fraud", product_file=product_file
    )


def test_choices_follow_the_newest_run(tmp_path: Path) -> None:
    home, first, second = tmp_path / "home", tmp_path / "a.yaml", tmp_path / "b.yaml"
    for path in (first, second):
        path.write_text("")
    variables = {"PLATFORM_HOME": str(home)}
    keep(home, None, PLATFORM_SOURCE=str(tmp_path))
    assert environment(variables).source_variables("payments") == {"PLATFORM_SOURCE": str(tmp_path)}
    keep(home, first, PLATFORM_SOURCE=str(tmp_path))
    assert environment(variables).products == (first,)
    keep(home, second)
    assert environment(variables).products == (second,)
    assert environment(variables).source_variables("payments") == {}
    keep(home, None)
    assert environment(variables).products == ()


def test_a_run_without_a_product_is_the_packaged_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when an earlier run on this home was given another declaration of the same name."""
    outside = tmp_path / "defs.yaml"
    outside.write_text(default_file().read_text().replace("train_days: 7", "train_days: 9"))
    keep(tmp_path / "home", outside)
    monkeypatch.setenv("PLATFORM_HOME", str(tmp_path / "home"))
    assert find_product("card_fraud")[0].split.train_days == 9
    product, _, file = find_product(str(default_file()))
    assert (product.split.train_days, file) == (7, None)
