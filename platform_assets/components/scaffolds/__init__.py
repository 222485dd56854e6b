"""Commented starts that `dg scaffold defs` writes, as files with `$placeholders`."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from string import Template
from typing import Any

import click
import dagster as dg

from platform_assets.declaration.owner import check_owner
from platform_assets.errors import DeclarationError

_NAME = re.compile(r"[a-z][a-z0-9_]*")


def filled(start: str, /, **values: str) -> str:
    """The text of a start with every placeholder filled in; KeyError when one has no value."""
    return Template((Path(__file__).parent / start).read_text(encoding="utf-8")).substitute(values)


@contextlib.contextmanager
def told_plainly(folder: Path) -> Iterator[None]:
    """A mistake ends `dg` with its message instead of a traceback, and leaves no empty folder behind."""
    try:
        yield
    except DeclarationError as error:
        with contextlib.suppress(OSError):
            folder.rmdir()
        raise click.ClickException(str(error)) from None


def check_request(request: dg.ScaffoldRequest[Any], owner: str) -> str:
    """The name of what is begun; DeclarationError unless name, owner and format can be used."""
    name = request.target_path.name
    if request.scaffold_format != "yaml" or request.append:
        raise DeclarationError(
            "only a YAML folder of its own can be begun; in Python declare Product(...) and call "
            "platform_assets.product_definitions"
        )
    if not _NAME.fullmatch(name):
        raise DeclarationError(f"{name!r}: expected a name such as my_model (a-z, 0-9, _)")
    try:
        check_owner(owner)
    except ValueError as error:
        raise DeclarationError(f"--owner: {error}") from None
    return name
