"""A code location with one product declared outside the package, for the daemon test."""

from __future__ import annotations

import os
from pathlib import Path

from platform_assets.components.model_product import product_definitions, read_product
from platform_assets.definitions import in_environment
from platform_assets.environments import environment

FILE = Path(os.environ["CLINIC_DEFS"])

defs = in_environment(environment(), product_definitions(read_product(FILE), FILE))
