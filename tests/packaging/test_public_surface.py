"""What `platform_assets` offers by plain name, and what importing it costs."""

from __future__ import annotations

import ast
import doctest
import subprocess
import sys
import types
from pathlib import Path

import pytest
from pydantic import BaseModel

import platform_assets
from platform_assets.declaration.yaml_reader import _models_in

PACKAGE = Path(platform_assets.__file__)


def seen_by_type_checkers() -> dict[str, str]:
    """Names imported under `if TYPE_CHECKING`, with their modules."""
    blocks = [
        node
        for node in ast.parse(PACKAGE.read_text()).body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    ]
    return {
        alias.asname or alias.name: str(node.module)
        for block in blocks
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


def test_all_is_exactly_what_is_public() -> None:
    for name in platform_assets.__all__:
        getattr(platform_assets, name)
    submodules = {
        name
        for name, value in vars(platform_assets).items()
        if isinstance(value, types.ModuleType) and value.__name__ == f"platform_assets.{name}"
    }
    machinery = {"annotations", "importlib", "TYPE_CHECKING", "Any"}
    public = {name for name in vars(platform_assets) if not name.startswith("_")} - submodules - machinery
    assert public == set(platform_assets.__all__)
    assert dir(platform_assets) == sorted(platform_assets.__all__)
    assert len(set(platform_assets.__all__)) == len(platform_assets.__all__)


def test_type_checkers_see_the_same_names_from_the_same_modules() -> None:
    assert seen_by_type_checkers() == {
        name: f"platform_assets.{module}" for name, module in platform_assets._MODULE_OF.items()
    }
    assert set(seen_by_type_checkers()) == set(platform_assets.__all__)


@pytest.mark.parametrize("name", platform_assets.__all__)
def test_each_name_is_what_it_says_and_has_a_docstring(name: str) -> None:
    found = getattr(platform_assets, name)
    assert found.__name__ == name
    assert found.__module__ == f"platform_assets.{platform_assets._MODULE_OF[name]}"
    assert found.__dict__.get("__doc__") if isinstance(found, type) else found.__doc__


def declared_below(model: type[BaseModel]) -> set[type[BaseModel]]:
    """The model, and every model that one of its fields may hold."""
    found, pending = {model}, [model]
    while pending:
        for field in pending.pop().model_fields.values():
            below = set(_models_in(field.annotation)) - found
            found |= below
            pending += below
    return found


@pytest.mark.parametrize("root", ["Product", "FeatureView", "Source", "Entity"])
def test_every_part_of_a_declaration_is_public(root: str) -> None:
    parts = {model.__name__ for model in declared_below(getattr(platform_assets, root))}
    assert parts <= set(platform_assets.__all__)


def test_no_public_name_is_hidden_by_a_module() -> None:
    """A submodule, once imported, becomes an attribute of the package and would shadow the name."""
    modules = {path.stem for path in PACKAGE.parent.iterdir()}
    assert not modules & set(platform_assets.__all__)


def test_an_unknown_name_tells_the_nearest() -> None:
    with pytest.raises(AttributeError, match="no public name 'Produkt'; did you mean 'Product'"):
        platform_assets.Produkt  # noqa: B018
    with pytest.raises(ImportError):
        from platform_assets import Produkt  # noqa: F401


def test_importing_imports_nothing_else(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import sys\n"
        f"sys.path.insert(0, {str(PACKAGE.parent.parent)!r})\n"
        "before = set(sys.modules)\n"
        "import platform_assets\n"
        "packages = {name.split('.')[0] for name in set(sys.modules) - before}\n"
        "print('packages', sorted(packages - set(sys.stdlib_module_names)))\n"
        "platform_assets.Product, platform_assets.Stores, platform_assets.Evidence, platform_assets.Blocked\n"
        "heavy = ('dagster', 'pandas', 'numpy', 'mlflow', 'feast', 'sklearn', 'duckdb', 'pyarrow')\n"
        "print('heavy', [name for name in heavy if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True)
    assert done.stdout.split("\n")[:2] == ["packages ['platform_assets']", "heavy []"], done.stderr


def test_the_example_runs() -> None:
    tried = doctest.testmod(platform_assets)
    assert tried.attempted >= 2
    assert tried.failed == 0
