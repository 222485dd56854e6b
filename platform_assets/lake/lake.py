"""The lake: immutable files named by content, partitions replaced by one atomic manifest write.

<table>/data/<partition>/<digest>.parquet|json     immutable
<table>/manifests/<partition>/                     its versions and the one that counts (partition_versions)
<table>/current/<partition>.parquet                hard link for readers without our code
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from platform_assets.errors import LakeError
from platform_assets.lake.atomic_files import (
    half_written,
    link_in_place,
)
from platform_assets.lake.digest import canonical, document_digest, table_digest
from platform_assets.lake.manifest import Manifest
from platform_assets.lake.partition_versions import (
    POINTER,
    add_version,
    current_version,
    every_version,
    one_writer,
)

if TYPE_CHECKING:
    import pyarrow as pa

Inputs = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True)
class Lake:
    """All tables below one folder."""

    root: Path

    def table(self, name: str) -> Table:
        """A table by name, whether it holds anything yet or not."""
        return Table(self.root / "tables" / name, name)

    def tables(self) -> list[Table]:
        """Every table that was ever written to, in order of names."""
        root = self.root / "tables"
        folders = sorted(path.parent for path in root.rglob("manifests") if path.is_dir())
        return [self.table(folder.relative_to(root).as_posix()) for folder in folders]


@dataclass(frozen=True)
class Table:
    """Partitions of one table, each with its versions."""

    folder: Path
    name: str

    def partitions(self) -> list[str]:
        """Names of the partitions that hold a current version, in order."""
        folder = self.folder / "manifests"
        if not folder.is_dir():
            return []
        return sorted(p.name for p in folder.iterdir() if (p / "current").exists())

    def manifest(self, partition: str) -> Manifest | None:
        """The current version of a partition; None when it was never built."""
        return current_version(self._versions(partition))

    def current(self, partitions: Iterable[str] | None = None) -> dict[str, Manifest]:
        """Current manifests by partition; those never built are left out."""
        names = self.partitions() if partitions is None else partitions
        found = ((name, self.manifest(name)) for name in names)
        return {name: manifest for name, manifest in found if manifest is not None}

    def digests(self, partitions: Iterable[str] | None = None) -> dict[str, str]:
        """Current digests by partition."""
        return {name: manifest.digest for name, manifest in self.current(partitions).items()}

    def history(self, partition: str) -> list[Manifest]:
        """Every version of a partition that ever counted, oldest first."""
        return every_version(self._versions(partition))

    def current_at(self, partition: str, moment: str) -> Manifest | None:
        """The version that was current at a moment (ISO 8601 UTC): *as known then*."""
        before = [m for m in self.history(partition) if m.created_at <= moment]
        return before[-1] if before else None

    def version(self, partition: str, digest: str) -> Manifest:
        """The newest version of a partition with that digest; LakeError when there is none."""
        for manifest in reversed(self.history(partition)):
            if manifest.digest == digest:
                return manifest
        raise LakeError(f"table {self.name}: partition {partition} has no version {digest}")

    def path(self, manifest: Manifest) -> Path:
        """The immutable data file of a version; LakeError when it is gone."""
        path = self.folder / manifest.file
        if not path.exists():
            raise LakeError(
                f"{path}: a manifest promises this file and it is gone (an old version may have been "
                f"collected as garbage); to build the present one again, delete "
                f"{self.folder / 'manifests' / manifest.partition / 'current'}"
            )
        return path

    def stable_folder(self) -> Path:
        """Folder with exactly the current file of each partition, for readers without our code."""
        return self.folder / "current"

    def paths(self, partitions: Iterable[str]) -> list[str]:
        """Data files of the current versions; LakeError names the partitions that are missing."""
        wanted = list(partitions)
        current = self.current(wanted)
        missing = [name for name in wanted if name not in current]
        if missing:
            raise LakeError(
                f"table {self.name}: no partition {', '.join(missing[:5])}"
                + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
            )
        return [str(self.path(current[name])) for name in wanted]

    def read(self, partitions: Iterable[str], columns: Sequence[str] | None = None) -> pa.Table:
        """Rows of the current versions, in the order of the partitions named."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        tables = [pq.read_table(path, columns=columns, partitioning=None) for path in self.paths(partitions)]
        return pa.concat_tables(tables)

    def document(self, partition: str) -> dict[str, Any] | None:
        """The payload of a document partition; None when it was never written."""
        manifest = self.manifest(partition)
        return None if manifest is None else self.document_of(manifest)

    def document_of(self, manifest: Manifest) -> dict[str, Any]:
        """The payload of one version of a document partition; LakeError names its file when it is damaged."""
        path = self.path(manifest)
        try:
            payload: dict[str, Any] = json.loads(path.read_bytes())
        except ValueError as error:
            raise LakeError(
                f"{path}: damaged ({error}); restore it from a copy, or delete "
                f"{self._versions(manifest.partition) / POINTER} and run again to build its present version"
            ) from None
        return payload

    def write(
        self,
        partition: str,
        rows: pa.Table,
        *,
        key: Sequence[str],
        code_version: str,
        inputs: Inputs,
        cause: str,
        run_id: str = "",
        notes: Mapping[str, Any] | None = None,
        anew: bool = False,
    ) -> Manifest:
        """Make `rows` the current version of a partition.

        Rows are stored sorted by `key`, which must identify them (ValueError otherwise). Writing
        what is already current, made from the same inputs, changes nothing and returns the
        present manifest; with `anew` its file is written again, in case somebody changed it.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        ordered = canonical(rows, key)
        digest = table_digest(ordered)
        file = f"data/{partition}/{digest}.parquet"

        def write_file(path: Path) -> None:
            # a dictionary of numbers that hardly repeat costs twice the time and a larger file; snappy
            # writes in two thirds of the CPU of zstd, for files half as large again
            texts = [f.name for f in ordered.schema if not pa.types.is_primitive(f.type)]
            pq.write_table(ordered, path, compression="snappy", coerce_timestamps="us", use_dictionary=texts)

        return self._put(
            partition,
            digest,
            file,
            write_file,
            rows=ordered.num_rows,
            key=tuple(key),
            schema=tuple((f.name, str(f.type)) for f in ordered.schema),
            code_version=code_version,
            inputs=inputs,
            cause=cause,
            run_id=run_id,
            notes=notes or {},
            anew=anew,
        )

    def write_document(
        self,
        partition: str,
        payload: Mapping[str, Any],
        *,
        code_version: str,
        inputs: Inputs,
        cause: str,
        run_id: str = "",
        notes: Mapping[str, Any] | None = None,
    ) -> Manifest:
        """Make a JSON document the current version. What changes by the clock belongs in `notes`."""
        digest = document_digest(payload)
        content = (json.dumps(payload, indent=1, sort_keys=True) + "\n").encode()
        return self._put(
            partition,
            digest,
            f"data/{partition}/{digest}.json",
            lambda path: _write(path, content),
            rows=1,
            key=(),
            schema=(),
            code_version=code_version,
            inputs=inputs,
            cause=cause,
            run_id=run_id,
            notes=notes or {},
        )

    def _put(
        self,
        partition: str,
        digest: str,
        file: str,
        write_file: Any,
        *,
        rows: int,
        schema: tuple[tuple[str, str], ...],
        key: tuple[str, ...],
        code_version: str,
        inputs: Inputs,
        cause: str,
        run_id: str,
        notes: Mapping[str, Any],
        anew: bool = False,
    ) -> Manifest:
        plain = {table: dict(sorted(parts.items())) for table, parts in sorted(inputs.items())}
        folder = self._versions(partition)
        with one_writer(folder):
            present = self.manifest(partition)
            path = self.folder / file
            # a file that no current manifest vouches for may be damaged: it is written again
            if anew or present is None or present.digest != digest or not path.exists():
                with half_written(path) as temporary:
                    write_file(temporary)
            if present is not None and present.digest == digest and present.is_made_from(code_version, plain):
                if anew:  # rows only: documents have no stable path
                    link_in_place(path, self.folder / "current" / f"{partition}.parquet")
                return present
            # a clock that was set back must not put a version before the one it replaces
            newest = present.created_at if present is not None else ""

            def manifest_of(number: int) -> Manifest:
                return Manifest(
                    table=self.name,
                    partition=partition,
                    sequence=number,
                    digest=digest,
                    rows=rows,
                    size_bytes=path.stat().st_size,
                    file=file,
                    code_version=code_version,
                    inputs=plain,
                    cause=cause,
                    run_id=run_id,
                    created_at=max(utc_now(), newest),
                    schema=schema,
                    key=key,
                    notes=dict(notes),
                )

            def link_stable_path() -> None:
                if path.suffix == ".parquet":
                    link_in_place(path, self.folder / "current" / f"{partition}.parquet")

            return add_version(folder, manifest_of, before_switch=link_stable_path)

    def _versions(self, partition: str) -> Path:
        return self.folder / "manifests" / partition


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def utc_now() -> str:
    """The present moment, ISO 8601 in UTC with microseconds."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
