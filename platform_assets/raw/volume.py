"""Expected volume: empty and doubled days show in the number of rows."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from datetime import date

from platform_assets.declaration.source import Volume
from platform_assets.evidence.evidence import Verdict
from platform_assets.raw.finding import Finding
from platform_assets.raw.suite import VOLUME_NAME

ENOUGH_DAYS = 3


def expected_volume(volume: Volume, day: str, rows: Mapping[str, int]) -> Finding:
    """Hold a day's rows against the median of the nearest other days of `rows` (day -> count).

    Fewer than three other days measure nothing: UNKNOWN, and not blocking, since the first days of a
    source have no others; an empty day is refused even then.
    """
    count = rows[day]

    def finding(verdict: Verdict, reason: str, ratio: float | None, blocking: bool = True) -> Finding:
        observed = {"rows": count, "ratio": None if ratio is None else round(ratio, 4)}
        return Finding(
            VOLUME_NAME, "", volume.severity, verdict, observed, None, reason=reason, blocking=blocking
        )

    if count == 0 and volume.at_least > 0:
        return finding(Verdict.FAILED, "the day is empty", None)
    here = date.fromisoformat(day)
    others = sorted(
        (other for other in rows if other != day),
        key=lambda other: (abs((date.fromisoformat(other) - here).days), other),
    )[: volume.neighbours]
    if len(others) < ENOUGH_DAYS:
        return finding(
            Verdict.UNKNOWN,
            f"only {len(others)} other days to compare with, {ENOUGH_DAYS} are needed; not blocking",
            None,
            blocking=False,
        )
    median = statistics.median(rows[other] for other in others)
    if median == 0:
        return finding(Verdict.UNKNOWN, f"the median of {len(others)} other days is no rows at all", None)
    ratio = count / median
    if volume.at_least <= ratio <= volume.at_most:
        return finding(Verdict.PASSED, "", ratio)
    return finding(
        Verdict.FAILED,
        f"{count} rows are {ratio:.2f} times the median {median:g} of {len(others)} other days, "
        f"expected {volume.at_least:g} to {volume.at_most:g}",
        ratio,
    )
