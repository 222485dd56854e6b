"""What `feast apply` in this folder sees: the views declared in the YAML files beside it, as Feast objects.

It needs no Dagster and no server, only PLATFORM_HOME, which feature_store.yaml names too.
"""

from __future__ import annotations

import os
from pathlib import Path

from platform_assets.declaration.repository import read_repository
from platform_assets.errors import DeclarationError
from platform_assets.home import HOME_VARIABLE, Home
from platform_assets.online.feast_objects import feast_objects
from platform_assets.stores import Stores
from platform_assets.vocabulary import feature_table

if not Path(os.environ.get(HOME_VARIABLE, "")).is_absolute():
    raise DeclarationError(
        f"feature_repo: set {HOME_VARIABLE} to the full path of the platform's home before calling feast, "
        f"for example {HOME_VARIABLE}=$PWD/.platform"
    )

_home = Home.from_environment()
_home.feast.mkdir(parents=True, exist_ok=True)
_lake = Stores.at(_home).lake

# Feast collects objects by module attribute, not out of lists
for _found in feast_objects(
    read_repository([Path(__file__).parent]),
    lambda view: _lake.table(feature_table(view.lake_name)).stable_folder(),
):
    globals()[f"{type(_found).__name__}_{_found.name}"] = _found
