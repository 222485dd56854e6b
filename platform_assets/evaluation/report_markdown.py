"""An evaluation for the Dagster UI: Markdown with small drawings inside, and plain rows for tables."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from platform_assets.evaluation.sparkline import curve, sparkline

LOWEST = 1e-4  # left and lower end of the calibration drawing, a log scale up to 1


def evaluation_markdown(payload: Mapping[str, Any]) -> str:
    """Metrics with the days behind them, then precision-recall, ROC and calibration side by side.

    `payload` is an evaluation report's. What could not be measured is told first, with its reason.
    """
    lines = []
    if payload["unmeasured"]:
        lines += [f"**Not measured: {payload['unmeasured']}**", ""]
    lines += [_rows_told(payload), "", "| metric | value | by day |", "|---|---:|---|"]
    for name, value in payload["metrics"].items():
        days = payload["card_days"].get(name, {}).get("days", [])
        line = f"![{name} by day]({sparkline([day['precision'] for day in days])})" if days else ""
        told = "not measured" if value is None else f"**{value:.4f}**"
        lines.append(f"| {name} | {told} | {line} |")
    drawn = _drawings(payload)
    if drawn:
        lines += ["", _row([name for name, _ in drawn]), _row(["---"] * len(drawn))]
        lines += [_row([f"![{name}]({uri})" for name, uri in drawn])]
    return "\n".join(lines)


def curve_markdown(payload: Mapping[str, Any]) -> dict[str, str]:
    """One drawing each, by name: below 1,000 characters, so that the UI shows them without a click."""
    return {name: f"![{name}]({uri})" for name, uri in _drawings(payload)}


def _drawings(payload: Mapping[str, Any]) -> list[tuple[str, str]]:
    curves = payload["curves"]
    return [
        (name, uri)
        for name, there, uri in (
            ("precision (up) by recall", curves["precision_recall"], curve(curves["precision_recall"])),
            ("ROC", curves["roc"], curve(curves["roc"], diagonal=True)),
            ("calibration, log scale", curves["calibration"], _calibration(curves["calibration"])),
        )
        if there
    ]


def metric_rows(payload: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One plain row a metric: metric, value (empty when not measured), note."""
    return [
        {
            "metric": name,
            "value": "" if value is None else f"{value:.6f}",
            "note": payload["unmeasured"] or "" if value is None else "",
        }
        for name, value in payload["metrics"].items()
    ]


def card_day_rows(payload: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One plain row a card precision metric and test day."""
    return [{"metric": name, **day} for name, table in payload["card_days"].items() for day in table["days"]]


def calibration_rows(payload: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One plain row a group of scores: rows, positives, mean score, observed share."""
    return [dict(group) for group in payload["curves"]["calibration"]]


def _rows_told(payload: Mapping[str, Any]) -> str:
    parts = [
        f"{name} {payload[f'{name}_rows']:,} rows, {payload[f'{name}_positives']:,} positive"
        + (f" ({days[0]} to {days[-1]})" if days else "")
        for name, days in (("train", payload["train_days"]), ("test", payload["test_days"]))
    ]
    return "; ".join(parts)


def _calibration(bins: Sequence[Mapping[str, float]]) -> str:
    points = [[_on_log_scale(b["mean_score"]), _on_log_scale(b["observed"])] for b in bins]
    return curve(points, diagonal=True, marks=True)


def _on_log_scale(share: float) -> float:
    return 1 - math.log10(max(share, LOWEST)) / math.log10(LOWEST)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
