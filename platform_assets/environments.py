"""dev, staging, production: one place chooses where things live and how runs execute.

What `make run PLATFORM_SOURCE=... PRODUCT=...` was told is kept in the home, so that the web UI and
the daemon, started later without those words, look at the same source and the same products.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from platform_assets.errors import DeclarationError
from platform_assets.home import HOME_VARIABLE, ONLINE_VARIABLE, Home
from platform_assets.lake.atomic_files import write_atomically

ENVIRONMENTS = ("dev", "staging", "production")
CHOICES = "choices.json"
SOURCE_VARIABLES = ("PLATFORM_SOURCE", "PLATFORM_SOURCE_FORMAT", "PLATFORM_SOURCE_PATTERN")


@dataclass(frozen=True)
class Environment:
    """What one process was told: its name, its home, other sources and additional products."""

    name: str
    home: Home
    sources: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    products: tuple[Path, ...] = ()
    feature_repos: tuple[Path, ...] = ()
    lost_products: Mapping[str, Path] = field(default_factory=dict)
    """Products run before, whose file is not there any more."""

    def source_variables(self, source: str) -> Mapping[str, str]:
        """`PLATFORM_SOURCE...` as they hold for one source; empty when it is read as declared."""
        return self.sources.get(source, {})


def environment(variables: Mapping[str, str] | None = None) -> Environment:
    """The present environment from variables and the home's kept choices.

    Raises DeclarationError for an unknown `PLATFORM_ENV`, when staging or production has no
    `PLATFORM_HOME`, when that is a file, and for a `PLATFORM_FEATURE_REPO` that is no folder.
    """
    given = os.environ if variables is None else variables
    name = given.get("PLATFORM_ENV", "dev")
    if name not in ENVIRONMENTS:
        raise DeclarationError(f"PLATFORM_ENV: expected one of {', '.join(ENVIRONMENTS)}, not {name!r}")
    if name != "dev" and not given.get(HOME_VARIABLE):
        raise DeclarationError(f"{HOME_VARIABLE} must be set in {name}; it names the shared home")
    online = given.get(ONLINE_VARIABLE, "")
    home = Home.at(given[HOME_VARIABLE], online) if given.get(HOME_VARIABLE) else Home.from_environment()
    kept = _read_choices(home)
    products = {name: Path(path) for name, path in kept.get("products", {}).items()}
    extra = [Path(p) for p in given.get("PLATFORM_PRODUCT", "").split(os.pathsep) if p]
    repos = [Path(p) for p in given.get("PLATFORM_FEATURE_REPO", "").split(os.pathsep) if p]
    for repo in repos:
        if not repo.is_dir():
            raise DeclarationError(f"PLATFORM_FEATURE_REPO: {repo} is no folder; correct or unset it")
    return Environment(
        name=name,
        home=home,
        sources=kept.get("sources", {}),
        products=tuple(dict.fromkeys([*(path for path in products.values() if path.exists()), *extra])),
        feature_repos=tuple(repos),
        lost_products={name: path for name, path in products.items() if not path.exists()},
    )


def keep_choices(
    home: Home,
    *,
    source: str,
    variables: Mapping[str, str],
    product: str,
    product_file: Path | None,
) -> None:
    """Remember which folder a source is read from and which file declares a product."""
    kept = _read_choices(home)
    sources, products = dict(kept.get("sources", {})), dict(kept.get("products", {}))
    chosen = {name: variables[name] for name in SOURCE_VARIABLES if variables.get(name)}
    sources.pop(source, None)
    products.pop(product, None)
    if chosen:
        sources[source] = {**chosen, "PLATFORM_SOURCE": str(Path(chosen["PLATFORM_SOURCE"]).resolve())}
    if product_file is not None:
        products[product] = str(product_file.resolve())
    choices = {"sources": sources, "products": products}
    if choices != kept:
        write_atomically(home.root / CHOICES, (json.dumps(choices, indent=1, sort_keys=True) + "\n").encode())


def _read_choices(home: Home) -> dict[str, dict[str, Any]]:
    path = home.root / CHOICES
    try:
        kept: dict[str, dict[str, Any]] = json.loads(path.read_bytes())
        if not _are_choices(kept):
            raise ValueError("it does not hold what a run keeps")
    except FileNotFoundError:
        return {}
    except NotADirectoryError:
        raise DeclarationError(
            f"{HOME_VARIABLE}: {home.root} is a file, or lies below one; name a folder"
        ) from None
    except ValueError as error:
        raise DeclarationError(
            f"{path}: cannot be read ({error}); delete it and run `make run` again"
        ) from None
    return kept


def _are_choices(kept: Any) -> bool:
    """Whether it maps sources to their variables and products to their files."""
    if not isinstance(kept, dict):
        return False
    sources, products = kept.get("sources", {}), kept.get("products", {})
    return (
        isinstance(sources, dict)
        and isinstance(products, dict)
        and all(isinstance(path, str) for path in products.values())
        and all(isinstance(variables, dict) for variables in sources.values())
    )
