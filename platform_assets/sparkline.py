"""Very small SVG drawings as data URIs, which the Dagster UI shows inside Markdown."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Sequence

INK = "#2563eb"
FRAME = "#9ca3af"


def sparkline(values: Sequence[float], *, width: int = 120, height: int = 24) -> str:
    """One line over the values in order, from 0 or the lowest up to the highest."""
    low, high = min([0.0, *values]), max([0.0, *values])
    span = (high - low) or 1.0
    steps = max(len(values) - 1, 1)
    points = [[i / steps, (value - low) / span] for i, value in enumerate(values)]
    return _data_uri(_path(points, width, height), width, height)


def curve(
    points: Iterable[Sequence[float]], *, size: int = 120, diagonal: bool = False, marks: bool = False
) -> str:
    """A curve in the unit square, framed; `diagonal` adds y = x, `marks` draws dots at the points."""
    inside = [[min(max(x, 0.0), 1.0), min(max(y, 0.0), 1.0)] for x, y in points]
    body = f'<path d="M1 1V{size - 1}H{size - 1}" fill="none" stroke="{FRAME}"/>'
    if diagonal:
        body += f'<path d="M1 {size - 1}L{size - 1} 1" stroke="{FRAME}" stroke-dasharray="3"/>'
    body += _path(inside, size, size)
    if marks:
        # lines of no length with round ends: a third of the text of circles
        dots = "".join(f"M{_x(x, size)} {_y(y, size)}h0" for x, y in inside)
        body += f'<path d="{dots}" stroke="{INK}" stroke-width="4" stroke-linecap="round"/>'
    return _data_uri(body, size, size)


def _path(points: Sequence[Sequence[float]], width: int, height: int) -> str:
    steps = " ".join(f"{_x(x, width)} {_y(y, height)}" for x, y in points)
    return f'<path d="M{steps}" fill="none" stroke="{INK}" stroke-width="1.5"/>' if steps else ""


def _x(value: float, width: int) -> str:
    return f"{1 + value * (width - 2):.0f}"


def _y(value: float, height: int) -> str:
    return f"{1 + (1 - value) * (height - 2):.0f}"


def _data_uri(body: str, width: int, height: int) -> str:
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}">{body}</svg>'
    return "data:image/svg+xml;base64," + b64encode(svg.encode()).decode()
