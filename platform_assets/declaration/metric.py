"""Metrics by name."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, GetJsonSchemaHandler, model_validator
from pydantic_core import CoreSchema

from platform_assets.declaration.declared import Declared


class Metric(Declared):
    """`roc_auc`, `average_precision`, or `card_precision` of an entity at k a day."""

    kind: Literal["roc_auc", "average_precision", "card_precision"]
    k: int | None = Field(default=None, ge=1)
    entity: str | None = None

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """In YAML a metric is an object, or the bare name of one without parameters."""
        names = {"type": "string", "enum": ["roc_auc", "average_precision"]}
        return {"anyOf": [names, handler.resolve_ref_schema(handler(core_schema))]}

    @property
    def key(self) -> str:
        """The name under which the value is reported: `card_precision_100`."""
        return f"{self.kind}_{self.k}" if self.k else self.kind

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, value: Any) -> Any:
        return {"kind": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _fields_fit_kind(self) -> Metric:
        if self.kind == "card_precision" and (self.k is None or self.entity is None):
            raise ValueError(
                "card_precision needs k and entity, such as {kind: card_precision, k: 100, entity: customer}"
            )
        if self.kind != "card_precision" and (self.k is not None or self.entity is not None):
            raise ValueError(f"k and entity are for card_precision; {self.kind} takes neither")
        return self
