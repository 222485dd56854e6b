"""A source: where raw rows come from, what columns they have, how many to expect."""

from __future__ import annotations

import re
from datetime import date
from pathlib import PurePath
from typing import Literal

from pydantic import Field, field_validator, model_validator

from platform_assets.declaration.compute import Compute
from platform_assets.declaration.declared import NAME_LENGTH, Declared
from platform_assets.declaration.owner import Owner
from platform_assets.errors import UnknownName

_BRACES = re.compile(r"\{[^}]*\}?")

ColumnType = Literal["int64", "float64", "string", "bool", "timestamp"]


def check_pattern(pattern: str) -> str:
    """A source's file pattern as it is; ValueError for one that no file below the folder can have."""
    if not pattern or PurePath(pattern).is_absolute():
        raise ValueError(f"expected a pattern below location, such as {{day}}.parquet, not {pattern!r}")
    for braces in _BRACES.findall(pattern):
        if braces != "{day}":
            raise ValueError(f"{braces} is not filled in; only {{day}} is, with YYYY-MM-DD")
    return pattern


class Column(Declared):
    """One column of raw rows. Timestamps are UTC with microseconds."""

    name: str
    type: ColumnType
    description: str = ""
    nullable: bool = False
    scale: int | None = Field(
        default=None,
        ge=0,
        le=9,
        description="Decimals that values hold exactly (2: whole cents); sums are then exact integers.",
    )
    masked: bool = Field(default=False, description="Hide values in samples shown to people.")

    @model_validator(mode="after")
    def _scale_fits_type(self) -> Column:
        if self.scale is not None and self.type != "float64":
            raise ValueError(f"column {self.name!r}: scale is for float64, not {self.type}")
        return self


class Volume(Declared):
    """How many rows a day should have, as a ratio to the median of the days around it."""

    neighbours: int = Field(default=28, ge=3, description="How many nearest days give the median.")
    at_least: float = Field(default=0.5, ge=0, lt=1)
    at_most: float = Field(default=1.7, gt=1)
    severity: Literal["critical", "warning"] = "critical"


class Source(Declared):
    """Raw rows, one partition a day of the event timestamp in UTC."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=NAME_LENGTH)
    description: str = ""
    owners: tuple[Owner, ...] = Field(min_length=1)
    kind: Literal["folder", "generator"] = "folder"
    location: str | None = Field(default=None, description="Folder; relative to the declaring file.")
    format: Literal["parquet", "csv"] = "parquet"
    pattern: str = Field(
        default="{day}.parquet",
        description="Glob below the folder. With {day} (YYYY-MM-DD) a file holds that day only; "
        "without it every file may hold any day.",
    )
    start: date
    end: date | None = Field(default=None, description="First day without data; none: still growing.")
    columns: tuple[Column, ...] = Field(min_length=1)
    primary_key: tuple[str, ...] = Field(min_length=1)
    event_timestamp: str
    available_at: str | None = Field(default=None, description="Column telling when a row was known.")
    duplicates: Literal["refuse", "keep_first", "keep_last", "drop_identical"] = "refuse"
    contract: str = Field(description="Great Expectations suite (JSON), relative to the declaring file.")
    volume: Volume = Volume()
    generator: dict[str, int | float] = Field(default_factory=dict)
    compute: Compute = Compute()

    def column(self, name: str) -> Column:
        """The declared column of that name; KeyError when there is none."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)

    @property
    def column_names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    def covers(self, day: str) -> bool:
        """Whether a day lies between the declared start and end."""
        moment = date.fromisoformat(day)
        return self.start <= moment and (self.end is None or moment < self.end)

    @field_validator("pattern")
    @classmethod
    def _pattern_is_one(cls, pattern: str) -> str:
        return check_pattern(pattern)

    @model_validator(mode="after")
    def _names_exist(self) -> Source:
        names = self.column_names
        if len(set(names)) != len(names):
            raise ValueError(
                f"columns: declared twice: {', '.join(sorted({n for n in names if names.count(n) > 1}))}"
            )
        for field, wanted in (
            ("primary_key", self.primary_key),
            ("event_timestamp", (self.event_timestamp,)),
            ("available_at", (self.available_at,) if self.available_at else ()),
        ):
            for name in wanted:
                if name not in names:
                    raise ValueError(f"{field}: {UnknownName.among('column', name, names)}")
        for field, moment in (("event_timestamp", self.event_timestamp), ("available_at", self.available_at)):
            if moment and self.column(moment).type != "timestamp":
                raise ValueError(
                    f"{field}: column {moment!r} is declared {self.column(moment).type}; a moment is a "
                    f"column of type timestamp"
                )
        if self.kind == "folder" and not self.location:
            raise ValueError("location: kind folder needs a location")
        if self.end is not None and self.end <= self.start:
            raise ValueError(f"end: {self.end} is not after start {self.start}")
        return self
