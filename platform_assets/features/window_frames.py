"""Aggregates over the window of a feature, in SQL.

Both dialects order by the event timestamp in whole microseconds, so that they share one frame:
(t-d-w, t-d] is `RANGE BETWEEN d+w-1 PRECEDING AND d PRECEDING`, open on the left because one
microsecond is left out, closed on the right, rows of equal timestamps seeing each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from platform_assets.declaration.duration import microseconds
from platform_assets.declaration.feature import Feature
from platform_assets.features.sql_text import Dialect, quoted


@dataclass
class WindowFrames:
    """Collects the aggregates that a query needs, each under a name of its own."""

    keys: Sequence[str]  # columns that windows do not look across
    primary_key: Sequence[str]
    dialect: Dialect
    named: dict[str, str] = field(default_factory=dict)  # aggregate over a window -> name

    def over(self, feature: Feature, aggregate: str) -> str:
        """An aggregate over the feature's window, the own row left out where the feature says so.

        Spark has no EXCLUDE CURRENT ROW: there the own row is in, see `total` and `pieces`.
        """
        assert feature.window is not None
        delay, width = microseconds(feature.delay), microseconds(feature.window)
        end = f"{delay} PRECEDING" if delay else "CURRENT ROW"
        frame = f"ORDER BY _us RANGE BETWEEN {delay + width - 1} PRECEDING AND {end}"
        if feature.leaves_out_own_row and self.dialect == "duckdb":
            frame += " EXCLUDE CURRENT ROW"
        return self._name(aggregate, self._parts(), frame)

    def total(self, feature: Feature, function: str, value: str) -> str:
        """A `count` or exact `sum`; on Spark an own row that does not count is taken off again."""
        found = self.over(feature, f"{function}({value})")
        if not self.splits(feature):
            return found
        own = {"count": f"(CASE WHEN {value} IS NULL THEN 0 ELSE 1 END)", "sum": f"coalesce({value}, 0)"}
        return f"({found} - {'1' if value == '*' else own[function]})"

    def splits(self, feature: Feature) -> bool:
        """Whether the own row must be left out by hand."""
        return self.dialect == "spark" and feature.leaves_out_own_row

    def pieces(self, feature: Feature, aggregate: str) -> list[str]:
        """The window without the own row in three pieces that do not overlap.

        Older rows, and those of the same moment before and after the row by primary key.
        """
        assert feature.window is not None
        width = microseconds(feature.window)
        older = f"ORDER BY _us RANGE BETWEEN {width - 1} PRECEDING AND 1 PRECEDING"
        order = ", ".join(quoted(name, self.dialect) for name in self.primary_key)
        tied = [
            f"ORDER BY {order} ROWS BETWEEN {bounds}"
            for bounds in ("UNBOUNDED PRECEDING AND 1 PRECEDING", "1 FOLLOWING AND UNBOUNDED FOLLOWING")
        ]
        return [
            self._name(aggregate, self._parts(), older),
            *(self._name(aggregate, f"{self._parts()}, _us", frame) for frame in tied),
        ]

    def _parts(self) -> str:
        return "PARTITION BY " + ", ".join(quoted(name, self.dialect) for name in self.keys)

    def _name(self, aggregate: str, parts: str, frame: str) -> str:
        expression = f"{aggregate} OVER ({parts} {frame})"
        return self.named.setdefault(expression, f"_w{len(self.named)}")
