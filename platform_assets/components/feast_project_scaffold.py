"""`dg scaffold defs platform_assets.components.FeastProject features`: a declaration that loads as it is."""

from __future__ import annotations

import os
import random
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
from pydantic import BaseModel, Field

from platform_assets.components.scaffolds import check_request, filled, told_plainly
from platform_assets.declaration.feast_project import Project
from platform_assets.declaration.yaml_reader import read_yaml
from platform_assets.environments import environment
from platform_assets.errors import DeclarationError
from platform_assets.feast_project.repo_files import FEATURE_STORE, repo_files
from platform_assets.feast_project.snapshot_cache import fresh_snapshot

EXAMPLE = "feast_repo"
DEVICES, HOURS = 10, 72


class FeastProjectStart(BaseModel):
    """What the start can be told."""

    repo: str = Field(default="", description="Folder with feature_store.yaml; default: a new example.")
    owner: str = Field(default="team:my_squad", description="team:<name> or an e-mail address.")


class FeastProjectScaffolder(dg.Scaffolder[FeastProjectStart]):
    """Writes a commented `defs.yaml` for a Feast repository that exists, or for a small example."""

    @classmethod
    def get_scaffold_params(cls) -> type[FeastProjectStart]:
        return FeastProjectStart

    def scaffold(self, request: dg.ScaffoldRequest[FeastProjectStart]) -> None:
        """Write the folder; click.ClickException, and nothing stays, when the repository cannot be read."""
        with told_plainly(request.target_path):
            self._write(request)

    def _write(self, request: dg.ScaffoldRequest[FeastProjectStart]) -> None:
        name = check_request(request, request.params.owner)
        folder = request.target_path
        file, example = folder / "defs.yaml", folder / EXAMPLE
        try:
            repo = (
                Path(request.params.repo).resolve() if request.params.repo else write_example(example, name)
            )
            repo_files(repo)  # told before anything is imported
            snapshot = fresh_snapshot(environment().home, name, repo)
            text = filled(
                "feast_project.yaml",
                type=request.type_name,
                name=name,
                owner=request.params.owner,
                repo=Path(os.path.relpath(repo, folder.resolve())).as_posix(),
                views=", ".join(view.name for view in snapshot.views) or "none",
                service=snapshot.services[0].name if snapshot.services else "<service>",
            )
            file.write_text(text, encoding="utf-8")
            read_yaml(file, Project, inside="attributes")
        except DeclarationError:
            file.unlink(missing_ok=True)
            shutil.rmtree(example, ignore_errors=True)
            raise


def write_example(repo: Path, name: str) -> Path:
    """A small Feast repository with three days of made-up rows up to the present hour."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    (repo / "data").mkdir(parents=True, exist_ok=True)
    (repo / FEATURE_STORE).write_text(filled("feature_store.yaml", name=name), encoding="utf-8")
    (repo / "definitions.py").write_text(filled("feast_repo.py.txt"), encoding="utf-8")
    made = random.Random(0)
    end = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    rows = [
        {
            "device_id": device,
            "event_timestamp": end - timedelta(hours=hours),
            "created": end - timedelta(hours=hours) + timedelta(minutes=1),
            "temperature": round(made.gauss(20, 4), 2),
            "restarts": made.randrange(3),
        }
        for hours in range(HOURS, -1, -1)
        for device in range(1, DEVICES + 1)
    ]
    table = pa.Table.from_pylist(rows)
    for column in ("event_timestamp", "created"):
        place = table.schema.get_field_index(column)
        table = table.set_column(place, column, table.column(column).cast(pa.timestamp("us", tz="UTC")))
    pq.write_table(table, repo / "data" / "readings.parquet")
    return repo
