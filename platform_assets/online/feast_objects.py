"""Feast's picture of the declared feature views: entities, views, and the state that serving needs.

Each declared view becomes a Feast feature view of its name over the lake's stable folder, with window,
delay and function as tags (Feast's own aggregations have no delay and are not executed). It holds each
entity's newest row. A view served online has three more: `<view>__events_a` and `_b`, the two slots of each
entity's recent events, from which windows are finished at request time, and `<view>__state`, whose one row
tells which slot counts.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from platform_assets.declaration.duration import format_duration
from platform_assets.declaration.feature_view import Entity, Feature, FeatureView
from platform_assets.declaration.repository import Repository
from platform_assets.declaration.source import Source
from platform_assets.errors import DeclarationError
from platform_assets.online.serving_windows import HORIZON, keeps_keys, measures, retention
from platform_assets.vocabulary import AVAILABLE_AT

if TYPE_CHECKING:
    from feast import FeatureView as FeastView
    from feast import Field

SLOTS = ("a", "b")

# what the state view holds of each entity
TIMES = "event_us"
KEYS = "event_key"
VALUE = "value_"  # followed by the column
# and of the one row that tells which state this is
STATE_DIGEST = "state_digest"
ENTITIES = "entities"
SLOT = "slot"
UNTIL = "materialized_until"


def feast_name(view: FeatureView) -> str:
    """The Feast feature view of a declared one; every version but the first has its own."""
    return view.name if view.version == 1 else f"{view.name}__v{view.version}"


def slot_view_name(view: FeatureView, slot: str) -> str:
    """The Feast feature view of one slot of a view's recent events."""
    return f"{feast_name(view)}__events_{slot}"


def pointer_view_name(view: FeatureView) -> str:
    """The Feast feature view whose one row tells which slot counts."""
    return f"{feast_name(view)}__state"


def key_is_whole(source: Source, names: tuple[str, ...]) -> bool:
    """Whether a key is kept as one Int64; every other is kept as a string."""
    return len(names) == 1 and source.column(names[0]).type == "int64"


def feast_objects(repository: Repository, stable_folder: Callable[[FeatureView], Path]) -> list[Any]:
    """Entities and feature views of a repository, as Feast objects in a fixed order.

    `stable_folder` gives the folder with a view's current Parquet files.
    """
    import feast
    from feast.types import Float64, Int64, String

    types = {"int64": Int64, "float64": Float64}
    entities: dict[str, Any] = {}
    views: list[Any] = []
    for view in repository.feature_views.values():
        source = repository.source(view.source)
        members = [repository.entity(name) for name in view.entities]
        for member in members:
            if member.name not in entities:
                entities[member.name] = _feast_entity(source, member)
        about = [entities[name] for name in view.entities]
        files = feast.FileSource(
            name=f"{feast_name(view)}__files",
            path=str(stable_folder(view)),
            timestamp_field=source.event_timestamp,
            created_timestamp_column=AVAILABLE_AT,
        )
        keys = [
            feast.Field(name=name, dtype=Int64 if key_is_whole(source, (name,)) else String)
            for name in repository.entity_of(view).join_keys
        ]
        views.append(
            feast.FeatureView(
                name=feast_name(view),
                description=view.description,
                owner=", ".join(view.owners),
                entities=about,
                schema=[
                    *keys,
                    *(
                        feast.Field(
                            name=f.name, dtype=types[f.type], description=f.description, tags=_feature_tags(f)
                        )
                        for f in view.features
                    ),
                ],
                ttl=view.ttl,
                online=view.online,
                source=files,
                tags={
                    "code_version": view.code_version,
                    "declaration": view.fingerprint(),
                    **({"served_from": pointer_view_name(view)} if view.online else {}),
                    **{
                        f"{feature.name}.{name}": text
                        for feature in view.features
                        for name, text in _feature_tags(feature).items()
                    },
                },
            )
        )
        if view.online:
            views += [_slot_view(source, view, slot, about, keys, files) for slot in SLOTS]
            views.append(_pointer_view(view, about, keys, files))
    return [*entities.values(), *views]


def _feast_entity(source: Source, entity: Entity) -> Any:
    import feast

    kind = source.column(entity.join_key).type
    if kind not in ("int64", "string"):
        raise DeclarationError(
            f"entity {entity.name!r}: join key {entity.join_key!r} is a {kind} in source {source.name!r}; "
            f"Feast finds entities by int64 or string"
        )
    return feast.Entity(
        name=entity.name,
        join_keys=[entity.join_key],
        value_type=feast.ValueType.INT64 if kind == "int64" else feast.ValueType.STRING,
        description=entity.description,
    )


def _slot_view(
    source: Source, view: FeatureView, slot: str, entities: list[Any], join_keys: list[Field], files: Any
) -> FeastView:
    import feast
    from feast.types import Array, Float64, Int64, String

    types = {"int64": Int64, "float64": Float64, "string": String}
    fields = [*join_keys, feast.Field(name=TIMES, dtype=Array(Int64))]
    if keeps_keys(view):
        keys = Int64 if key_is_whole(source, source.primary_key) else String
        fields.append(feast.Field(name=KEYS, dtype=Array(keys)))
    fields += [
        feast.Field(name=VALUE + measure.column, dtype=Array(types[measure.kind]))
        for measure in measures(source, view)
    ]
    fields += [feast.Field(name=STATE_DIGEST, dtype=String), feast.Field(name=ENTITIES, dtype=Int64)]
    return feast.FeatureView(
        name=slot_view_name(view, slot),
        description=f"Slot {slot} of the recent events of each {' and '.join(view.entities)}; requests "
        f"finish {view.name} from the slot that {pointer_view_name(view)} names.",
        owner=", ".join(view.owners),
        entities=entities,
        schema=fields,
        ttl=retention(view) + HORIZON,
        online=False,  # Feast serves it all the same, and `feast materialize` leaves it alone
        source=files,  # Feast asks for one; the state itself is written by `fill_online`
        tags={"code_version": view.code_version, "state_of": view.name},
    )


def _pointer_view(view: FeatureView, entities: list[Any], join_keys: list[Field], files: Any) -> FeastView:
    import feast
    from feast.types import Int64, String

    return feast.FeatureView(
        name=pointer_view_name(view),
        description=f"Which slot of the recent events of {view.name} counts, in one row.",
        owner=", ".join(view.owners),
        entities=entities,
        schema=[
            *join_keys,
            feast.Field(name=SLOT, dtype=String),
            feast.Field(name=STATE_DIGEST, dtype=String),
            feast.Field(name=UNTIL, dtype=String),
            feast.Field(name=ENTITIES, dtype=Int64),
        ],
        ttl=retention(view) + HORIZON,
        online=False,  # Feast serves it all the same, and `feast materialize` leaves it alone
        source=files,
        tags={"code_version": view.code_version, "state_of": view.name},
    )


def _feature_tags(feature: Feature) -> dict[str, str]:
    """What Feast itself cannot say about a feature."""
    tags: dict[str, str] = {"function": feature.function}
    if feature.column is not None:
        tags["column"] = feature.column
    if feature.window is not None:
        tags["window"] = format_duration(feature.window)
        tags["delay"] = format_duration(feature.delay)
        tags["include_current_row"] = str(feature.include_current_row).lower()
    for name in ("where", "numerator", "denominator", "expression"):
        if (said := getattr(feature, name)) is not None:
            tags[name] = said
    if feature.empty is not None:
        tags["empty"] = repr(feature.empty)
    if feature.hour is not None:
        tags["hour"] = str(feature.hour)
    return tags
