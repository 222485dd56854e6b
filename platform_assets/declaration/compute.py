"""CPU and memory of an asset, as Kubernetes quantities."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

from pydantic import model_validator

from platform_assets.declaration.declared import Declared

# https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
_QUANTITY = re.compile(r"^(\d+(?:\.\d+)?)(m|k|M|G|T|Ki|Mi|Gi|Ti)?$")
_FACTORS: dict[str | None, Decimal] = {
    None: Decimal(1),
    "m": Decimal("0.001"),
    **{unit: Decimal(1000) ** (i + 1) for i, unit in enumerate(("k", "M", "G", "T"))},
    **{unit: Decimal(1024) ** (i + 1) for i, unit in enumerate(("Ki", "Mi", "Gi", "Ti"))},
}


def quantity(text: str) -> Decimal:
    """`500m` -> 0.5, `2Gi` -> 2147483648. Raises ValueError with the form expected.

    >>> quantity("500m")
    Decimal('0.500')
    """
    match = _QUANTITY.match(text)
    if match is None:
        raise ValueError(f"expected a Kubernetes quantity such as 500m, 2 or 4Gi, not {text!r}")
    return Decimal(match[1]) * _FACTORS[match[2]]


class Compute(Declared):
    """What an asset asks Kubernetes for; a limit defaults to its request."""

    cpu: str = "500m"
    memory: str = "1Gi"
    cpu_limit: str | None = None
    memory_limit: str | None = None

    @model_validator(mode="after")
    def _requests_fit_limits(self) -> Compute:
        for name, asked, limit in (
            ("cpu", self.cpu, self.cpu_limit),
            ("memory", self.memory, self.memory_limit),
        ):
            asked_for = quantity(asked)
            if limit is not None and quantity(limit) < asked_for:
                raise ValueError(f"compute: {name} request {asked} is above its limit {limit}")
        if quantity(self.memory) < 1024 * 1024:
            raise ValueError(f"compute: memory {self.memory!r} is below 1Mi; is a unit missing?")
        return self

    def k8s_config(self) -> dict[str, Any]:
        """The value of the tag `dagster-k8s/config`."""
        return {
            "container_config": {
                "resources": {
                    "requests": {"cpu": self.cpu, "memory": self.memory},
                    "limits": {
                        "cpu": self.cpu_limit or self.cpu,
                        "memory": self.memory_limit or self.memory,
                    },
                }
            }
        }
