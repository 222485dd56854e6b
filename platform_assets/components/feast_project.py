"""The component that turns a Feast user's own repository into assets."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import BaseModel

from platform_assets.components.feast_project_scaffold import FeastProjectScaffolder
from platform_assets.declaration.feast_project import Project
from platform_assets.declaration.json_schema import FEAST_COMPONENT
from platform_assets.declaration.yaml_reader import located, read_yaml
from platform_assets.environments import environment
from platform_assets.errors import DeclarationError
from platform_assets.feast_project.assets import project_assets
from platform_assets.feast_project.snapshot import Snapshot, View
from platform_assets.feast_project.snapshot_cache import fresh_snapshot
from platform_assets.feast_project.training_set import views_read
from platform_assets.jobs.feast_project_jobs import project_job, project_schedule
from platform_assets.vocabulary import plain_name


@dg.scaffold_with(FeastProjectScaffolder)
class FeastProject(dg.Component):
    """A Feast repository (a folder with feature_store.yaml) as assets, drawn without importing Feast."""

    def __init__(self, project: Project, file: Path) -> None:
        self.project = project
        self.file = file

    @classmethod
    def get_model_cls(cls) -> type[BaseModel]:
        return Project

    @classmethod
    def load(cls, attributes: BaseModel | None, context: dg.ComponentLoadContext) -> FeastProject:
        if not isinstance(attributes, Project):
            raise DeclarationError(f"{context.path}: expected a Feast project under `attributes`")
        return cls(attributes, Path(context.path) / "defs.yaml")

    def build_defs(self, context: Any) -> dg.Definitions:
        """Assets, job and schedule, from the repository's snapshot."""
        return project_definitions(self.project, self.file)


def read_project(path: Path) -> Project:
    """A Feast project from a `defs.yaml`; DeclarationError with file and line of every mistake."""
    return read_yaml(path, Project, inside="attributes", component=FEAST_COMPONENT)


def project_folder(project: Project, file: Path) -> Path:
    """The folder of the Feast repository, which a declaration names relative to itself."""
    return (file.parent / project.repo).resolve()


def project_definitions(project: Project, file: Path) -> dg.Definitions:
    """Everything that follows from a Feast project's declaration in a file."""
    repo = project_folder(project, file)
    try:
        snapshot = fresh_snapshot(environment().home, project.name, repo, file.parent)
        views = checked_views(project, snapshot)
    except DeclarationError as error:
        raise located(error, file, "attributes") from None
    job = project_job(project)
    return dg.Definitions(
        assets=project_assets(project, repo, snapshot, views),
        jobs=[job],
        schedules=project_schedule(project, job),
    )


def checked_views(project: Project, snapshot: Snapshot) -> list[View]:
    """The views that become assets; DeclarationError for names that the repository does not know."""
    views = snapshot.chosen(project.feature_views)
    if not views:
        raise DeclarationError(f"{project.repo}: no feature view with a batch source is declared").at("repo")
    _refuse_one_name_for_two("feature views", [view.name for view in views])
    _refuse_one_name_for_two("sources", [view.source for view in views])
    for place, declared in enumerate(project.training_sets):
        try:
            read = views_read(snapshot, declared)
        except DeclarationError as error:
            raise error.at("training_sets", place) from None
        left_out = [view.name for view in read if view not in views]
        if left_out:
            raise DeclarationError(
                f"training set {declared.name} reads {', '.join(left_out)}; name it in feature_views too"
            ).at("training_sets", place)
    return views


def _refuse_one_name_for_two(kind: str, names: Iterable[str]) -> None:
    known: dict[str, str] = {}
    for name in names:
        other = known.setdefault(plain_name(name), name)
        if other != name:
            raise DeclarationError(
                f"{kind} {other!r} and {name!r} would be one asset, {plain_name(name)}; rename one in the "
                f"Feast repository"
            ).at("repo")
