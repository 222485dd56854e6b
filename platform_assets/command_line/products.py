"""Finding the product that a command is about."""

from __future__ import annotations

from pathlib import Path

from platform_assets.components.model_product import product_repository, read_product
from platform_assets.declaration.product import Product
from platform_assets.declaration.repository import Repository
from platform_assets.environments import environment
from platform_assets.errors import UnknownName

DEFAULT = "card_fraud"


def find_product(name_or_file: str | None) -> tuple[Product, Repository, Path | None]:
    """A product by the path of its `defs.yaml`, or by name among those packaged or run before.

    The path is None for a packaged product. Raises DeclarationError for a wrong declaration.
    """
    wanted = name_or_file or DEFAULT
    if wanted.endswith((".yaml", ".yml")):
        path = Path(wanted).resolve()
        product = read_product(path)
        packaged = path in packaged_files()
        return product, product_repository(product, path), None if packaged else path
    found: dict[str, Path] = {}
    for path in (*packaged_files(), *environment().products):
        found[read_product(path).name] = path
    if wanted not in found:
        raise UnknownName.among("product", wanted, found)
    product = read_product(found[wanted])
    outside = found[wanted] if found[wanted] not in packaged_files() else None
    return product, product_repository(product, found[wanted]), outside


def default_file() -> Path:
    """The `defs.yaml` of the packaged product that runs when none is named."""
    return packaged_file(DEFAULT)


def packaged_file(name: str) -> Path:
    """The `defs.yaml` of a packaged product."""
    return next(path for path in packaged_files() if path.parent.name == name)


def packaged_files() -> list[Path]:
    """The `defs.yaml` of every packaged product."""
    root = Path(__file__).resolve().parent.parent / "defs"
    return [p for p in sorted(root.glob("*/defs.yaml")) if "ModelProduct" in p.read_text().split("\n", 1)[0]]
