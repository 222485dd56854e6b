"""An evaluation for the Dagster UI: Markdown with small drawings inside, and plain rows for tables."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from platform_assets.evaluation.plots import interval_told
from platform_assets.sparkline import curve, sparkline

SLICE_COLUMNS = (
    "slice", "recall", "recall_low", "recall_high", "found", "positives", "rows", "q", "how", "precision",
    "false_alarms", "roc_auc", "average_precision", "rate", "mean_score",
)  # fmt: skip
"""Of a slice, what the search goes by first: a table shows its first columns without a scroll."""
LOWEST = 1e-4  # left and lower end of the calibration drawing, a log scale up to 1


def evaluation_markdown(payload: Mapping[str, Any]) -> str:
    """Metrics with the days behind them, then precision-recall, ROC and calibration side by side.

    `payload` is an evaluation report's. What could not be measured is told first, with its reason.
    """
    lines = []
    if payload["unmeasured"]:
        lines += [f"**Not measured: {payload['unmeasured']}**", ""]
    lines += [_rows_told(payload), "", "| metric | value | interval | by day |", "|---|---:|---|---|"]
    for name, value in payload["metrics"].items():
        days = payload["card_days"].get(name, {}).get("days", [])
        line = f"![{name} by day]({sparkline([day['precision'] for day in days])})" if days else ""
        told = "not measured" if value is None else f"**{value:.4f}**"
        lines.append(f"| {name} | {told} | {interval_told(payload, name)} | {line} |")
    lines += _closer_look(payload.get("closer_look") or {})
    drawn = _drawings(payload)
    if drawn:
        lines += ["", _row([name for name, _ in drawn]), _row(["---"] * len(drawn))]
        lines += [_row([f"![{name}]({uri})" for name, uri in drawn])]
    return "\n".join(lines)


def _closer_look(look: Mapping[str, Any]) -> list[str]:
    """A line each: calibration, what is stopped, what it costs, where more is missed, how folds spread."""
    if not look or look["unmeasured"]:
        return []
    lines = [""]
    point = look["operating_point"]
    lines.append(
        f"- Stopping {point['stops']}: {point['stopped']:,} rows, precision {_share(point['precision'])}, "
        f"recall {_share(point['recall'])}"
    )
    if calibration := look["calibration"]:
        lines.append(
            f"- Calibration error {calibration['calibration_error']:.4f} (largest "
            f"{calibration['largest_calibration_error']:.3f}), Brier score {calibration['brier_score']:.5f}, "
            f"log loss {calibration['log_loss']:.4f}"
        )
    if budget := look["review_budget"]:
        lines.append(
            f"- Looking at {budget['per_day']} rows a day: precision {_share(budget['precision'])}, recall "
            f"{_share(budget['recall'])}"
        )
    if costs := look["costs"]:
        lines.append("- " + cost_told(costs))
    if folds := look["folds"]:
        lines += [
            f"- {name} over {told['splits']} of {told['of']} splits: mean {told['mean']:.4f}"
            + (f", deviation {told['deviation']:.4f}" if told["deviation"] is not None else "")
            for name, told in folds["with_this_one"].items()
            if told["mean"] is not None
        ]
        lines += [f"- fold {fold['test_days'][0]}: {fold['unmeasured']}" for fold in folds["splits"]
                  if fold["unmeasured"]]  # fmt: skip
    lines += [f"- {line}" for line in search_told(look["slices"]["search"])]
    return lines


def cost_told(costs: Mapping[str, Any]) -> str:
    """What the chosen threshold saves, misses and blocks, or why there is none."""
    if costs["unmeasured"]:
        return f"**No threshold: {costs['unmeasured']}**"
    days = costs["chosen_on"]["days"]
    at = "stopping nothing" if costs["threshold"] is None else f"threshold {costs['threshold']:.4f}"
    return (
        f"Least cost at {at} (chosen on {days[0]} to {days[1]}): {costs['amount_saved']:,.0f} saved, "
        f"{costs['amount_missed']:,.0f} missed, {costs['amount_blocked']:,.0f} blocked for nothing; cost "
        f"{costs['cost']:,.0f} against {costs['cost_of_nothing']:,.0f} with nothing stopped"
    )


def search_told(search: Mapping[str, Any] | None) -> list[str]:
    """The slices found, with how many were judged; a slice among hundreds is chance unless it is told so."""
    if search is None:
        return []
    judged = f"{search['judged']:,} slices judged of {search['searched']:,}"
    if not search["found"]:
        return [f"{judged}: in none is more missed than chance explains"]
    return [
        f"{judged}; more is missed in **{found['slice']}**: recall {_share(found['recall'])} of "
        f"{found['positives']} positives, {_share(search['overall_recall'])} overall (q {found['q']:.2g})"
        for found in search["found"][:3]
    ]


def slice_rows(payload: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One plain row a slice: the declared ones, then those found."""
    slices = (payload.get("closer_look") or {}).get("slices")
    if not slices:
        return []
    rows = [{"how": "declared", **each, "q": None} for each in slices["declared"]]
    rows += [{"how": "found", **each} for each in (slices["search"] or {}).get("found", ())]
    return [
        {name: "" if row.get(name) is None else row[name] for name in SLICE_COLUMNS if name in rows[0]}
        for row in rows
    ]


def fold_rows(payload: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One plain row a fold: its days, rows, metrics, and why it was not measured."""
    folds = (payload.get("closer_look") or {}).get("folds")
    return [
        {
            "test_days": " to ".join(fold["test_days"]),
            "train_rows": fold["train_rows"],
            "test_rows": fold["test_rows"],
            **{name: "" if value is None else value for name, value in fold["metrics"].items()},
            "unmeasured": fold["unmeasured"],
        }
        for fold in (folds or {"splits": []})["splits"]
    ]


def _share(value: float | None) -> str:
    return "none" if value is None else f"{value:.1%}"


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
    return [
        {"day": day["day"], "metric": name, **day}
        for name, table in payload["card_days"].items()
        for day in table["days"]
    ]


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
