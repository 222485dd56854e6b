"""Which folders hold feature repositories, what is declared in them, and who builds which source.

A location is a folder of components (a squad's `defs`). What a `FeatureRepository` in it declares
in `feature_repo/` beside its `defs.yaml` is open to every product of the location.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from platform_assets.declaration.repository import Repository, read_repository
from platform_assets.environments import environment

PACKAGED = Path(__file__).resolve().parent.parent / "feature_repo"
FOLDER = "feature_repo"
_REPOSITORY = re.compile(r"^type:\s*[\"']?platform_assets\.(\w+\.)*FeatureRepository\b", re.MULTILINE)


@functools.lru_cache(maxsize=8)
def _read(folders: tuple[Path, ...], _stamps: tuple[tuple[str, int], ...]) -> Repository:
    return read_repository(folders)


def repository(*more: Path, location: Path | None = None) -> Repository:
    """Everything declared in the shared folders of a location, and in `more` folders."""
    folders = _once([*shared_folders(location), *(folder for folder in more if folder.is_dir())])
    stamps = tuple(
        (str(path), path.stat().st_mtime_ns)
        for folder in folders
        for pattern in ("*.yaml", "*.json", "contracts/*.json")
        for path in sorted(folder.glob(pattern))
    )
    return _read(folders, stamps)


def shared_folders(location: Path | None = None) -> tuple[Path, ...]:
    """Folders whose sources and views are open to every product.

    The package's own, `PLATFORM_FEATURE_REPO`, and those in the locations of products given from
    outside and in `location`.
    """
    present = environment()
    locations = [*(location_of(file) for file in present.products), location]
    found = [
        own
        for folder in _once([place for place in locations if place is not None])
        for own in repository_components(folder).values()
        if own is not None
    ]
    return _once([PACKAGED, *present.feature_repos, *found])


def product_folders(product_file: Path) -> Sequence[Path]:
    """A product's own feature repository lies beside its defs.yaml."""
    return [product_file.parent / FOLDER]


def location_of(file: Path) -> Path | None:
    """The folder of components that a file belongs to: the nearest one above it called `defs`."""
    return next((folder for folder in file.resolve().parents if folder.name == "defs"), None)


def repository_components(location: Path) -> dict[Path, Path | None]:
    """Folders of the `FeatureRepository` components of a location, each with its `feature_repo`, if any."""
    return {
        file.parent: file.parent / FOLDER if (file.parent / FOLDER).is_dir() else None
        for file in sorted(location.rglob("defs.yaml"))
        if _REPOSITORY.search(file.read_text(encoding="utf-8"))
    }


def sources_built_by(component: Path, location: Path) -> list[str]:
    """Sources whose assets a `FeatureRepository` makes, so that each is made once in a location.

    By the component that declares it; else by the first one without a folder of its own (it stands
    for what is shared already); else by the first whose views are computed from it.
    """
    shared = repository(location=location)
    components = {folder.resolve(): own for folder, own in repository_components(location).items()}
    built = []
    for name in shared.sources:
        owns = [c for c, own in components.items() if _same(own, shared.folders[name])]
        stands = [c for c, own in components.items() if own is None]
        views = [v.name for v in shared.feature_views.values() if v.source == name]
        looks = [
            c for c, own in components.items() if any(_same(own, shared.view_folders[view]) for view in views)
        ]
        if (owns + stands + looks)[:1] == [component.resolve()]:
            built.append(name)
    return built


def _same(folder: Path | None, other: Path) -> bool:
    return folder is not None and folder.resolve() == other.resolve()


def _once(folders: Iterable[Path]) -> tuple[Path, ...]:
    """Each folder once, whichever way its path is written."""
    return tuple({folder.resolve(): folder for folder in reversed([*folders])}.values())[::-1]
