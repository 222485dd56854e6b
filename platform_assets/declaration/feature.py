"""One feature: of a window over rows, of the row itself, or made of other features."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Literal, get_args

from pydantic import Field, SerializerFunctionWrapHandler, field_validator, model_serializer, model_validator

from platform_assets.declaration.declared import Declared
from platform_assets.declaration.duration import Duration
from platform_assets.declaration.expression import Arithmetic, Name, Node, is_condition, names_in, text_of
from platform_assets.declaration.expression_parser import parsed
from platform_assets.errors import DeclarationError

WindowFunction = Literal[
    "count", "sum", "mean", "min", "max", "stddev", "distinct_count", "last", "time_since_last"
]
RowFunction = Literal["weekend", "hour_at_most", "value"]
DerivedFunction = Literal["ratio", "expression"]
SqlFunction = Literal["sql"]
WINDOW_FUNCTIONS = get_args(WindowFunction)
ROW_FUNCTIONS = get_args(RowFunction)
COUNTS = ("count", "distinct_count")
"""Functions whose value over no rows is 0; that of every other is null."""
_LATER = ("where", "numerator", "denominator", "expression", "dtype")
"""Fields that came later: where they say nothing they are not in the record, whose digest stays."""


class Feature(Declared):
    """One feature column.

    Window functions look at the entity's rows with event timestamps in (t - delay - window, t - delay] of
    which `where` is true; rows with equal timestamps see each other. `count`, `sum`, `mean`, `min`, `max`;
    `stddev` (of a sample: null under two values); `distinct_count`; `last` (the newest value; of equal
    timestamps the one with the largest primary key); `time_since_last` (seconds since the entity's newest
    other row). Row functions read the row itself: `weekend` (Saturday or Sunday), `hour_at_most` (hour <=
    `hour`), `value` (the column as it is). `ratio` divides two features of the same view; `expression`
    computes with columns of the row and features of the same view. `sql` is a column of the view's `sql`.
    """

    name: str
    description: str = ""
    function: Literal[WindowFunction, RowFunction, DerivedFunction, SqlFunction]
    column: str | None = None
    window: Duration | None = None
    delay: Duration = timedelta()
    include_current_row: bool = True
    where: str | None = Field(default=None, description="Only rows of which this is true: amount > 100.")
    empty: float | None = Field(
        default=None, description="Value when there is none: the window holds no rows."
    )
    hour: int | None = Field(default=None, ge=0, le=23)
    numerator: str | None = Field(default=None, description="Of a ratio: a feature of the same view.")
    denominator: str | None = Field(default=None, description="Of a ratio: a feature of the same view.")
    expression: str | None = Field(default=None, description="Such as (amount - mean_30d) / stddev_30d.")
    dtype: Literal["int64", "float64"] | None = Field(default=None, description="Type of a column of sql.")

    @property
    def is_window(self) -> bool:
        return self.function in WINDOW_FUNCTIONS

    @property
    def is_derived(self) -> bool:
        """Whether it is computed from other features of its view, or from several columns of the row."""
        return self.formula is not None

    @property
    def type(self) -> str:
        """`int64` for counts, flags and conditions; `float64` otherwise; a column of sql says it."""
        if self.dtype is not None:
            return self.dtype
        if self.function in (*COUNTS, "weekend", "hour_at_most"):
            return "int64"
        return "int64" if self.formula is not None and is_condition(self.formula) else "float64"

    @property
    def condition(self) -> Node | None:
        """What `where` says of a row."""
        return None if self.where is None else parsed(self.where)

    @property
    def formula(self) -> Node | None:
        """What a ratio or an expression computes."""
        if self.numerator is not None and self.denominator is not None:
            return Arithmetic("/", Name(self.numerator), Name(self.denominator))
        return None if self.expression is None else parsed(self.expression)

    @property
    def leaves_out_own_row(self) -> bool:
        """Whether the row itself stands in the window's time and does not count."""
        return not self.delay and (not self.include_current_row or self.function == "time_since_last")

    @property
    def names(self) -> tuple[str, ...]:
        """Columns, and features of the same view, that it names itself."""
        column = () if self.column is None else (self.column,)
        nodes = [node for node in (self.condition, self.formula) if node is not None]
        return tuple(dict.fromkeys((*column, *(name for node in nodes for name in names_in(node)))))

    @field_validator("where", "expression")
    @classmethod
    def _one_way_to_write_it(cls, text: str | None) -> str | None:
        try:
            return None if text is None else text_of(parsed(text))
        except DeclarationError as error:
            raise ValueError(str(error)) from None

    @model_validator(mode="after")
    def _fields_fit_function(self) -> Feature:
        where = f"feature {self.name!r}: function {self.function}"
        self._check_window(where)
        if self.function == "hour_at_most" and self.hour is None:
            raise ValueError(f"{where} needs an hour, such as 6")
        if self.function == "value" and self.column is None:
            raise ValueError(f"{where} needs a column")
        if self.dtype is not None and self.function != "sql":
            raise ValueError(f"{where} has its own type; take dtype out")
        if self.function in ("time_since_last", "ratio", "expression", "sql") and self.column is not None:
            raise ValueError(f"{where} takes no column")
        for name in ("numerator", "denominator"):
            if (getattr(self, name) is None) == (self.function == "ratio"):
                needs = f"needs a {name}, a feature of the same view" if self.function == "ratio" else ""
                raise ValueError(f"{where} {needs or f'takes no {name}'}")
        if (self.expression is None) == (self.function == "expression"):
            needs = "needs an expression, such as amount / mean_30d" if self.expression is None else ""
            raise ValueError(f"{where} {needs or 'takes no expression'}")
        if self.function == "expression" and self.empty is not None:
            raise ValueError(f"{where} takes no empty; write coalesce(..., {self.empty:g})")
        return self

    def _check_window(self, where: str) -> None:
        if not self.is_window:
            if self.window is not None or self.delay:
                raise ValueError(f"{where} reads the row itself and takes no window or delay")
            if self.where is not None:
                raise ValueError(f"{where} takes no where; it is for windows")
            return
        if not self.window:
            raise ValueError(f"{where} needs a window, such as 7d")
        if self.function not in ("count", "time_since_last") and self.column is None:
            raise ValueError(f"{where} needs a column")
        if self.hour is not None:
            raise ValueError(f"{where} takes no hour")
        if self.function == "time_since_last" and "include_current_row" in self.model_fields_set:
            raise ValueError(f"{where} never counts the row itself; leave include_current_row out")

    @model_serializer(mode="wrap")
    def _without_silent_fields(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        held: dict[str, Any] = dump(self)
        return {name: value for name, value in held.items() if name not in _LATER or value is not None}
