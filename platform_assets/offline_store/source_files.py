"""The Parquet files behind a Feast file source, and their columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from platform_assets.errors import SourceError, UnknownName
from platform_assets.features.as_of_sql import quoted
from platform_assets.features.engine import column_types
from platform_assets.features.moments import NAIVE, ZONED

if TYPE_CHECKING:
    import duckdb

_MAGIC = frozenset("*?[")
# DuckDB's own numbers of files and rows, by which rows are told apart
_NUMBERS = ("file_index", "file_row_number")


@dataclass(frozen=True)
class SourceFiles:
    """Parquet files in the order of their paths, readable as one relation.

    `called` is how errors name the source, `base` the file or folder it is declared as (of a glob: the
    folder above its first pattern), `types` DuckDB's type of each column, partition columns included.
    """

    called: str
    base: Path
    paths: tuple[str, ...]
    relation: str
    types: Mapping[str, str]
    partition_columns: tuple[str, ...]

    def column(self, *names: str, role: str) -> str:
        """The first of `names` that is a column; SourceError when none is."""
        for name in names:
            if name in self.types:
                return name
        raise SourceError(f"{self.called}: {role}: {UnknownName.among('column', names[0], self.types)}")

    def moment(self, *names: str, role: str) -> str:
        """The first of `names` that is a column, which must hold times; SourceError otherwise."""
        name = self.column(*names, role=role)
        if self.types[name] not in (*NAIVE, *ZONED):
            raise SourceError(
                f"{self.called}: {role} {name!r} is {self.types[name]}, not a time; write it as a timestamp"
            )
        return name


def open_source(engine: duckdb.DuckDBPyConnection, source: Any, repo_path: Path | None) -> SourceFiles:
    """The files of a Feast `FileSource` as they are now.

    Takes a file, a folder (every `.parquet` file below it, hidden ones left out) or a glob; folders named
    `column=value` below it are columns. Files are matched by column name; a column that some lack is null
    there. Raises SourceError when the source is none of these, or times with and without zone are mixed.
    """
    called = f"source {source.name!r} ({getattr(source, 'path', type(source).__name__)})"
    base = source_path(source, repo_path)
    paths = parquet_paths(base)
    if not paths:
        what = "holds no .parquet file" if base.is_dir() else "is not there"
        raise SourceError(f"{called}: {base} {what}; write the files first, or correct the path")
    relation = parquet_relation(base, paths)
    types = _types(engine, called, relation)
    for name in types:
        if name.lower() in _NUMBERS:
            raise SourceError(f"{called}: column {name!r} hides DuckDB's own of that name; rename it")
    if len(paths) > 1:
        _refuse_mixed_zones(engine, called, _listed(paths), types)
    columns = partition_columns(base, paths)
    return SourceFiles(called, files_root(base), tuple(paths), relation, types, columns)


def parquet_relation(base: Path, paths: Sequence[str]) -> str:
    """The files of a file, folder or glob as something that may follow FROM, partition columns included."""
    partitioned = str(bool(partition_columns(base, paths))).lower()
    options = f"hive_partitioning = {partitioned}, union_by_name = {str(len(paths) > 1).lower()}"
    return f"read_parquet([{_listed(paths)}], {options})"


def partition_columns(base: Path, paths: Sequence[str]) -> tuple[str, ...]:
    """Columns that the names of folders below `base` hold, `column=value`, the same ones for every file."""
    root = files_root(base)
    folders = [Path(path).relative_to(root).parts[:-1] for path in paths] if root.is_dir() else [()]
    names = {tuple(part.split("=")[0] for part in parts if "=" in part) for parts in folders}
    return names.pop() if len(names) == 1 else ()


def source_path(source: Any, repo_path: Path | None) -> Path:
    """Where a Feast file source is, relative paths taken from the repository; SourceError if not local."""
    path = getattr(source, "path", None)
    called = f"source {source.name!r} ({path or type(source).__name__})"
    if path is None or not hasattr(source, "file_options"):
        raise SourceError(f"{called}: this offline store reads Parquet files; declare a feast.FileSource")
    kind = type(source.file_format).__name__ if source.file_format is not None else "ParquetFormat"
    if kind != "ParquetFormat":
        raise SourceError(f"{called}: is declared as {kind}; this offline store reads Parquet only")
    local = str(path).removeprefix("file://")
    if "://" in local:
        raise SourceError(f"{called}: is not a local path; mount the storage, or copy the files")
    return Path(repo_path or ".") / local


def parquet_paths(base: Path) -> list[str]:
    """Parquet files of a file, folder or glob, sorted; without what is hidden or half-written."""
    if base.is_file():
        return [str(base)]
    if base.is_dir():
        return sorted(
            str(path) for path in base.rglob("*.parquet") if path.is_file() and _seen(path.relative_to(base))
        )
    if not _MAGIC & set(str(base)):
        return []
    root = files_root(base)
    found: set[str] = set()
    for path in root.glob(str(base.relative_to(root))):
        if _seen(path.relative_to(root)):
            found.update(parquet_paths(path))
    return sorted(found)


def is_glob(base: Path) -> bool:
    """Whether a path is a pattern."""
    return not base.exists() and bool(_MAGIC & set(str(base)))


def files_root(base: Path) -> Path:
    """The file or folder that a path names; of a glob, the folder above its first pattern."""
    if not is_glob(base):
        return base
    first = next(number for number, part in enumerate(base.parts) if _MAGIC & set(part))
    return Path(*base.parts[:first])


def _listed(paths: Sequence[str]) -> str:
    return ", ".join("'" + path.replace("'", "''") + "'" for path in paths)


def _seen(relative: Path) -> bool:
    return not any(part.startswith((".", "_")) for part in relative.parts)


def _types(engine: duckdb.DuckDBPyConnection, called: str, relation: str) -> dict[str, str]:
    import duckdb

    try:
        return column_types(engine, relation)
    except duckdb.Error as error:
        raise SourceError(f"{called}: cannot be read as Parquet: {error}") from error


def _refuse_mixed_zones(
    engine: duckdb.DuckDBPyConnection, called: str, listed: str, types: Mapping[str, str]
) -> None:
    zoned = [name for name, kind in types.items() if kind in ZONED]
    if not zoned:
        return
    names = ", ".join("'" + name.replace("'", "''") + "'" for name in zoned)
    found = engine.execute(f"""
        SELECT name, file_name FROM parquet_schema([{listed}])
        WHERE name IN ({names}) AND logical_type LIKE '%isAdjustedToUTC=0%'
        ORDER BY ALL LIMIT 1""").fetchall()
    if found:
        column, path = found[0]
        raise SourceError(
            f"{called}: {quoted(column)} has a time zone in some files and none in {path}; "
            "write all files with one of the two (UTC)"
        )
