"""`platform-assets feast-snapshot`: read a Feast repository anew, so that loading its assets need not."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from platform_assets.components.feast_project import checked_views, project_folder, read_project
from platform_assets.environments import environment
from platform_assets.feast_project.snapshot_cache import BESIDE, cached_path, make_snapshot
from platform_assets.lake.atomic_files import write_atomically


def add_parser(commands: Any) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "feast-snapshot", help="read a Feast repository anew and keep what it declares"
    )
    parser.add_argument("declaration", help="defs.yaml of a platform_assets.components.FeastProject")
    parser.add_argument(
        "--beside",
        action="store_true",
        help=f"also write {BESIDE} beside the declaration, for an image that starts without reading it",
    )
    parser.set_defaults(function=make)


def make(arguments: argparse.Namespace) -> int:
    """Read the repository, check the declaration against it, and tell what it holds."""
    file = Path(arguments.declaration).resolve()
    project = read_project(file)
    home = environment().home
    snapshot = make_snapshot(home, project.name, project_folder(project, file))
    views = checked_views(project, snapshot)
    print(
        f"Feast project {snapshot.project} (Feast {snapshot.feast_version}), "
        f"read from its {snapshot.made_from}"
    )
    for view in views:
        ttl = f"{view.ttl / 3600:g} h" if view.ttl else "none"
        print(
            f"  {view.name:<32} {', '.join(view.entities) or 'no entity':<20} {len(view.features):>3} "
            f"features, ttl {ttl}{', online' if view.online else ''}{', pushed' if view.pushed_by else ''}"
        )
    for on_demand in snapshot.on_demand_views:
        print(f"  {on_demand.name:<32} {'on demand':<20} {len(on_demand.features):>3} features")
    print(f"kept in {cached_path(home, project.name)}")
    if arguments.beside:
        write_atomically(file.with_name(BESIDE), snapshot.to_json())
        print(f"wrote {file.with_name(BESIDE)}")
    return 0
