"""What one run was told is what the next process sees."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from platform_assets.command_line.products import default_file, find_product
from platform_assets.environments import environment, keep_choices
from platform_assets.errors import Blocked, DeclarationError, UnknownName
from platform_assets.home import Home
from platform_assets.stores import Stores
from platform_assets.vocabulary import product_table


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


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("PLATFORM_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return Home.at(tmp_path / "home")


def hold(home: Home, product: str) -> None:
    """What a run of the product leaves in the lake."""
    Stores.at(home).lake.table(product_table(product, "training_run")).write_document(
        "split", {}, code_version="1", inputs={}, cause="test"
    )


def declared(folder: Path, product: str) -> Path:
    file = folder / f"{product}.yaml"
    file.write_text(default_file().read_text().replace("name: card_fraud", f"name: {product}"))
    return file


def run_before(home: Home, product: str, file: Path) -> None:
    keep_choices(home, source="payments", variables={}, product=product, product_file=file)
    hold(home, product)


def test_without_a_name_the_packaged_product_of_an_empty_home(home: Home) -> None:
    assert find_product(None)[0].name == "card_fraud"
    assert not home.root.exists(), "asking makes nothing"


def test_without_a_name_the_only_product_of_the_home(home: Home, tmp_path: Path) -> None:
    file = declared(tmp_path, "other_fraud")
    run_before(home, "other_fraud", file)
    product, _, found = find_product(None)
    assert (product.name, found) == ("other_fraud", file)


def test_a_product_that_only_the_ledger_tells_of_is_held(home: Home, tmp_path: Path) -> None:
    keep_choices(home, source="p", variables={}, product="other", product_file=declared(tmp_path, "other"))
    ledger = Stores.at(home).ledger
    ledger.append("refusal", "other", "me", {"version": "1", "gates": [], "reasons": []})
    ledger.append("garbage", "*", "me", {})
    assert find_product(None)[0].name == "other"


def test_of_several_products_one_must_be_named(home: Home, tmp_path: Path) -> None:
    run_before(home, "other_fraud", declared(tmp_path, "other_fraud"))
    hold(home, "card_fraud")
    with pytest.raises(Blocked, match="holds 2 products: card_fraud, other_fraud; name one with --product"):
        find_product(None)
    assert find_product("other_fraud")[0].name == "other_fraud"


def test_a_declaration_that_is_gone_is_told(home: Home, tmp_path: Path) -> None:
    file = declared(tmp_path, "other_fraud")
    run_before(home, "other_fraud", file)
    file.unlink()
    with pytest.raises(UnknownName, match=f"was declared in {file}, which is gone; name its defs.yaml"):
        find_product(None)


def test_a_product_held_without_a_word_on_its_declaration_is_told(home: Home) -> None:
    hold(home, "other_fraud")
    with pytest.raises(UnknownName, match=r"'other_fraud' is in .*home, its declaration unknown; name its"):
        find_product(None)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("card_frod", "no product 'card_frod'; did you mean 'card_fraud'?"),
        ("nowhere/defs.yaml", "nowhere/defs.yaml: cannot be read"),
        ("folder", "folder: is a folder; name the defs.yaml in it"),
        ("./folder", "folder: is a folder; name the defs.yaml in it"),
        ("notes.txt", "notes.txt:1: the file holds a single value"),
        ("", "no product ''"),
    ],
)
def test_a_name_or_path_that_is_none_is_told(home: Home, tmp_path: Path, given: str, told: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "notes.txt").write_text("words")
    with pytest.raises(DeclarationError, match=re.escape(told)):
        find_product(given)
