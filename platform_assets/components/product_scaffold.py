"""`dg scaffold defs platform_assets.components.ModelProduct my_model`: a product that runs as it is."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
from pydantic import BaseModel, Field

from platform_assets.components.repositories import location_of, repository
from platform_assets.components.scaffolds import check_request, filled, told_plainly
from platform_assets.declaration.duration import format_duration, parse_duration
from platform_assets.declaration.product import Label, Product
from platform_assets.declaration.repository import Repository
from platform_assets.declaration.source import Source
from platform_assets.declaration.yaml_reader import read_yaml
from platform_assets.errors import DeclarationError, UnknownName

PACKAGED_DEFS = Path(__file__).resolve().parent.parent / "defs"


class ProductStart(BaseModel):
    """What a product's start can be told."""

    source: str = Field(default="card_transactions", description="Declared source of its rows.")
    label: str = Field(default="", description="Column to predict; default: as another product has it.")
    label_delay: str = Field(default="1d", description="When the label is known after the event.")
    owner: str = Field(default="team:my_squad", description="team:<name> or an e-mail address.")


class ProductScaffolder(dg.Scaffolder[ProductStart]):
    """Writes a commented `defs.yaml` with every feature view of the source as input."""

    @classmethod
    def get_scaffold_params(cls) -> type[ProductStart]:
        return ProductStart

    def scaffold(self, request: dg.ScaffoldRequest[ProductStart]) -> None:
        """Write `defs.yaml`, checked against what is declared; else click.ClickException, and nothing."""
        with told_plainly(request.target_path):
            self._write(request)

    def _write(self, request: dg.ScaffoldRequest[ProductStart]) -> None:
        told = request.params
        name = check_request(request, told.owner)
        file = request.target_path / "defs.yaml"
        declared = repository(location=location_of(file))
        source = declared.source(told.source)
        label = _label(source, told, [PACKAGED_DEFS, location_of(file)], declared)
        views = [view for view in declared.feature_views.values() if view.source == source.name]
        entities = list(dict.fromkeys(name for view in views for name in view.entities)) or [
            e.name for e in declared.entities.values() if e.join_key in source.column_names
        ]
        columns = [c.name for c in source.columns if c.type == "float64" and c.name != label.column]
        if not entities:
            raise DeclarationError(f"source {source.name!r}: declare an entity first: whom are rows about?")
        if not views and not columns:
            raise DeclarationError(
                f"source {source.name!r}: declare a feature view first; nothing is an input"
            )
        inputs = [*columns, *(view.name for view in views)]
        text = filled(
            "product.yaml",
            type=request.type_name,
            name=name,
            owner=told.owner,
            source=source.name,
            start=source.start.isoformat(),
            entities=", ".join(entities),
            entity=entities[0],
            views=", ".join(view.name for view in views),
            inputs=", ".join(inputs),
            label=label.column,
            delay=format_duration(label.delay),
            delay_days=str(-(-label.delay // parse_duration("1d"))),
        )
        file.write_text(text, encoding="utf-8")
        try:
            declared.check_product(read_yaml(file, Product, inside="attributes"))
        except DeclarationError:
            file.unlink()
            raise


def _label(source: Source, told: ProductStart, places: list[Path | None], declared: Repository) -> Label:
    """The label as told, or as another product on the same source has it."""
    if told.label:
        if told.label not in source.column_names:
            raise UnknownName.among("label column", told.label, source.column_names)
        try:
            return Label(column=told.label, delay=parse_duration(told.label_delay))
        except ValueError as error:
            raise DeclarationError(f"--label-delay: {error}") from None
    for place in filter(None, places):
        for file in sorted(place.rglob("defs.yaml")):
            if "ModelProduct" in file.read_text(encoding="utf-8"):
                product = read_yaml(file, Product, inside="attributes")
                if product.source == source.name:
                    return product.label
    keys = {*source.primary_key, *(entity.join_key for entity in declared.entities.values())}
    columns = [c.name for c in source.columns if c.type in ("int64", "bool") and c.name not in keys]
    raise DeclarationError(
        f"source {source.name!r}: say which column is to be predicted: --label {' | '.join(columns) or '...'}"
    )
