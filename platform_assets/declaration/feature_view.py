"""Feature views."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Literal

from pydantic import (
    Field,
    PrivateAttr,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

from platform_assets.declaration.compute import Compute
from platform_assets.declaration.declared import NAME_LENGTH, Declared, fingerprint_of
from platform_assets.declaration.duration import Duration
from platform_assets.declaration.entity import AnyEntity, Entity, EntityNames, JointEntity
from platform_assets.declaration.feature import ROW_FUNCTIONS, WINDOW_FUNCTIONS, Feature
from platform_assets.declaration.owner import Owner
from platform_assets.declaration.source import Source
from platform_assets.declaration.view_parity import ViewParity
from platform_assets.declaration.view_sql_text import checked_sql, columns_in
from platform_assets.errors import UnknownName

__all__ = [
    "ROW_FUNCTIONS", "WINDOW_FUNCTIONS", "AnyEntity", "Entity", "Feature", "FeatureView", "JointEntity",
]  # fmt: skip


class FeatureView(Declared):
    """Features of an entity, or of several together: one row for each row of one source."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=NAME_LENGTH)
    description: str = ""
    owners: tuple[Owner, ...] = Field(min_length=1)
    source: str
    entity: EntityNames = Field(description="What it is about: an entity, or a list of them together.")
    version: int = Field(default=1, ge=1)
    ttl: Duration = timedelta(days=1)
    online: bool = Field(default=True, description="Keep what serving needs in the online store.")
    features: tuple[Feature, ...] = Field(min_length=1)
    sql: str | None = Field(default=None, description="One SELECT over {source}, in place of functions.")
    reach: Duration | None = Field(default=None, description="How far back the sql looks.")
    recomputed_on: Literal["spark"] | None = Field(
        default=None, description="Engine that the gate feature_equality runs the sql on once more."
    )
    compute: Compute = Compute()
    parity: ViewParity = ViewParity()
    _reads: Mapping[str, str] = PrivateAttr(default_factory=dict)

    @property
    def entities(self) -> tuple[str, ...]:
        """Names of the entities it is about, one or more."""
        return (self.entity,) if isinstance(self.entity, str) else self.entity

    @property
    def feature_names(self) -> tuple[str, ...]:
        return tuple(feature.name for feature in self.features)

    @property
    def windows(self) -> tuple[Feature, ...]:
        """The window features, in order."""
        return tuple(feature for feature in self.features if feature.is_window)

    def feature(self, name: str) -> Feature:
        """The feature of that name, or UnknownName with the nearest one."""
        for feature in self.features:
            if feature.name == name:
                return feature
        raise UnknownName.among(f"feature of view {self.name!r} called", name, self.feature_names)

    def features_of(self, feature: Feature) -> tuple[Feature, ...]:
        """Features of this view that one is computed from directly."""
        if feature.formula is None:
            return ()
        return tuple(self.feature(name) for name in feature.names if name in self.feature_names)

    def columns_of(self, feature: Feature) -> tuple[str, ...]:
        """Columns of the row and of rows in windows that a feature is made of, itself or through others."""
        behind = self.features_of(feature)
        own = (name for name in feature.names if feature.formula is None or name not in self.feature_names)
        return tuple(dict.fromkeys((*own, *(name for other in behind for name in self.columns_of(other)))))

    @property
    def columns_read(self) -> tuple[str, ...]:
        """Columns that its features read, each once; of a view in SQL see `columns_in`."""
        return tuple(dict.fromkeys(name for feature in self.features for name in self.columns_of(feature)))

    @property
    def frames(self) -> tuple[tuple[timedelta, timedelta], ...]:
        """(delay, length) of every stretch of time before a row that its features look at."""
        windows = tuple((f.delay, f.window) for f in self.windows if f.window is not None)
        return windows if self.reach is None else (*windows, (timedelta(), self.reach))

    @property
    def lake_name(self) -> str:
        """Name of its tables in the lake; every version but the first has its own.

        So the days that a live model reads stay while another version of the view is built.
        """
        return self.name if self.version == 1 else f"{self.name}@{self.version}"

    @property
    def reads(self) -> Mapping[str, str]:
        """What of the source it reads, column by column; empty until `bound_to` told it."""
        return self._reads

    def bound_to(self, source: Source, entity: AnyEntity) -> FeatureView:
        """The same view, knowing the columns it reads: their types decide what is computed and how.

        Whether a value may be absent counts too: a nullable column is counted by its values, not by rows,
        and its state in the online store has another form.
        """
        columns = [source.event_timestamp, *entity.join_keys, *source.primary_key]
        columns += self.columns_read if self.sql is None else columns_in(self.sql, source.column_names)
        reads = {"event timestamp": source.event_timestamp, "join key": ", ".join(entity.join_keys)}
        reads["primary key"] = ", ".join(source.primary_key)
        for name in dict.fromkeys(columns):
            column = source.column(name)
            scale = "" if column.scale is None else f" with scale {column.scale}"
            absent = ", nullable" if column.nullable else ""
            reads[f"column {name}"] = f"{column.type}{scale}{absent}"
        bound = self.model_copy()
        bound._reads = reads
        return bound

    @property
    def code_version(self) -> str:
        """Changes when what is computed changes; not with owners or descriptions."""
        told_beside = {"description", "owners", "ttl", "online", "compute", "parity", "recomputed_on"}
        computed = self.model_dump(mode="json", exclude=told_beside)
        for feature in computed["features"]:
            del feature["description"]
        return f"v{self.version}-{fingerprint_of([computed, dict(self._reads)])}"

    @model_validator(mode="after")
    def _names_are_unique(self) -> FeatureView:
        names = self.feature_names
        if len(set(names)) != len(names):
            twice = sorted({name for name in names if names.count(name) > 1})
            raise ValueError(f"features: declared twice: {', '.join(twice)}")
        return self

    @field_validator("sql")
    @classmethod
    def _one_select(cls, text: str | None) -> str | None:
        return None if text is None else checked_sql(text)

    @model_validator(mode="after")
    def _sql_stands_alone(self) -> FeatureView:
        in_sql = [feature.name for feature in self.features if feature.function == "sql"]
        if self.sql is None:
            if in_sql:
                raise ValueError(f"features: {in_sql[0]} is a column of sql, and the view has none")
            for name in ("reach", "recomputed_on"):
                if getattr(self, name) is not None:
                    raise ValueError(f"{name}: is for a view in sql; windows say what they look at")
            return self
        others = [feature.name for feature in self.features if feature.function != "sql"]
        if others:
            raise ValueError(f"features: {others[0]} is no column of sql; declare it in a view of its own")
        if self.reach is None:
            raise ValueError("sql: say how far back it looks: reach: 7d, or reach: 0 for the row's own day")
        if self.online:
            raise ValueError("sql: cannot be finished when a request comes; say online: false")
        return self

    @model_serializer(mode="wrap")
    def _without_silent_fields(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        held: dict[str, Any] = dump(self)
        later = ("sql", "reach", "recomputed_on")
        return {name: value for name, value in held.items() if name not in later or value is not None}

    @model_validator(mode="after")
    def _features_made_of_others_end(self) -> FeatureView:
        for feature in self.features:
            for name in (feature.numerator, feature.denominator):
                if name is not None:
                    try:
                        self.feature(name)
                    except UnknownName as error:
                        raise ValueError(f"feature {feature.name!r}: {error}") from None
            self._check_no_circle(feature, ())
        return self

    def _check_no_circle(self, feature: Feature, before: tuple[str, ...]) -> None:
        if feature.name in before:
            circle = " -> ".join((*before[before.index(feature.name) :], feature.name))
            raise ValueError(f"features: {circle} is a circle; a feature cannot be computed from itself")
        for other in self.features_of(feature):
            self._check_no_circle(other, (*before, feature.name))
