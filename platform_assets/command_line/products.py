"""Finding the product that a command is about."""

from __future__ import annotations

import argparse
import contextlib
import os
from pathlib import Path

from platform_assets.components.model_product import product_repository, read_product
from platform_assets.declaration.product import Product
from platform_assets.declaration.repository import Repository
from platform_assets.environments import environment
from platform_assets.errors import Blocked, DeclarationError, LakeError, UnknownName
from platform_assets.home import Home
from platform_assets.stores import Stores

DEFAULT = "card_fraud"
HINT = "name its defs.yaml with --product"


def add_product(parser: argparse.ArgumentParser) -> None:
    """Add `--product` to a command that asks about what a home holds, or answers for it."""
    parser.add_argument(
        "--product", default=None, help="name, or a defs.yaml anywhere; default: the one that the home holds"
    )


def find_product(name_or_file: str | None) -> tuple[Product, Repository, Path | None]:
    """A product by the path of its `defs.yaml`, or by name among those packaged or run before.

    With neither, the one that the home holds (`held_product`). The path is None for a packaged
    product. Raises DeclarationError for a wrong declaration.
    """
    present = environment()
    wanted = held_product(present.home) if name_or_file is None else name_or_file
    if name_or_file is not None and _is_path(name_or_file):
        path = Path(wanted).resolve()
        _refuse_folder(path)
        product = read_product(path)
        packaged = path in packaged_files()
        return product, product_repository(product, path), None if packaged else path
    found: dict[str, Path] = {}
    for path in (*packaged_files(), *present.products):
        found[read_product(path).name] = path
    if wanted not in found:
        gone = present.lost_products.get(wanted)
        if gone is not None:
            raise UnknownName(f"product {wanted!r} was declared in {gone}, which is gone; {HINT}")
        if wanted in held_products(present.home):
            raise UnknownName(
                f"product {wanted!r} is in {present.home.root}, its declaration unknown; {HINT}"
            )
        if wanted:
            _refuse_folder(Path(wanted).resolve())
        raise UnknownName.among("product", wanted, found)
    product = read_product(found[wanted])
    outside = found[wanted] if found[wanted] not in packaged_files() else None
    return product, product_repository(product, found[wanted]), outside


def held_product(home: Home) -> str:
    """The product that a command is about when none is named: the only one that the home holds.

    Of an empty home, the packaged one. Raises Blocked when the home holds several: an answer about
    another product than was meant would look like one.
    """
    held = held_products(home)
    if len(held) > 1:
        raise Blocked(f"{home.root} holds {len(held)} products: {', '.join(held)}; name one with --product")
    return held[0] if held else DEFAULT


def held_products(home: Home) -> list[str]:
    """Names of the products that lake or ledger of a home tell of."""
    stores = Stores.at(home)
    named = {table.name.split("/")[1] for table in stores.lake.tables() if table.name.startswith("products/")}
    with contextlib.suppress(LakeError):  # of a broken ledger `verify` tells
        named |= {entry.product for entry in stores.ledger.entries() if entry.kind in ("confirm", "refusal")}
    return sorted(named)


def _refuse_folder(path: Path) -> None:
    if path.is_dir():
        raise DeclarationError(f"{path}: is a folder; name the defs.yaml in it")


def _is_path(name_or_file: str) -> bool:
    return name_or_file.endswith((".yaml", ".yml")) or os.sep in name_or_file or Path(name_or_file).is_file()


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
