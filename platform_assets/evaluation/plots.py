"""Plots for a meeting: one PNG a question, saved beside the metrics."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from platform_assets.evaluation.slices import wilson
from platform_assets.lake.atomic_files import half_written

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes

SIZE = (8, 5.5)
INK, CONTRAST, QUIET = "#2563eb", "#d9480f", "#6b7280"
STYLE = {
    "font.size": 12,
    "axes.titlesize": 15,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 30,
    "axes.labelsize": 12,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": QUIET,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "lines.linewidth": 2.2,
    "legend.frameon": False,
    "figure.dpi": 100,
    "savefig.dpi": 150,
}


def write_plots(
    folder: Path, payload: Mapping[str, Any], labels: np.ndarray, scores: np.ndarray
) -> list[Path]:
    """Draw every plot an evaluation payload supports; each file appears whole, by one rename.

    `labels` and `scores` are the test rows of the payload. A plot whose figures could not be measured is
    removed rather than left over from an earlier model. Returns the files written.
    """
    plots: dict[str, tuple[bool, Callable[[Axes], None]]] = {
        "precision_recall.png": (
            bool(payload["curves"]["precision_recall"]),
            lambda axes: _precision_recall(axes, payload, labels, scores),
        ),
        "roc.png": (bool(payload["curves"]["roc"]), lambda axes: _roc(axes, payload, labels, scores)),
        "calibration.png": (
            bool(payload["curves"]["calibration"]),
            lambda axes: _calibration(axes, payload["curves"]["calibration"]),
        ),
        "score_distribution.png": (
            payload["unmeasured"] is None,
            lambda axes: _score_distribution(axes, labels, scores),
        ),
    }
    for key, table in payload["card_days"].items():
        plots[f"{key}_per_day.png"] = (
            payload["metrics"].get(key) is not None,
            partial(_per_day, mean=payload["metrics"].get(key), days=table["days"], k=table["k"]),
        )
    return draw_all(folder, plots)


def draw_all(
    folder: Path,
    plots: Mapping[str, tuple[bool, Callable[[Axes], None]]],
    *,
    sizes: Mapping[str, tuple[float, float]] | None = None,
) -> list[Path]:
    """Draw each plot that has figures, and remove the files of those that have none; the files written.

    `plots` maps file names to whether there is anything to draw, and how; `sizes` are in inches.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    written = []
    with rc_context(STYLE):
        for name, (measured, draw) in plots.items():
            path = folder / name
            if not measured:
                path.unlink(missing_ok=True)
                continue
            figure = Figure(figsize=(sizes or {}).get(name, SIZE), layout="constrained")
            axes = figure.add_subplot()
            draw(axes)
            with half_written(path) as temporary:
                figure.savefig(temporary, format="png")
            written.append(path)
    return written


def interval_told(payload: Mapping[str, Any], name: str) -> str:
    """`0.59 to 0.70`, empty when there is none."""
    interval = ((payload.get("closer_look") or {}).get("intervals") or {}).get(name)
    if not interval or interval["low"] is None:
        return ""
    return f"{interval['low']:.3f} to {interval['high']:.3f}"


def titled(axes: Axes, title: str, under: str) -> None:
    """A title with a quiet line under it."""
    axes.set_title(title)
    axes.text(0, 1.03, under, transform=axes.transAxes, color=QUIET, fontsize=11)


def _rows_told(payload: Mapping[str, Any], metric: str) -> str:
    """The interval of a metric where there is one, and the rows behind it."""
    days = payload["test_days"]
    span = f"{days[0]} to {days[-1]}, " if days else ""
    told = f"{span}{payload['test_rows']:,} test rows, {payload['test_positives']:,} positive"
    if interval := interval_told(payload, metric):
        share = payload["closer_look"].get("interval_of", {}).get("confidence", 0.95)
        told = f"{interval} ({share:.0%} interval); {told}"
    return told


def _precision_recall(axes: Axes, payload: Mapping[str, Any], labels: np.ndarray, scores: np.ndarray) -> None:
    from sklearn.metrics import precision_recall_curve

    precision, recall, _ = precision_recall_curve(labels, scores)
    base = float(labels.mean())
    axes.step(recall, precision, where="post", color=INK)
    axes.axhline(base, color=QUIET, linestyle="--", linewidth=1.2)
    axes.annotate(
        f"guessing: {base:.2%}", (0.01, base), xytext=(0, 5), textcoords="offset points", color=QUIET
    )
    axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="Recall: share of positives found",
             ylabel="Precision: share of alarms that are right")  # fmt: skip
    percent(axes)
    value = payload["metrics"].get("average_precision")
    under = _rows_told(payload, "average_precision")
    titled(axes, "Precision and recall" + _told(value, "average precision"), under)


def _roc(axes: Axes, payload: Mapping[str, Any], labels: np.ndarray, scores: np.ndarray) -> None:
    from sklearn.metrics import roc_curve

    false_positives, true_positives, _ = roc_curve(labels, scores)
    axes.plot(false_positives, true_positives, color=INK)
    axes.plot([0, 1], [0, 1], color=QUIET, linestyle="--", linewidth=1.2)
    axes.annotate("guessing", (0.68, 0.68), xytext=(6, -14), textcoords="offset points", color=QUIET)
    axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="False alarms: share of negatives flagged",
             ylabel="Share of positives found")  # fmt: skip
    percent(axes)
    under = _rows_told(payload, "roc_auc")
    titled(axes, "ROC curve" + _told(payload["metrics"].get("roc_auc"), "area"), under)


