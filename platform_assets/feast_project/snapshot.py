"""What a Feast repository declares, as plain data: all that loading the code location needs to know.

It is read without Feast, so the graph is drawn without importing it. A snapshot is made by
`repo_reader`, in a process of its own, and kept by `snapshot_cache`.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from platform_assets.errors import DeclarationError, UnknownName
from platform_assets.lake.digest import document_digest

FORMAT = 1
"""Grows when the layout changes; a snapshot of another format is made anew."""


@dataclass(frozen=True)
class Field:
    """A feature or a request value: its name and Feast's name of its type, such as Float32."""

    name: str
    type: str
    description: str = ""


@dataclass(frozen=True)
class Source:
    """Where rows come from; `path` for files, `batch_source` for push and stream sources."""

    name: str
    type: str
    timestamp_field: str = ""
    created_timestamp_column: str = ""
    path: str = ""
    field_mapping: Mapping[str, str] = dataclasses.field(default_factory=dict)
    batch_source: str = ""


@dataclass(frozen=True)
class View:
    """A feature view with a batch source; `ttl` in seconds, 0 for no limit."""

    name: str
    entities: tuple[str, ...]
    join_keys: tuple[str, ...]
    features: tuple[Field, ...]
    source: str
    ttl: float
    online: bool
    description: str = ""
    owner: str = ""
    pushed_by: str = ""

    @property
    def version(self) -> str:
        """Changes with what the view holds, not with what is said about it."""
        said = dataclasses.asdict(dataclasses.replace(self, description="", owner=""))
        for field in said["features"]:
            field["description"] = ""
        return document_digest(said)[:16]


@dataclass(frozen=True)
class OnDemandView:
    """Features computed at request time from other views and from the request itself.

    `code` is a digest over the function's text.
    """

    name: str
    features: tuple[Field, ...]
    views: tuple[str, ...]
    request: tuple[Field, ...]
    mode: str = ""
    code: str = ""
    description: str = ""


@dataclass(frozen=True)
class Service:
    """Features of a model version: view name -> feature names, in their order."""

    name: str
    features: tuple[tuple[str, tuple[str, ...]], ...]
    description: str = ""


@dataclass(frozen=True)
class Snapshot:
    """One repository at one moment; `digest` is that of the files it was made from."""

    project: str
    digest: str
    made_from: str
    feast_version: str
    online_store: str
    offline_store: str
    sources: tuple[Source, ...] = ()
    views: tuple[View, ...] = ()
    on_demand_views: tuple[OnDemandView, ...] = ()
    services: tuple[Service, ...] = ()
    format: int = FORMAT

    @property
    def definitions_digest(self) -> str:
        """Over what is declared, whatever files and Feast version it was read with."""
        return document_digest(
            {**dataclasses.asdict(self), "digest": "", "made_from": "", "feast_version": ""}
        )

    def source(self, name: str) -> Source:
        """A source by name; UnknownName tells the nearest."""
        return _named("source", name, self.sources)

    def batch_source(self, view: View) -> Source:
        """The source with the view's history."""
        return self.source(view.source)

    def view(self, name: str) -> View:
        """A view with a batch source by name; UnknownName tells the nearest."""
        return _named("feature view", name, self.views)

    def chosen(self, names: Literal["all"] | tuple[str, ...]) -> list[View]:
        """The views that a declaration names; UnknownName tells the nearest, and which one it is."""
        if names == "all":
            return list(self.views)
        chosen = []
        for place, name in enumerate(names):
            try:
                chosen.append(self.view(name))
            except UnknownName as error:
                raise error.at("feature_views", place) from None
        return chosen

    def on_demand_view(self, name: str) -> OnDemandView:
        """An on-demand view by name; UnknownName tells the nearest."""
        return _named("on-demand view", name, self.on_demand_views)

    def service(self, name: str) -> Service:
        """A feature service by name; UnknownName tells the nearest."""
        return _named("feature service", name, self.services)

    def views_behind(self, names: Iterable[str]) -> list[View]:
        """The views with a batch source that the named views, on-demand ones too, are read from."""
        found: dict[str, View] = {}
        for name in names:
            on_demand = next((view for view in self.on_demand_views if view.name == name), None)
            for behind in on_demand.views if on_demand else (name,):
                found[behind] = self.view(behind)
        return list(found.values())

    def to_json(self) -> bytes:
        """Readable JSON, stable for equal snapshots."""
        return (json.dumps(dataclasses.asdict(self), indent=1, sort_keys=True) + "\n").encode()

    @classmethod
    def from_json(cls, content: bytes) -> Snapshot:
        """Read back what `to_json` wrote; DeclarationError when it is something else."""
        try:
            data: dict[str, Any] = json.loads(content)
            if data.get("format") != FORMAT:
                raise DeclarationError(f"format {data.get('format')!r}, this version reads {FORMAT}")
            return cls(
                **{
                    **data,
                    "sources": tuple(Source(**source) for source in data["sources"]),
                    "views": tuple(
                        View(
                            **{
                                **view,
                                "entities": tuple(view["entities"]),
                                "join_keys": tuple(view["join_keys"]),
                                "features": _fields(view["features"]),
                            }
                        )
                        for view in data["views"]
                    ),
                    "on_demand_views": tuple(
                        OnDemandView(
                            **{
                                **view,
                                "features": _fields(view["features"]),
                                "views": tuple(view["views"]),
                                "request": _fields(view["request"]),
                            }
                        )
                        for view in data["on_demand_views"]
                    ),
                    "services": tuple(
                        Service(
                            **{
                                **service,
                                "features": tuple((name, tuple(of)) for name, of in service["features"]),
                            }
                        )
                        for service in data["services"]
                    ),
                }
            )
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise DeclarationError(f"not a snapshot of a Feast repository: {error}") from None


_Named = TypeVar("_Named", Source, View, OnDemandView, Service)


def _named(kind: str, name: str, among: Iterable[_Named]) -> _Named:
    known = {item.name: item for item in among}
    if name not in known:
        raise UnknownName.among(kind, name, known)
    return known[name]


def _fields(plain: Iterable[Mapping[str, str]]) -> tuple[Field, ...]:
    return tuple(Field(**field) for field in plain)
