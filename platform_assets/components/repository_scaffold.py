"""`dg scaffold defs platform_assets.components.FeatureRepository my_features`: a source with features.

With `--source` it begins a feature view on a source that is declared already.
"""

from __future__ import annotations

import csv
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
from pydantic import BaseModel, Field

from platform_assets.components.repositories import FOLDER, location_of, repository
from platform_assets.components.scaffolds import check_request, filled, told_plainly
from platform_assets.declaration.repository import Repository
from platform_assets.declaration.source import Source
from platform_assets.errors import DeclarationError

ROWS_A_DAY = 60
MEMBERS = 25


class RepositoryStart(BaseModel):
    """What a feature repository's start can be told."""

    source: str = Field(default="", description="Declared source to compute a feature view from.")
    entity: str = Field(default="", description="With source: declared entity that features are about.")
    owner: str = Field(default="team:my_squad", description="team:<name> or an e-mail address.")
    example_days: int = Field(default=3, ge=1, le=365, description="Days of example rows of a new source.")


class RepositoryScaffolder(dg.Scaffolder[RepositoryStart]):
    """Writes `defs.yaml` and a commented `feature_repo/` beside it."""

    @classmethod
    def get_scaffold_params(cls) -> type[RepositoryStart]:
        return RepositoryStart

    def scaffold(self, request: dg.ScaffoldRequest[RepositoryStart]) -> None:
        """Write the folder; click.ClickException, and nothing is written, for a name that is taken."""
        with told_plainly(request.target_path):
            self._write(request)

    def _write(self, request: dg.ScaffoldRequest[RepositoryStart]) -> None:
        told = request.params
        name = check_request(request, told.owner)
        file = request.target_path / "defs.yaml"
        declared = repository(location=location_of(file))
        texts = _view(declared, name, told) if told.source else _source(declared, name, told)
        texts["defs.yaml"] = filled("repository.yaml", type=request.type_name)
        for path, text in texts.items():
            target = request.target_path / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
        if not told.source:
            write_examples(request.target_path / FOLDER / "data", told.example_days)


def write_examples(folder: Path, days: int) -> None:
    """A CSV file a day of rows made up for the start; the same ones every time."""
    folder.mkdir(parents=True, exist_ok=True)
    made = random.Random(0)
    habits = [made.random() for _ in range(MEMBERS)]
    for number in range(days):
        day = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=number)
        with (folder / f"{day:%Y-%m-%d}.csv").open("w", newline="", encoding="utf-8") as stream:
            rows = csv.writer(stream)
            rows.writerow(["id", "member_id", "happened_at", "amount", "outcome"])
            for second in sorted(made.sample(range(86_400), ROWS_A_DAY)):
                member = made.randrange(MEMBERS)
                amount = round(made.lognormvariate(3, 0.7), 2)
                outcome = int(made.random() < 0.6 * habits[member] * min(amount / 20, 1))
                moment = (day + timedelta(seconds=second)).strftime("%Y-%m-%d %H:%M:%S")
                rows.writerow([f"{day:%Y%m%d}-{second}", f"M{member:03d}", moment, f"{amount:.2f}", outcome])


def _source(declared: Repository, name: str, told: RepositoryStart) -> dict[str, str]:
    if told.entity:
        raise DeclarationError("--entity goes with --source; a new source begins with an entity of its own")
    taken = {
        "source": {name} & set(declared.sources),
        "entity": {f"{name}_member"} & set(declared.entities),
        "feature view": {f"{name}_history"} & set(declared.feature_views),
    }
    _refuse_taken(taken)
    return {
        f"{FOLDER}/{name}.yaml": filled("source.yaml", name=name, owner=told.owner),
        f"{FOLDER}/contracts/{name}.json": filled("contract.json", name=name),
    }


def _view(declared: Repository, name: str, told: RepositoryStart) -> dict[str, str]:
    source = declared.source(told.source)
    entity = declared.entity(told.entity).name if told.entity else _first_entity(declared, source)
    join_key = declared.entity(entity).join_key
    if join_key not in source.column_names:
        raise DeclarationError(
            f"entity {entity!r} is identified by column {join_key!r}, "
            f"which source {source.name!r} does not have"
        )
    _refuse_taken({"feature view": {name} & set(declared.feature_views)})
    numbers = [column.name for column in source.columns if column.type == "float64"]
    text = filled(
        "view.yaml",
        name=name,
        owner=told.owner,
        source=source.name,
        entity=entity,
        columns=", ".join(source.column_names),
        column=(numbers or ["<column>"])[0],
    )
    return {f"{FOLDER}/{name}.yaml": text}


def _first_entity(declared: Repository, source: Source) -> str:
    for entity in declared.entities.values():
        if entity.join_key in source.column_names:
            return entity.name
    raise DeclarationError(f"source {source.name!r}: no entity is declared on it; declare one first")


def _refuse_taken(names: dict[str, set[str]]) -> None:
    for kind, found in names.items():
        if found:
            raise DeclarationError(f"{kind} {sorted(found)[0]!r} is declared already; choose another name")
