"""Gates: what must hold before a version becomes champion."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Literal

from pydantic import Field, model_validator

from platform_assets.declaration.declared import Declared
from platform_assets.declaration.owner import Person


class Waivable(Declared):
    """A gate whose failure named people may answer for; nobody may unless declared."""

    waivable_by: tuple[Person, ...] = Field(
        default=(), description="People who may waive this gate's failure, with a reason and an end."
    )

    def _demanding(self, what: str) -> str:
        waived = f" A failure may be waived by {', '.join(self.waivable_by)}." if self.waivable_by else ""
        return what + waived


class Floor(Waivable):
    """A metric must be at least this high on the test days."""

    kind: Literal["floor"]
    metric: str
    at_least: float = Field(ge=0, le=1)

    @property
    def key(self) -> str:
        return f"floor_{self.metric}"

    @property
    def demand(self) -> str:
        """What must hold, in one sentence with its limits."""
        return self._demanding(f"{self.metric} is at least {self.at_least:g} on the test days.")


class NotWorseThanChampion(Waivable):
    """Lower bound of the paired entity bootstrap of (candidate - champion) >= -margin."""

    kind: Literal["not_worse_than_champion"]
    metric: Literal["roc_auc", "average_precision"] = "average_precision"
    entity: str = Field(description="Entity resampled by the bootstrap.")
    margin: float = Field(default=0.02, ge=0, lt=1)
    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    resamples: int = Field(default=200, ge=50)

    @property
    def key(self) -> str:
        return self.kind

    @property
    def demand(self) -> str:
        """What must hold, in one sentence with its limits."""
        return self._demanding(
            f"{self.metric} is not below the champion's by more than {self.margin:g}: lower bound at "
            f"{self.confidence:.0%} of {self.resamples} paired resamples of {self.entity}."
        )


class ContractHolds(Declared):
    """Every raw day that reaches the training or test rows passed its contract or is waived."""

    kind: Literal["contract"]

    @property
    def key(self) -> str:
        return self.kind

    @property
    def demand(self) -> str:
        """What must hold, in one sentence with its limits."""
        return "Every raw day that reaches the training or test rows passed its contract or is waived."


class FeatureEquality(Waivable):
    """An independent implementation recomputes the features of a key-hash sample."""

    kind: Literal["feature_equality"]
    entities: int = Field(default=200, ge=1, description="Entities of each kind in the sample.")
    tolerance: float = Field(default=1e-9, ge=0)

    @property
    def key(self) -> str:
        return self.kind

    @property
    def demand(self) -> str:
        """What must hold, in one sentence with its limits."""
        return self._demanding(
            f"An independent implementation finds the same features for {self.entities} entities "
            f"of each kind."
        )


class NoLeakage(Waivable):
    """Nothing changes when source and labels are cut at what was available; no single column tells all."""

    kind: Literal["leakage"]
    rows: int = Field(default=200, ge=1, description="Training rows recomputed on cut sources.")
    single_column_limit: float = Field(default=0.8, gt=0, le=1, description="Average precision.")
    allow: tuple[str, ...] = Field(default=(), description="Columns that may exceed the limit.")

    @property
    def key(self) -> str:
        return self.kind

    @property
    def demand(self) -> str:
        """What must hold, in one sentence with its limits."""
        allowed = f" but {', '.join(self.allow)}" if self.allow else ""
        return self._demanding(
            f"Nothing changes for {self.rows} rows when source and labels are cut at what was available; no "
            f"single input{allowed} has an average precision above {self.single_column_limit:g}."
        )


class Parity(Waivable):
    """Served values equal training values at the same moment."""

    kind: Literal["parity"]
    requests: int = Field(default=500, ge=1, description="Requests in the key-hash sample, about.")
    tolerance: float = Field(default=1e-9, ge=0)
    at_most: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="Share of requests, and of a view's entities, that may differ.",
    )

    @property
    def key(self) -> str:
        return self.kind

    @property
    def demand(self) -> str:
        """What must hold, in one sentence with its limits."""
        share = f"at most {100 * self.at_most:g}%" if self.at_most else "none"
        return self._demanding(
            f"Values served equal training values at the same moment: {share} of about {self.requests} "
            f"requests, and of each view's entities, may differ."
        )


class Approval(Declared):
    """Named people say yes to this version on exactly the evidence of the other gates."""

    kind: Literal["approval"]
    approvers: tuple[Person, ...] = Field(min_length=1, description="Who may approve.")
    count: int = Field(default=1, ge=1, description="How many different approvers it takes.")

    @model_validator(mode="after")
    def _enough_approvers(self) -> Approval:
        if self.count > len(set(self.approvers)):
            raise ValueError(
                f"count: {self.count} approvals are asked for and {len(set(self.approvers))} approvers named"
            )
        return self

    @property
    def key(self) -> str:
        return self.kind

    @property
    def demand(self) -> str:
        """What must hold, in one sentence with its limits."""
        return (
            f"{self.count} of {', '.join(self.approvers)} approve this version, "
            f"on exactly the evidence of the other gates."
        )


Gate = Annotated[
    Floor | NotWorseThanChampion | ContractHolds | FeatureEquality | NoLeakage | Parity | Approval,
    Field(discriminator="kind"),
]

REQUIRED = ("floor", "not_worse_than_champion", "contract", "feature_equality", "leakage", "parity")


def gates_are_complete(gates: Sequence[Gate], metrics: Iterable[str]) -> None:
    """Raise ValueError unless every required kind of gate is there once and floors name metrics."""
    kinds = [gate.kind for gate in gates]
    missing = [kind for kind in REQUIRED if kind not in kinds]
    if missing:
        raise ValueError(f"gates: missing {', '.join(missing)}; every product declares all of {REQUIRED}")
    keys = [gate.key for gate in gates]
    twice = sorted({key for key in keys if keys.count(key) > 1})
    if twice:
        raise ValueError(f"gates: declared twice: {', '.join(twice)}")
    known = list(metrics)
    for gate in gates:
        if isinstance(gate, Floor) and gate.metric not in known:
            raise ValueError(f"gates: floor on {gate.metric!r}, which is not among metrics {known}")
