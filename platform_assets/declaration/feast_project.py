"""A Feast user's own repository, and what of it becomes assets."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from platform_assets.declaration.compute import Compute
from platform_assets.declaration.declared import Declared
from platform_assets.declaration.duration import Duration
from platform_assets.declaration.owner import Owner
from platform_assets.declaration.schedule import CronSchedule

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]


class ProjectParity(Declared):
    """How online values are held against offline ones."""

    tolerance: float = Field(
        default=1e-6,
        ge=0,
        description="Largest relative difference of floats, absolute below 1. Float32 fields keep 7 digits.",
    )
    at_most: float = Field(default=0.0, ge=0, le=1, description="Share of entities that may differ.")
    entities: int = Field(
        default=1_000_000, ge=1, description="Above this many entities a key-hash sample is measured."
    )


class TrainingSet(Declared):
    """Features as they were known at each row of an entity frame."""

    name: Name
    entities: str = Field(
        description="Parquet file of the entity frame: join keys, event_timestamp, labels, request values. "
        "Relative to the Feast repository, as its sources are."
    )
    feature_service: str = Field(default="", description="Feature service whose features are joined.")
    features: tuple[str, ...] = Field(default=(), description="Or features one by one: view:feature.")

    @model_validator(mode="after")
    def _says_which_features(self) -> TrainingSet:
        if bool(self.feature_service) == bool(self.features):
            raise ValueError("say either feature_service: <name> or features: [view:feature, ...]")
        for feature in self.features:
            if feature.count(":") != 1:
                raise ValueError(f"features: expected view:feature, not {feature!r}")
        return self


class Project(Declared):
    """A folder with a `feature_store.yaml`, declared once more in ten lines."""

    name: Name = Field(description="Group and first part of every asset key.")
    repo: str = Field(description="Folder with feature_store.yaml, relative to this file.")
    description: str = ""
    owners: tuple[Owner, ...] = Field(min_length=1)
    feature_views: Literal["all"] | tuple[str, ...] = Field(
        default="all", description="Views that become assets; all of the repository by default."
    )
    apply: bool = Field(
        default=True,
        description="Whether the registry asset applies the definitions, as `feast apply` does; false: it "
        "only checks that somebody did.",
    )
    as_of: Literal["now", "newest"] = Field(
        default="now",
        description="The moment online values are of: the run's beginning, or the newest row of all sources.",
    )
    offline_store: Literal["as_of", "own"] = Field(
        default="as_of",
        description="as_of: files are joined by this library's as-of join, which loses no row; own: by the "
        "store that feature_store.yaml names. Stores that are not of files always join themselves.",
    )
    freshness: Duration | None = Field(
        default=None, description="A source whose newest row is older than this is not fresh."
    )
    parity: ProjectParity = ProjectParity()
    training_sets: tuple[TrainingSet, ...] = ()
    schedule: CronSchedule | None = Field(default=None, description="When all assets are materialized.")
    compute: Compute = Compute()

    @model_validator(mode="after")
    def _names_are_unique(self) -> Project:
        views = () if self.feature_views == "all" else self.feature_views
        sets = [training_set.name for training_set in self.training_sets]
        for field, names in (("feature_views", views), ("training_sets", sets)):
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise ValueError(f"{field}: declared twice: {', '.join(twice)}")
        return self
