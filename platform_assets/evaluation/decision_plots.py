"""Plots of what a model decides: review budget, cost, slices, folds; one PNG a question."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from platform_assets.evaluation.plots import CONTRAST, INK, QUIET, draw_all, titled

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SLICES_DRAWN = 12


def write_decision_plots(folder: Path, payload: Mapping[str, Any]) -> list[Path]:
    """Draw what the payload's closer look holds; a plot without figures is removed. The files written."""
    look = payload.get("closer_look") or {"unmeasured": "none"}
    measured = not look["unmeasured"]
    costs = look.get("costs") or {}
    costs = {} if costs.get("unmeasured") else costs
    slices = _slices(look) if measured else []
    plots: dict[str, tuple[bool, Callable[[Axes], None]]] = {
        "review_budget.png": (
            measured and bool(look["review_budget"]),
            lambda axes: _budget(axes, look["review_budget"]),
        ),
        "costs.png": (measured and bool(costs), lambda axes: _costs(axes, costs)),
        "slices.png": (bool(slices), lambda axes: _slices_drawn(axes, slices, look)),
        "folds.png": (
            measured and bool(look["folds"]),
            lambda axes: _folds(axes, payload, look["folds"]),
        ),
    }
    return draw_all(folder, plots, sizes={"slices.png": (10, 2.2 + 0.62 * min(len(slices), SLICES_DRAWN))})


def _budget(axes: Axes, budget: Mapping[str, Any]) -> None:
    points = [each for each in budget["curve"] if each["precision"] is not None]
    per_day = [each["per_day"] for each in points]
    for name, color in (("precision", INK), ("recall", CONTRAST)):
        axes.plot(per_day, [each[name] for each in points], "o-", color=color, label=name, markersize=5)
        rises = name == "recall"  # each figure on the side that its line leaves free
        axes.annotate(
            f"{budget[name]:.0%}", (budget["per_day"], budget[name]), xytext=(-8 if rises else 8, 6),
            color=color, textcoords="offset points", fontweight="bold", ha="right" if rises else "left",
        )  # fmt: skip
    axes.axvline(budget["per_day"], color=QUIET, linestyle="--", linewidth=1.2)
    axes.set(xscale="log", ylim=(0, 1.02), xlabel="Rows looked at a day (log scale)", ylabel="Share")
    axes.set_xticks(per_day, [f"{n:,}" for n in per_day])
    axes.tick_params(axis="x", labelrotation=45)
    axes.minorticks_off()
    _shares(axes)
    axes.legend(loc="center right")
    titled(
        axes,
        f"Looking at {budget['per_day']} rows a day",
        f"{budget['found']:,} of {budget['positives']:,} positives found in {budget['stopped']:,} rows, "
        f"{len(budget['days'])} days",
    )


def _costs(axes: Axes, costs: Mapping[str, Any]) -> None:
    stopped, cost = zip(*costs["curve"], strict=True)
    axes.plot(stopped, cost, color=INK)
    axes.axhline(costs["cost_of_nothing"], color=QUIET, linestyle="--", linewidth=1.2)
    axes.annotate(
        "nothing stopped",
        (0, costs["cost_of_nothing"]),
        xytext=(4, 5),
        textcoords="offset points",
        color=QUIET,
    )
    axes.plot([costs["stopped"]], [costs["cost"]], "o", color=CONTRAST, markersize=9, zorder=3)
    axes.annotate(
        f"chosen before: {costs['cost']:,.0f}", (costs["stopped"], costs["cost"]), xytext=(0, -24),
        textcoords="offset points", color=CONTRAST, ha="center", fontweight="bold",
    )  # fmt: skip
    top = 1.6 * max(costs["cost_of_nothing"], costs["cost"])
    unit = f" (in {costs['amount']})" if costs.get("amount") else ""
    axes.set_xscale("symlog", linthresh=1, linscale=0.3)
    axes.set(xlim=(0, stopped[-1]), ylim=(0, top), xlabel="Rows stopped (log scale)",
             ylabel=f"Cost of all decisions{unit}")  # fmt: skip
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.minorticks_off()
    axes.grid(color="#e5e7eb", linewidth=0.8)
    days = costs["chosen_on"]["days"]
    titled(
        axes,
        f"{costs['amount_saved']:,.0f} saved, {costs['amount_blocked']:,.0f} blocked for nothing",
        f"threshold chosen on {days[0]} to {days[1]}; the least possible here was "
        f"{costs['least_possible_cost']:,.0f}",
    )


