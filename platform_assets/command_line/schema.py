"""`platform-assets schema`: JSON schemas with which an editor completes and checks declarations."""

from __future__ import annotations

import argparse
import json
from typing import Any

from platform_assets.command_line.output_paths import output_folder
from platform_assets.declaration.json_schema import MATCHES, NAMES, json_schema
from platform_assets.lake.atomic_files import write_atomically


def add_parser(commands: Any) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "schema", help="JSON schema of defs.yaml or feature_repo/*.yaml, for editors"
    )
    parser.add_argument(
        "name", nargs="?", choices=NAMES, default=None, help="default: product; with --write all of them"
    )
    parser.add_argument(
        "--write", metavar="FOLDER", default=None, help="write files there instead of printing"
    )
    parser.set_defaults(function=show)


def show(arguments: argparse.Namespace) -> int:
    """Print one schema, or write them and tell the editor's settings."""
    if arguments.write is None:
        print(json.dumps(json_schema(arguments.name or "product"), indent=2))
        return 0
    folder = output_folder(arguments.write, "--write")
    settings = {}
    for name in (arguments.name,) if arguments.name else NAMES:
        path = folder / f"{name}.schema.json"
        write_atomically(path, (json.dumps(json_schema(name), indent=2) + "\n").encode())
        settings[path.as_uri()] = list(MATCHES[name])
        print(f"wrote {path}")
    print("\nVS Code (extension redhat.vscode-yaml), .vscode/settings.json:")
    print(json.dumps({"yaml.schemas": settings}, indent=2))
    return 0
