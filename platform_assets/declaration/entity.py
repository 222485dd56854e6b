"""Entities: what features are about, alone or together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field, PlainSerializer, PlainValidator, WithJsonSchema

from platform_assets.declaration.declared import Declared


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
