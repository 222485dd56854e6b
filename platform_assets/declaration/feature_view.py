"""Entities, windows and feature views."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import Field, PlainSerializer, PlainValidator, PrivateAttr, WithJsonSchema, model_validator

from platform_assets.declaration.compute import Compute
from platform_assets.declaration.declared import Declared, fingerprint_of
from platform_assets.declaration.duration import Duration
from platform_assets.declaration.owner import Owner
from platform_assets.declaration.source import Source

WINDOW_FUNCTIONS = ("count", "sum", "mean", "min", "max")
ROW_FUNCTIONS = ("weekend", "hour_at_most", "value")


class Entity(Declared):
    """What features are about: a card holder, a terminal."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    join_key: str = Field(description="Column of the source that identifies the entity.")
    description: str = ""

    @property
    def join_keys(self) -> tuple[str, ...]:
        """Its join key, as the one of a tuple: what every computation uses."""
        return (self.join_key,)


@dataclass(frozen=True)
class JointEntity:
    """Two or more entities that features are about together: a card holder at a terminal."""

    members: tuple[Entity, ...]

    @property
    def name(self) -> str:
        return " and ".join(entity.name for entity in self.members)

    @property
    def join_keys(self) -> tuple[str, ...]:
        """Columns of the source that together identify it, in declared order."""
        return tuple(key for entity in self.members for key in entity.join_keys)


AnyEntity = Entity | JointEntity


def _entity_names(value: Any) -> str | tuple[str, ...]:
    """One name as itself, several as a tuple. Raises ValueError for anything else."""
    names = (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list | tuple) else ()
    if not names or not all(isinstance(name, str) and name for name in names):
        raise ValueError(f"expected an entity, or a list such as [customer, terminal], not {value!r}")
    if len(set(names)) != len(names):
        raise ValueError(f"names an entity twice: {', '.join(names)}")
    return names[0] if len(names) == 1 else names


_NAMES = {"type": "array", "items": {"type": "string"}, "minItems": 1, "uniqueItems": True}
EntityNames = Annotated[
    str | tuple[str, ...],
    PlainValidator(_entity_names),
    PlainSerializer(lambda names: names if isinstance(names, str) else list(names)),
    WithJsonSchema({"anyOf": [{"type": "string"}, _NAMES]}),
]


class Feature(Declared):
    """One feature column.

    Window functions (count, sum, mean, min, max) look at the entity's rows with event timestamps
    in (t - delay - window, t - delay]; rows with equal timestamps see each other. Row functions
    read the row itself: `weekend` (Saturday or Sunday), `hour_at_most` (hour <= `hour`), `value`
    (the column as it is).
    """

    name: str
    description: str = ""
    function: Literal["count", "sum", "mean", "min", "max", "weekend", "hour_at_most", "value"]
    column: str | None = None
    window: Duration | None = None
    delay: Duration = timedelta()
    include_current_row: bool = True
    empty: float | None = Field(default=None, description="Value when the window holds no rows.")
    hour: int | None = Field(default=None, ge=0, le=23)

    @property
    def is_window(self) -> bool:
        return self.function in WINDOW_FUNCTIONS

    @property
    def type(self) -> str:
        """`int64` for counts and flags; `float64` otherwise."""
        return "int64" if self.function in ("count", "weekend", "hour_at_most") else "float64"

    @model_validator(mode="after")
    def _fields_fit_function(self) -> Feature:
        where = f"feature {self.name!r}: function {self.function}"
        if self.is_window:
            if not self.window:
                raise ValueError(f"{where} needs a window, such as 7d")
            if self.function != "count" and self.column is None:
                raise ValueError(f"{where} needs a column")
            if self.hour is not None:
                raise ValueError(f"{where} takes no hour")
        else:
            if self.window is not None or self.delay:
                raise ValueError(f"{where} reads the row itself and takes no window or delay")
            if self.function == "hour_at_most" and self.hour is None:
                raise ValueError(f"{where} needs an hour, such as 6")
            if self.function == "value" and self.column is None:
                raise ValueError(f"{where} needs a column")
        return self


class FeatureView(Declared):
    """Features of an entity, or of several together: one row for each row of one source."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    description: str = ""
    owners: tuple[Owner, ...] = Field(min_length=1)
    source: str
    entity: EntityNames = Field(description="What it is about: an entity, or a list of them together.")
    version: int = Field(default=1, ge=1)
    ttl: Duration = timedelta(days=1)
    online: bool = Field(default=True, description="Keep what serving needs in the online store.")
    features: tuple[Feature, ...] = Field(min_length=1)
    compute: Compute = Compute()
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
        columns += [feature.column for feature in self.features if feature.column is not None]
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
        computed = self.model_dump(mode="json", exclude={"description", "owners", "ttl", "online", "compute"})
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
