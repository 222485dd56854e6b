"""Whether the features of a view make sense over the columns of its source."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from platform_assets.declaration.expression import names_in
from platform_assets.declaration.expression_types import KIND_OF_TYPE, Kind, check_condition, kind_of
from platform_assets.declaration.feature import Feature
from platform_assets.declaration.feature_view import FeatureView
from platform_assets.declaration.source import Column, Source
from platform_assets.declaration.view_parity import ViewParity
from platform_assets.errors import DeclarationError, UnknownName


def check_features(view: FeatureView, source: Source, join_keys: Collection[str]) -> None:
    """Raise DeclarationError, with its place in the view, for the first feature that makes none."""
    kinds = {column.name: KIND_OF_TYPE[column.type] for column in source.columns}
    if not view.online and view.parity != ViewParity():
        raise DeclarationError(
            "parity: limits of what is served, and the view says online: false; take them out"
        ).at("parity")
    identity = (*source.primary_key, source.event_timestamp, *join_keys)
    for number, feature in enumerate(view.features):
        if feature.name in identity:
            raise DeclarationError(
                f"feature {feature.name!r} is called as a key or the event timestamp of its rows; give it "
                f"another name"
            ).at("features", number, "name")
        if feature.column is not None and feature.column not in source.column_names:
            raise UnknownName.among(
                f"column for feature {feature.name!r} called", feature.column, source.column_names
            ).at("features", number, "column")
        if feature.column is not None and (told := _unfit(feature, source.column(feature.column))):
            raise DeclarationError(f"feature {feature.name!r}: {told}").at("features", number, "column")
        _check_expressions(view, feature, kinds, ("features", number))


def _unfit(feature: Feature, column: Column) -> str:
    """Why a function cannot be computed from a column; nothing when it can."""
    if feature.function in ("weekend", "hour_at_most", "count"):
        return ""
    if feature.function != "distinct_count":
        if column.type in ("int64", "float64", "bool"):
            return ""
        return f"function {feature.function} needs a number, and column {column.name!r} is a {column.type}"
    if column.type != "timestamp" and (column.type != "float64" or column.scale is not None):
        return ""
    fix = "declare its scale" if column.type == "float64" else "count another column"
    return (
        f"distinct_count needs whole numbers, decimals with a scale, texts or flags, and column "
        f"{column.name!r} is a {column.type}; {fix}"
    )


def _check_expressions(
    view: FeatureView, feature: Feature, columns: Mapping[str, Kind], place: tuple[str | int, ...]
) -> None:
    """Raise DeclarationError unless what a feature says about rows makes sense over the columns there are."""
    features = {other.name: KIND_OF_TYPE[other.type] for other in view.features}
    for field_name, node, kinds in (
        ("where", feature.condition, columns),
        ("expression", feature.formula if feature.expression else None, {**columns, **features}),
    ):
        if node is None:
            continue
        try:
            for name in names_in(node) if field_name == "expression" else ():
                if name in columns and name in features:
                    raise DeclarationError(
                        f"{name!r} is a column and a feature; give the feature another name"
                    )
            (check_condition if field_name == "where" else kind_of)(node, kinds)
        except DeclarationError as error:
            told = f"feature {feature.name!r}: {field_name}: {error}"
            raise type(error)(told).at(*place, field_name) from None
