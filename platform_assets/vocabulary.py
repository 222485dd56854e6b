"""Metadata keys, tags, kinds and group names: nobody types one twice."""

from __future__ import annotations

import re

# metadata keys
ROWS = "dagster/row_count"
SECONDS = "seconds"
DIGEST = "platform/digest"
CODE_VERSION = "platform/code_version"
INPUTS_DIGEST = "platform/inputs_digest"
CAUSE = "platform/cause"
VERDICT = "evidence/verdict"
EVIDENCE_ID = "evidence/id"
EVIDENCE_REASON = "evidence/reason"
MODEL_VERSION = "model/version"
MODEL_DIGEST = "model/digest"
CHAMPION = "model/champion"
RETROACTIVE = "predictions/retroactive"
PSI = "drift/psi"
MISMATCHES = "parity/mismatches"

# columns the lake adds to raw and feature rows
AVAILABLE_AT = "_available_at"

# run and asset tags
PRODUCT_TAG = "platform/product"
SOURCE_TAG = "platform/source"
STAGE_TAG = "platform/stage"
FEAST_PROJECT_TAG = "platform/feast_project"
K8S_CONFIG = "dagster-k8s/config"
RANGE_START = "dagster/asset_partition_range_start"
RANGE_END = "dagster/asset_partition_range_end"
PARTITION_TAG = "dagster/partition"

# MLflow
CHAMPION_ALIAS = "champion"

# lake tables


def raw_table(source: str) -> str:
    """Lake table of a source's raw rows, one partition a day."""
    return f"raw/{source}"


def contract_table(source: str) -> str:
    """Lake table of the contracts that were in force for a source, one version each."""
    return f"contracts/{source}"


def feature_table(view: str) -> str:
    """Lake table of a feature view by its `lake_name`, one partition a day."""
    return f"features/{view}"


def online_table(view: str) -> str:
    """Lake table recording what a view's online store was filled with, by its `lake_name`."""
    return f"online/{view}"


def product_table(product: str, noun: str) -> str:
    """Lake table of one product's own noun: training_set, predictions, ..."""
    return f"products/{product}/{noun}"


def feast_table(project: str, noun: str, name: str) -> str:
    """Lake table of one part of a Feast user's repository: sources, views, online, training_sets."""
    return f"feast/{project}/{noun}/{plain_name(name)}"


def plain_name(name: str) -> str:
    """Feast's name of a view or a source with nothing but letters, digits and underscores.

    Asset keys and folders take no other; a file source without a name of its own is called by its path.

    >>> plain_name("data/driver_stats.parquet")
    'data_driver_stats_parquet'
    """
    return re.sub(r"[^A-Za-z0-9_]", "_", name)
