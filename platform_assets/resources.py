"""The one resource assets ask for: the platform's stores and the environment they live in."""

from __future__ import annotations

import os

import dagster as dg
from pydantic import Field

from platform_assets.environments import Environment, environment
from platform_assets.home import HOME_VARIABLE, ONLINE_VARIABLE
from platform_assets.stores import Stores


class PlatformResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Lake, evidence, ledger and home of the present environment.

    `home` overrides the environment's, for notebooks and tests.
    """

    home: str = Field(default="", description="Folder of the home; empty: the environment's own.")

    def environment(self) -> Environment:
        """The environment as it is now, read when asked."""
        if self.home:
            told = {HOME_VARIABLE: self.home, ONLINE_VARIABLE: os.environ.get(ONLINE_VARIABLE, "")}
            return environment(told)
        return environment()

    def stores(self) -> Stores:
        """The stores of the home."""
        return Stores.at(self.environment().home)
