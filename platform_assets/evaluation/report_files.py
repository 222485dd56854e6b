"""What an evaluation leaves for people and other programs: `reports/<product>/` below the home."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from platform_assets.lake.atomic_files import exclusive_lock, write_atomically
from platform_assets.stores import Stores

METRICS_FILE = "metrics.json"
PAGE = "evidently.html"

logger = logging.getLogger(__name__)


def report_folder(stores: Stores, product: str) -> Path:
    """Where a product's figures, plots and page lie."""
    return stores.home.reports / product


def write_report_files(
    stores: Stores,
    product: str,
    figures: Mapping[str, Any],
    drawings: Mapping[str, Callable[[Path], object]],
) -> dict[str, str]:
    """Draw, then write `metrics.json`; returns by drawing "" or why it could not be drawn.

    One evaluation writes at a time and every file appears by one rename, the figures last: a reader sees
    whole files only. A drawing that fails decides nothing: it is told,
    and the evaluation goes on.
    """
    folder = report_folder(stores, product)
    folder.mkdir(parents=True, exist_ok=True)
    told = {}
    with exclusive_lock(stores.home.locks / f"reports-{product}.lock"):
        for name, draw in drawings.items():
            try:
                draw(folder)
                told[name] = ""
            except Exception as error:  # whatever a drawing library raises
                told[name] = f"{type(error).__name__}: {str(error).strip()[:300]}"
                logger.warning("%s: %s could not be drawn: %s", product, name, told[name])
        write_atomically(folder / METRICS_FILE, (json.dumps(figures, indent=1) + "\n").encode())
    return told


def read_metrics(stores: Stores, product: str) -> dict[str, Any] | None:
    """The newest `metrics.json` of a product; None when there is none."""
    try:
        figures: dict[str, Any] = json.loads((report_folder(stores, product) / METRICS_FILE).read_bytes())
    except FileNotFoundError:
        return None
    return figures
