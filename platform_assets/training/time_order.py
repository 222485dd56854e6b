"""Parts of the train days in the order of time: what fits comes before what judges."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from platform_assets.declaration.estimator import Calibration, Search
from platform_assets.errors import TrainingError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa


@dataclass(frozen=True)
class Part:
    """Row numbers that fit, and later ones that judge."""

    fit: np.ndarray
    judge: np.ndarray


def calibration_part(rows: pa.Table, event_timestamp: str, declared: Calibration) -> Part:
    """Cut at the first moment of the last days, or of the last fraction of rows; a moment is never cut.

    Raises TrainingError when no row would be left to fit.
    """
    import numpy as np

    moments = _moments(rows, event_timestamp)
    if declared.last_days is not None:
        days = _days(moments)
        first = days.max() - np.timedelta64(declared.last_days - 1, "D")
        start = first.astype("datetime64[us]").astype(np.int64)
    else:
        assert declared.fraction is not None
        place = min(int(len(moments) * (1 - declared.fraction)), len(moments) - 1)
        start = np.sort(moments)[place]
    later = moments >= start
    if later.all():
        raise TrainingError(
            f"calibration: all {len(moments)} train rows fall into the part that calibrates; none is left "
            f"to fit. Declare fewer last_days, or more train days"
        )
    return Part(np.flatnonzero(~later), np.flatnonzero(later))


def folds(rows: pa.Table, event_timestamp: str, declared: Search) -> list[Part]:
    """Prequential folds: of folds + 1 equal parts of the days, each but the first judges those before it.

    Raises TrainingError when there are too few days.
    """
    import numpy as np

    days = _days(_moments(rows, event_timestamp))
    blocks = np.array_split(np.unique(days), declared.folds + 1)
    if not len(blocks[-1]):
        raise TrainingError(
            f"search: {declared.folds} folds need rows on at least {declared.folds + 1} train days, and "
            f"there are {len(np.unique(days))}; declare fewer folds, or more train days"
        )
    found = []
    for number, block in enumerate(blocks[1:], start=1):
        before = np.flatnonzero(days < block[0] - np.timedelta64(declared.gap_days, "D"))
        if not len(before):
            raise TrainingError(
                f"search: fold {number} has no row left to fit {declared.gap_days} days before {block[0]}; "
                f"declare a smaller gap_days, fewer folds, or more train days"
            )
        found.append(Part(before, np.flatnonzero((days >= block[0]) & (days <= block[-1]))))
    return found


def _moments(rows: pa.Table, event_timestamp: str) -> np.ndarray:
    import numpy as np
    import pyarrow as pa

    moments = rows.column(event_timestamp).cast(pa.timestamp("us")).cast(pa.int64())
    return np.asarray(moments.to_numpy(), dtype=np.int64)


def _days(moments: np.ndarray) -> np.ndarray:
    found: np.ndarray = moments.astype("datetime64[us]").astype("datetime64[D]")
    return found