def _slices(look: Mapping[str, Any]) -> list[dict[str, Any]]:
    slices = look["slices"]
    found = (slices["search"] or {}).get("found", [])
    return [
        *({**each, "color": INK} for each in slices["declared"] if each["positives"]),
        *({**each, "color": CONTRAST} for each in found),
    ]


def _slices_drawn(axes: Axes, slices: Sequence[Mapping[str, Any]], look: Mapping[str, Any]) -> None:
    shown = list(reversed(slices[:SLICES_DRAWN]))
    overall = look["operating_point"]["recall"]
    axes.axvline(overall, color=QUIET, linestyle="--", linewidth=1.2)
    axes.annotate(f"all: {overall:.0%}", (overall, len(shown) - 0.35), xytext=(4, 0), color=QUIET,
                  textcoords="offset points")  # fmt: skip
    for place, each in enumerate(shown):
        low, high = each["recall_low"], each["recall_high"]
        axes.plot([low, high], [place, place], color=each["color"], linewidth=1.8)
        axes.plot([each["recall"]], [place], "o", color=each["color"], markersize=8)
        # above the bar rather than beside the axis: names are long
        axes.text(0.01, place + 0.24, each["slice"], fontsize=10,
                  bbox={"facecolor": "white", "edgecolor": "none", "pad": 1})  # fmt: skip
        axes.text(
            1.01, place, f"{each['found']} of {each['positives']}", color=QUIET, fontsize=10, va="center"
        )
    axes.set_yticks([])
    axes.set(xlim=(0, 1.13), ylim=(-0.5, len(shown) - 0.1), xlabel="Recall: share of positives stopped")
    axes.set_xticks([0, 0.2, 0.4, 0.6, 0.8, 1.0])
    axes.xaxis.set_major_formatter(lambda value, _: f"{value * 100:g}%")
    axes.grid(axis="x", color="#e5e7eb", linewidth=0.8)
    axes.set_axisbelow(True)
    search = look["slices"]["search"]
    under = "blue: declared"
    if search:
        rate = search["false_discovery_rate"]
        under += f"; orange: found among {search['judged']:,} judged ({rate:.0%} false discoveries)"
    titled(axes, "Where more is missed", under + "; bars: 95% intervals")


def _folds(axes: Axes, payload: Mapping[str, Any], folds: Mapping[str, Any]) -> None:
    this = payload["test_days"]
    names = [*(fold["test_days"][0] for fold in folds["splits"]), this[0] if this else "this one"]
    colors = (INK, CONTRAST, "#0f766e", "#7c3aed")
    for (name, told), color in zip(folds["with_this_one"].items(), colors, strict=False):
        values = [*(fold["metrics"].get(name) for fold in folds["splits"]), payload["metrics"].get(name)]
        places = [n for n, value in enumerate(values) if value is not None]
        axes.plot(places, [values[n] for n in places], "o-", color=color, markersize=7)
        if told["mean"] is None:
            continue
        above = max(values[n] for n in places[:2])  # the text reaches the second point
        spread = f" ± {told['deviation']:.3f}" if told["deviation"] is not None else ""
        axes.annotate(
            f"{name}: {told['mean']:.3f}{spread}", (0, above), xytext=(0, 10), color=color,
            textcoords="offset points", fontweight="bold", fontsize=11,
        )  # fmt: skip
    axes.set_xticks(range(len(names)), [f"{name}\nthis model" if n == len(names) - 1 else name
                                        for n, name in enumerate(names)])  # fmt: skip
    axes.set(ylim=(0, 1.05), xlim=(-0.25, len(names) - 0.75), xlabel="First test day", ylabel="Metric")
    axes.grid(color="#e5e7eb", linewidth=0.8)
    titled(axes, "Does it hold over time?", "the same training on earlier splits; mean ± standard deviation")


def _shares(axes: Axes) -> None:
    axes.yaxis.set_major_formatter(lambda value, _: f"{value * 100:g}%")
    axes.grid(color="#e5e7eb", linewidth=0.8)
    axes.set_axisbelow(True)