def _calibration(axes: Axes, bins: Sequence[Mapping[str, float]]) -> None:
    shown = [b for b in bins if b["positives"] > 0 and b["mean_score"] > 0]
    empty = [b for b in bins if b["positives"] == 0 and b["mean_score"] > 0]
    scores = [b["mean_score"] for b in shown]
    rates = [b["observed"] for b in shown]
    ranges = [wilson(b["positives"], b["rows"]) for b in shown]
    errors = [
        [max(r - low, 0) for r, (low, _) in zip(rates, ranges, strict=True)],
        [max(high - r, 0) for r, (_, high) in zip(rates, ranges, strict=True)],
    ]
    axes.set(xscale="log", yscale="log")
    lowest = min([*scores, *rates, *(low for low, _ in ranges), *(b["mean_score"] for b in empty), 0.1])
    bottom = max(lowest / 2, 1e-5)
    axes.plot([bottom, 1], [bottom, 1], color=QUIET, linestyle="--", linewidth=1.2)
    axes.annotate("perfect", (0.6, 0.6), xytext=(-8, 6), textcoords="offset points", ha="right", color=QUIET)
    axes.errorbar(
        scores, rates, errors, color=INK, fmt="o-", markersize=7, linewidth=1, elinewidth=1.6, capsize=0,
        clip_on=False, zorder=3,
    )  # fmt: skip
    if empty:
        at = [b["mean_score"] for b in empty]
        axes.plot(at, [bottom * 1.15] * len(at), "v", color=CONTRAST, label="no positive in the group")
        axes.legend(loc="upper left")
    axes.set(xlim=(bottom, 1), ylim=(bottom, 1), xlabel="Mean score of the group (log scale)",
             ylabel="Share of positives (log scale)")  # fmt: skip
    percent(axes)
    titled(
        axes,
        "Calibration: is a score of 10% right one time in ten?",
        f"{len(bins)} groups of test rows by score; bars are 95% intervals (Wilson)",
    )


def _score_distribution(axes: Axes, labels: np.ndarray, scores: np.ndarray) -> None:
    import numpy as np

    edges = np.linspace(0, 1, 21)
    width = edges[1] / 2.4
    for value, name, color, left in (
        (0, "negative", "#9ca3af", -width / 2),
        (1, "positive", CONTRAST, width / 2),
    ):
        mine = scores[labels == value]
        counts, _ = np.histogram(mine, edges)
        middles = edges[:-1] + edges[1] / 2 + left
        axes.bar(middles, counts / max(len(mine), 1), width, color=color, label=f"{name}: {len(mine):,} rows")
    axes.set(xlim=(0, 1), yscale="log", ylim=(1e-5, 3), xlabel="Score",
             ylabel="Share of the class (log scale)")  # fmt: skip
    percent(axes)
    axes.xaxis.grid(False)
    axes.set_xticks(np.linspace(0, 1, 11))
    axes.legend(loc="upper right", ncols=2)
    titled(
        axes, "Where the scores lie", "each class adds up to 100%; a pair of bars covers 5 points of score"
    )


def _per_day(axes: Axes, mean: float, days: Sequence[Mapping[str, Any]], k: int) -> None:
    from matplotlib.ticker import MaxNLocator

    names = [day["day"] for day in days]
    found = [day["detected"] for day in days]
    there = [day["compromised"] for day in days]
    axes.bar(names, [min(n, k) for n in there], color="#e5e7eb", width=0.7, label="compromised, not found")
    axes.bar(names, found, color=INK, width=0.7, label=f"found among the {k} highest")
    for i, (hit, all_of_them) in enumerate(zip(found, there, strict=True)):
        if len(names) > 14:
            break  # figures would run into each other
        axes.annotate(f"{hit} of {all_of_them}", (i, min(max(hit, all_of_them), k)), xytext=(0, 4),
                      textcoords="offset points", ha="center")  # fmt: skip
    axes.set(ylabel="Cards", ylim=(0, max([*(min(n, k) for n in there), 1]) * 1.3))
    axes.set_xticks(range(0, len(names), len(names) // 15 + 1))
    axes.tick_params(axis="x", labelrotation=30 if len(names) > 5 else 0)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(loc="upper right", ncols=2)
    titled(
        axes,
        f"Card precision at {k} a day: {mean:.3f}",
        f"cards found / {k}, mean over {len(days)} days; a card found leaves the later days",
    )


def _told(value: float | None, name: str) -> str:
    return "" if value is None else f": {name} {value:.3f}"


def percent(axes: Axes) -> None:
    """Both axes in percent, with a quiet grid."""
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(lambda value, _: f"{value * 100:g}%")
    axes.minorticks_off()
    axes.grid(color="#e5e7eb", linewidth=0.8)
    axes.set_axisbelow(True)
