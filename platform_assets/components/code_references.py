"""Where an asset is declared, for the link that the web UI opens in an editor."""

from __future__ import annotations

from pathlib import Path

import dagster as dg


def declared_in(asset: dg.AssetsDefinition, file: Path, line: int) -> dg.AssetsDefinition:
    """The same asset with a link to its own declaration, before that of the component that makes it."""
    reference = dg.LocalFileCodeReference(file_path=str(file), line_number=line, label=file.name)
    links = {"dagster/code_references": dg.CodeReferencesMetadataValue(code_references=[reference])}
    return asset.map_asset_specs(lambda spec: spec.merge_attributes(metadata=links))
