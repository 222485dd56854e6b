"""What differs between a training set as known now and as known then: rows, labels and inputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from platform_assets.errors import LakeError
from platform_assets.features.engine import duckdb_engine
from platform_assets.hindsight.row_versions import quoted
from platform_assets.training.training_rows import SPLIT_COLUMN

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

TOLERANCE = 1e-9
"""Relative and absolute; sums of doubles differ in the last bits from one query to the next."""


@dataclass(frozen=True)
class Difference:
    """Rows of both sides that belong together, and what differs between them.

    `now` and `then` are the places of equal primary keys in the two tables. `columns` has one line an
    input and one for the label: how many of those rows differ, their share, how many have a value on
    one side only, and mean and largest absolute difference where both have one.
    """

    now: np.ndarray
    then: np.ndarray
    added: int
    removed: int
    labels_changed: int
    rows_changed: int
    columns: tuple[dict[str, Any], ...]

    @property
    def rows(self) -> int:
        """Rows that differ in any way, those of one side among them."""
        return self.added + self.removed + self.rows_changed

    @property
    def share(self) -> float:
        """Rows that differ among the rows of both sides together."""
        whole = self.added + self.removed + len(self.now)
        return self.rows / whole if whole else 0.0

    def summary(self) -> dict[str, Any]:
        """The counts as plain numbers."""
        return {
            "rows_in_both": len(self.now),
            "rows_added": self.added,
            "rows_removed": self.removed,
            "labels_changed": self.labels_changed,
            "rows_changed": self.rows_changed,
            "rows_differ": self.rows,
            "share_of_rows": round(self.share, 6),
        }


def difference(
    now: pa.Table, then: pa.Table, *, key: Sequence[str], inputs: Sequence[str], label: str
) -> Difference:
    """Compare two training sets row by row, by primary key and within train and test days.

    Raises LakeError when a key stands twice on either side.
    """
    import numpy as np

    here, there = _together(now, then, [*key, SPLIT_COLUMN])
    changed = np.zeros(len(here), dtype=bool)
    columns = []
    for name in (*inputs, label):
        a, b = (_numbers(rows.column(name))[places] for rows, places in ((now, here), (then, there)))
        differs = ~np.isclose(a, b, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True)
        changed |= differs
        columns.append(_line(name, a[differs], b[differs], len(here)))
    return Difference(
        here,
        there,
        added=now.num_rows - len(here),
        removed=then.num_rows - len(there),
        labels_changed=columns[-1]["rows"],
        rows_changed=int(changed.sum()),
        columns=tuple(columns),
    )


def _line(name: str, now: np.ndarray, then: np.ndarray, rows: int) -> dict[str, Any]:
    import numpy as np

    both = np.isfinite(now) & np.isfinite(then)
    sizes = np.abs(now[both] - then[both])
    return {
        "name": name,
        "rows": len(now),
        "share": round(len(now) / rows, 6) if rows else 0.0,
        "one_side_only": int((~both).sum()),
        "mean_difference": float(sizes.mean()) if len(sizes) else 0.0,
        "largest_difference": float(sizes.max()) if len(sizes) else 0.0,
    }


def _together(now: pa.Table, then: pa.Table, key: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Places of the same key in both tables, in the order of the first."""
    import numpy as np
    import pyarrow as pa

    with duckdb_engine() as engine:
        for name, rows in (("rows_now", now), ("rows_then", then)):
            places = pa.array(np.arange(rows.num_rows, dtype=np.int64))
            engine.register(name, rows.select(key).append_column("_place", places))
        same = " AND ".join(f"a.{quoted(name)} = b.{quoted(name)}" for name in key)
        found = engine.sql(
            f"SELECT a._place AS a, b._place AS b FROM rows_now AS a JOIN rows_then AS b ON {same} ORDER BY 1"
        ).to_arrow_table()
    here, there = found.column("a").to_numpy(), found.column("b").to_numpy()
    for places in (here, there):
        if len(np.unique(places)) != len(places):
            raise LakeError(
                f"{len(places) - len(np.unique(places))} rows have the key of another row; a raw row was "
                f"known under two event timestamps at once"
            )
    return here, there


def _numbers(column: pa.ChunkedArray) -> np.ndarray:
    """Values as float64; missing ones are NaN."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_boolean(column.type):
        column = column.cast(pa.int8())
    values: np.ndarray = pc.fill_null(column.cast(pa.float64(), safe=False), float("nan")).to_numpy()
    return values
