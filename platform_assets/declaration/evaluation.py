"""What an evaluation looks at beyond the metrics: intervals, budget, costs, slices, folds."""

from __future__ import annotations

from pydantic import Field, model_validator

from platform_assets.declaration.declared import Declared


class ReviewBudget(Declared):
    """Rows a day that people can look at: those with the highest scores of the day."""

    per_day: int = Field(ge=1)


class Costs(Declared):
    """What decisions cost, in the unit of `amount`; the threshold is where they cost least.

    A positive that passes costs its amount. A row that is stopped costs `review`, and `false_alarm`
    on top when it was no positive.
    """

    amount: str = Field(description="Column of the source: what is lost when a positive passes.")
    false_alarm: float = Field(ge=0)
    review: float = Field(default=0.0, ge=0)

    @model_validator(mode="after")
    def _something_costs(self) -> Costs:
        if self.false_alarm + self.review == 0:
            raise ValueError(
                "costs: with neither false_alarm nor review, stopping every row would be cheapest"
            )
        return self


class Slice(Declared):
    """Test rows to be looked at on their own: a column that `equals`, or lies in [at_least, below)."""

    name: str
    column: str
    equals: bool | int | float | str | None = None
    at_least: float | None = None
    below: float | None = None

    @model_validator(mode="after")
    def _one_condition(self) -> Slice:
        ranged = self.at_least is not None or self.below is not None
        if ranged == (self.equals is not None):
            raise ValueError(
                f"slice {self.name!r}: declare either equals, or at_least and below, or one of them"
            )
        if self.at_least is not None and self.below is not None and self.at_least >= self.below:
            raise ValueError(f"no row is at least {self.at_least:g} and below {self.below:g}")
        return self

    def unfit(self, column_type: str) -> str:
        """Why it cannot be asked of a column of that type; nothing when it can."""
        column = f"column {self.column!r} is declared {column_type}"
        if self.equals is None:
            fits = column_type in ("int64", "float64", "bool")
            return "" if fits else f"{column}, which has no at_least and below; say what it equals"
        if column_type == "timestamp":
            return f"{column}; slices are of numbers, texts and flags"
        if isinstance(self.equals, str) == (column_type == "string"):
            return ""
        wanted = "put the text in quotes" if column_type == "string" else "write a number"
        return f"{column}, and nothing in it equals {self.equals!r}; {wanted}"


class SliceSearch(Declared):
    """Where does the model miss more than elsewhere? Conjunctions of up to `depth` conditions.

    Numbers are cut into `bins` of equal mass. Only slices with `min_rows` test rows and
    `min_positives` are judged; of those the ones that a false discovery rate allows are named.
    """

    columns: tuple[str, ...] = Field(default=(), description="Default: all inputs.")
    bins: int = Field(default=4, ge=2, le=50)
    depth: int = Field(default=2, ge=1, le=2)
    min_rows: int = Field(default=500, ge=1)
    min_positives: int = Field(default=20, ge=1)
    false_discovery_rate: float = Field(default=0.05, gt=0, lt=1)
    listed: int = Field(default=10, ge=1)


class Evaluation(Declared):
    """How closely a model is looked at. Everything has a default; unset parts are left out."""

    entity: str | None = Field(
        default=None, description="Resampled for the intervals; default: the product's first entity."
    )
    resamples: int = Field(default=200, ge=50)
    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    review_budget: ReviewBudget | None = None
    costs: Costs | None = None
    slices: tuple[Slice, ...] = ()
    slice_search: SliceSearch | None = None
    folds: int = Field(
        default=0,
        ge=0,
        le=100,
        description="Earlier splits, each test_days further back, trained and tested alike.",
    )

    @model_validator(mode="after")
    def _names_once(self) -> Evaluation:
        names = [each.name for each in self.slices]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"slices: declared twice: {', '.join(twice)}")
        return self
