"""Are the databases of a home readable? Asked before a run, so that the answer names file and fix."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from platform_assets.errors import Blocked, LakeError
from platform_assets.home import Home

LOOKED_THROUGH = 64 * 2**20
"""Bytes up to which a database is looked through as a whole; of a larger one only the first page."""


LONGEST = 420
"""Bytes of a home's path. SQLite opens no path above 512, and a run's database lies 70 below the home."""


def check_home(home: Home) -> None:
    """Raise LakeError for the first SQLite database that is damaged, with what to do about it.

    Blocked for a home whose path is too long for SQLite, which only says that it cannot open a file.
    """
    length = len(str(home.root).encode())
    if length > LONGEST:
        raise Blocked(
            f"{home.root}: a path of {length} bytes is too long for the databases below it; set "
            f"PLATFORM_HOME to a folder of {LONGEST} at most"
        )
    for path, fix in _databases(home):
        if problem := _problem(path):
            raise LakeError(f"{path}: damaged database ({problem}); {fix}")


def _databases(home: Home) -> Iterator[tuple[Path, str]]:
    mlflow = home.mlflow / "mlflow.db"
    if mlflow.exists():
        yield (
            mlflow,
            "restore it from a copy; or move it away and say `platform-assets restore-registry`, which "
            "registers every version anew from the lake and puts the alias where the ledger confirms it",
        )
    for path in sorted({*home.dagster.glob("*/*.db"), *home.dagster.glob("*/runs/index.db")}):
        yield (
            path,
            f"move {home.dagster} away and run again: the lake keeps all that was built, and its days are "
            f"recorded in a new event log; the logs of earlier runs stay in the old one",
        )
    for path in sorted(home.feast.glob("*.db")):
        yield path, f"move {home.feast} away and run again: the online store is filled from the lake"


def _problem(path: Path) -> str | None:
    if path.stat().st_size == 0:
        return None  # SQLite takes an empty file for a new database
    with path.open("rb") as handle:
        if handle.read(16) != b"SQLite format 3\0":
            return "it does not begin as an SQLite file does"
    whole = path.stat().st_size <= LOOKED_THROUGH
    try:
        with contextlib.closing(sqlite3.connect(path, timeout=30)) as connection:
            # reading only: a quick_check needs no write, and another process may hold the database
            connection.execute("PRAGMA query_only = 1")
            wanted = "PRAGMA quick_check(1)" if whole else "PRAGMA schema_version"
            (found,) = connection.execute(wanted).fetchone()
    except sqlite3.OperationalError:
        return None  # busy, or not to be opened: whoever needs it tells
    except sqlite3.DatabaseError as error:
        return str(error)
    return str(found) if whole and found != "ok" else None
