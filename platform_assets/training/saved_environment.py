"""The Python and the packages a model was saved with, beside those that are here."""

from __future__ import annotations

import platform
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

PYTHON = "Python"
# what cloudpickle writes for a function that it cannot name: a lambda, or one made inside another
BY_VALUE = (b"_builtin_type", b"CodeType")


class Difference(NamedTuple):
    """One thing that was otherwise when the model was saved, such as `("numpy", "2.4.6", "2.5.5")`."""

    what: str
    then: str
    now: str


def saved_environment(folder: Path) -> dict[str, str]:
    """Versions of Python and of the packages a saved model's own files name; empty when they name none."""
    import yaml

    found = {}
    try:
        described = yaml.safe_load((folder / "MLmodel").read_text(encoding="utf-8"))
        found[PYTHON] = str(described["flavors"]["python_function"]["python_version"])
        lines = (folder / "requirements.txt").read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError, TypeError, KeyError, yaml.YAMLError):
        return found
    return found | {name: version for name, _, version in (line.partition("==") for line in lines) if version}


def differences(folder: Path) -> tuple[Difference, ...]:
    """What a saved model names in another version than this process has."""
    return tuple(
        Difference(what, then, now)
        for what, then in saved_environment(folder).items()
        if (now := _here(what)) != then
    )


def foreign_bytecode(folder: Path) -> Difference | None:
    """The two Pythons, when the model holds functions as bytecode of another minor version; else None.

    Bytecode differs from one minor version to the next, and running a foreign one does not raise: it
    ends the process.
    """
    then, now = saved_environment(folder).get(PYTHON), _here(PYTHON)
    if then is None or _minor(then) == _minor(now):
        return None
    pickled = (folder / "model.pkl").read_bytes()
    return Difference(PYTHON, then, now) if all(name in pickled for name in BY_VALUE) else None


def in_words(found: tuple[Difference, ...]) -> str:
    """`saved with Python 3.11.7 (3.13.0 here), numpy 2.4.6 (2.5.5 here)`; empty when nothing differs."""
    return "saved with " + ", ".join(f"{d.what} {d.then} ({d.now} here)" for d in found) if found else ""


def _here(what: str) -> str:
    if what == PYTHON:
        return platform.python_version()
    try:
        return metadata.version(what)
    except metadata.PackageNotFoundError:
        return "not installed"


def _minor(version: str) -> list[str]:
    return version.split(".")[:2]
