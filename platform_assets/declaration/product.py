"""A model product: what a squad declares and everything else follows from."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Literal

from pydantic import Field, model_validator

from platform_assets.declaration.compute import Compute
from platform_assets.declaration.declared import NAME_LENGTH, Declared, fingerprint_of
from platform_assets.declaration.duration import Duration
from platform_assets.declaration.estimator import Estimator
from platform_assets.declaration.evaluation import Evaluation
from platform_assets.declaration.gate import Gate, gates_are_complete
from platform_assets.declaration.metric import Metric
from platform_assets.declaration.monitor import DriftMonitor, HindsightMonitor
from platform_assets.declaration.owner import Owner
from platform_assets.declaration.schedule import CronSchedule
from platform_assets.errors import UnknownName

ASSET_PREFIXES = ("raw", "features")


class Label(Declared):
    """The column to predict, and when it becomes known."""

    column: str
    delay: Duration = Field(description="Event timestamp + delay = when the label is available.")
    available_at: str | None = Field(default=None, description="Column that tells it, instead of delay.")


class Split(Declared):
    """Train n days, wait for the labels, test m days.

    `fixed` starts at `train_start`; `rolling` ends with the newest complete day of raw data.
    """

    kind: Literal["fixed", "rolling"] = "rolling"
    train_start: date | None = None
    train_days: int = Field(ge=1)
    delay_days: int = Field(ge=0)
    test_days: int = Field(ge=1)
    remove_known: str | None = Field(
        default=None, description="Entity whose members known to be positive leave the test days."
    )
    reading: Literal["as_known_now", "as_known_then"] = "as_known_now"

    @model_validator(mode="after")
    def _start_fits_kind(self) -> Split:
        if (self.kind == "fixed") != (self.train_start is not None):
            raise ValueError("split: train_start is needed by kind fixed, and only there")
        return self


class Schedule(CronSchedule):
    """When the product's chain is looked at, whatever happened in between."""

    cooldown: Duration = Field(
        default=timedelta(hours=1), description="What stays red is asked again after this long."
    )


class Product(Declared):
    """One model product, as its squad declares it in `defs.yaml` or in Python."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=NAME_LENGTH)
    description: str = ""
    owners: tuple[Owner, ...] = Field(min_length=1)
    source: str
    contract: str | None = Field(
        default=None, description="The contract the squad relies on; must be the source's own."
    )
    entities: tuple[str, ...] = Field(min_length=1)
    feature_views: tuple[str, ...] = ()
    inputs: tuple[str, ...] = Field(
        min_length=1,
        description="In order: raw columns, feature views (all their features), or view:feature.",
    )
    label: Label
    split: Split
    estimator: Estimator
    metrics: tuple[Metric, ...] = Field(min_length=1)
    gates: tuple[Gate, ...]
    evaluation: Evaluation = Evaluation()
    hindsight: HindsightMonitor = HindsightMonitor()
    drift: DriftMonitor = DriftMonitor()
    schedule: Schedule = Schedule()
    compute: dict[str, Compute] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _is_consistent(self) -> Product:
        if self.name in ASSET_PREFIXES:
            raise ValueError(f"name: assets of other kinds begin with {self.name}/; choose another name")
        for field in ("entities", "feature_views"):
            listed = getattr(self, field)
            if twice := sorted({name for name in listed if listed.count(name) > 1}):
                raise ValueError(f"{field}: named twice: {', '.join(twice)}")
        for view in {name.split(":")[0] for name in self.inputs if ":" in name}:
            if view not in self.feature_views:
                near = UnknownName.among("view", view, self.feature_views)
                raise ValueError(f"inputs: {near} (inputs take views that feature_views names)")
        names = [metric.key for metric in self.metrics]
        if len(set(names)) != len(names):
            twice = sorted({name for name in names if names.count(name) > 1})
            raise ValueError(f"metrics: declared twice: {', '.join(twice)}")
        gates_are_complete(self.gates, names)
        calibration = self.estimator.calibration
        if calibration and (calibration.last_days or 0) >= self.split.train_days:
            raise ValueError(
                f"estimator.calibration.last_days: {calibration.last_days} of {self.split.train_days} train "
                f"days (split.train_days) leave none to fit the model on"
            )
        for asset in self.compute:
            if asset not in PRODUCT_ASSETS:
                raise ValueError(f"compute: {UnknownName.among('asset', asset, PRODUCT_ASSETS)}")
        if self.split.remove_known and self.split.remove_known not in self.entities:
            near = UnknownName.among("entity of the product", self.split.remove_known, self.entities)
            raise ValueError(f"split.remove_known: {near}")
        return self

    @property
    def training_version(self) -> str:
        """Changes when a different training set would be built."""
        return fingerprint_of(
            self.model_dump(
                mode="json", include={"name", "source", "feature_views", "inputs", "label", "split"}
            )
        )

    @property
    def estimator_version(self) -> str:
        """Changes when a different model would be fitted on the same training set."""
        return self.estimator.fingerprint()

    @property
    def gates_version(self) -> str:
        """Changes when a gate is added, removed or moved."""
        return fingerprint_of([gate.model_dump(mode="json") for gate in self.gates])


PRODUCT_ASSETS = (
    "training_set",
    "training_run",
    "evaluation_report",
    "hindsight_report",
    "registered_model",
    "parity_report",
    "promotion",
    "predictions",
    "drift_report",
)
