"""Two versions as one HTML page that needs nothing else."""

from __future__ import annotations

import base64
import io
from html import escape

from platform_assets.evaluation.plots import CONTRAST, INK, STYLE, percent
from platform_assets.registry.paired_bootstrap import Difference
from platform_assets.registry.version_comparison import VersionComparison

PAGE_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; color: #1b1f24 }
body { margin: 2rem auto; max-width: 62rem; padding: 0 1rem }
h1 { font-size: 1.4rem; margin-bottom: .2rem } h2 { font-size: 1.05rem; margin: 2rem 0 .4rem }
p { color: #57606a; margin: .2rem 0 1rem } img { max-width: 100% }
.verdict { font-size: 1.05rem; color: #1b1f24; background: #eaeef2 }
.verdict { padding: .6rem .9rem; border-radius: .4rem }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; padding: .35rem .6rem; vertical-align: top }
th { border-bottom: 2px solid #d0d7de } td { border-bottom: 1px solid #eaeef2; overflow-wrap: anywhere }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap }
"""


def verdict(found: VersionComparison) -> str:
    """One sentence on which version ranks better, by the interval of the difference; or why not."""
    if found.unknown:
        return f"Versions {found.first} and {found.second} cannot be compared: {found.unknown}"
    told = []
    for metric, difference in found.differences.items():
        low, high = difference.lower, difference.upper
        if low is None or high is None:
            continue
        span = f"{low:+.4f} to {high:+.4f}"
        if low > 0:
            told.append(f"version {found.second} is better in {metric} ({span})")
        elif high < 0:
            told.append(f"version {found.first} is better in {metric} (difference {span})")
        else:
            told.append(f"in {metric} the data tell no difference ({span})")
    return "; ".join(told)


def figures(found: VersionComparison) -> list[tuple[str, str, str, str]]:
    """Name, first, second and difference of every figure, rounded for people."""
    ranked = [
        (name, _value(d.champion), _value(d.candidate), _span(d)) for name, d in found.differences.items()
    ]
    return ranked + [(name, f"{x:.5f}", f"{y:.5f}", "") for name, (x, y) in found.calibration.items()]


def comparison_page(found: VersionComparison) -> str:
    """The page; everything that came from declarations or data is escaped."""
    a, b = f"version {found.first}", f"version {found.second}"
    parts = [f'<p class="verdict">{escape(verdict(found))}</p>']
    if found.differences and found.rows:
        parts += [
            "<h2>Figures</h2>",
            f"<p>{found.rows:,} rows that neither was trained on ({found.positives:,} positive; "
            f"{found.left_out:,} test rows lay before a label cut-off). Differences are second minus first, "
            f"95 % interval by entity bootstrap.</p>",
            _table(("", a, b, "difference"), figures(found), numbers=True),
        ]
    if found.curves[0]:
        parts += ["<h2>Precision and recall</h2>", f'<img alt="precision and recall" src="{_curves(found)}">']
    if found.agreement:
        names = {"the first": a, "the second": b}
        told = []
        for name, count in found.agreement.items():
            for which, version in names.items():
                name = name.replace(which, version)
            told.append((name, f"{count:,}"))
        parts += [
            "<h2>Do they stop the same rows?</h2>",
            "<p>Each stops as many rows as are positive.</p>",
            _table(("rows", "count"), told, numbers=True),
        ]
    parts += ["<h2>What was made otherwise</h2>"]
    parts.append(_table(("", a, b), found.settings) if found.settings else "<p>Nothing.</p>")
    title = f"{found.product}: {a} and {b}"
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>\n'
        f"<style>{PAGE_STYLE}</style></head><body><h1>{escape(title)}</h1>\n"
        + "\n".join(parts)
        + "\n</body></html>\n"
    )


def _value(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.4f}"


def _span(difference: Difference) -> str:
    if difference.lower is None or difference.upper is None:
        return difference.unknown
    assert difference.candidate is not None
    assert difference.champion is not None
    change = difference.candidate - difference.champion
    return f"{change:+.4f} ({difference.lower:+.4f} to {difference.upper:+.4f})"


def _table(head: tuple[str, ...], rows: object, *, numbers: bool = False) -> str:
    def cells(values: tuple[str, ...], tag: str) -> str:
        return "".join(
            f"<{tag}{' class=n' if numbers and place else ''}>{escape(value)}</{tag}>"
            for place, value in enumerate(values)
        )

    body = "\n".join(f"<tr>{cells(row, 'td')}</tr>" for row in rows)  # type: ignore[attr-defined]
    return f"<table><thead><tr>{cells(head, 'th')}</tr></thead><tbody>\n{body}\n</tbody></table>"


def _curves(found: VersionComparison) -> str:
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(STYLE):
        figure = Figure(figsize=(8, 5), layout="constrained")
        axes = figure.add_subplot()
        for points, version, color in zip(
            found.curves, (found.first, found.second), (INK, CONTRAST), strict=True
        ):
            recall, precision = zip(*points, strict=True)
            axes.step(recall, precision, where="post", color=color, label=f"version {version}")
        axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="Recall: share of positives found",
                 ylabel="Precision: share of alarms that are right")  # fmt: skip
        percent(axes)
        axes.legend(loc="upper right")
        drawn = io.BytesIO()
        figure.savefig(drawn, format="png")
    return "data:image/png;base64," + base64.b64encode(drawn.getvalue()).decode()
