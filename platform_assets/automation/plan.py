"""What to request next: pure decisions over what was observed.

Level-triggered: nothing is remembered between two looks. What is stale is asked for, stage by
stage, front to back; what is blocked is told with its reason and never asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from platform_assets.declaration.declared import fingerprint_of


@dataclass(frozen=True)
class Work:
    """One asset's open work.

    `days` maps each stale day to a mark that changes with its cause (source token, input digests,
    sequence number); an unpartitioned asset uses the day "". `blocked` maps what cannot be built to
    the reason.
    """

    stage: str
    asset: tuple[str, ...]
    days: Mapping[str, str] = field(default_factory=dict)
    blocked: Mapping[str, str] = field(default_factory=dict)
    reason: str = ""


@dataclass(frozen=True)
class Request:
    """One run: assets of one stage over one unbroken range of days (or none)."""

    stage: str
    assets: tuple[tuple[str, ...], ...]
    days: tuple[str, str] | None
    change: str
    reason: str

    def run_key(self, epoch: int) -> str:
        """Differs with the cause and with the cooldown epoch, so that A -> B -> A runs three times."""
        span = "-".join(self.days) if self.days else "all"
        return f"{self.stage}:{span}:{self.change}:{epoch}"


def next_requests(work: Sequence[Work], stages: Sequence[str]) -> list[Request]:
    """Requests of the first stage that has anything to do; later stages wait for it.

    Assets of a stage that are stale on the same range share a run.
    """
    for stage in stages:
        open_work = [item for item in work if item.stage == stage and item.days]
        if open_work:
            return _requests(stage, open_work)
    return []


def _requests(stage: str, open_work: Sequence[Work]) -> list[Request]:
    by_range: dict[tuple[str, str] | None, list[Work]] = {}
    for item in open_work:
        spans: list[tuple[str, str] | None] = [None] if "" in item.days else list(unbroken(item.days))
        for span in spans:
            by_range.setdefault(span, []).append(item)
    requests = []
    for span, items in sorted(by_range.items(), key=lambda pair: pair[0] or ("", "")):
        marks = {
            "/".join(item.asset): {
                day: mark for day, mark in item.days.items() if span is None or span[0] <= day <= span[1]
            }
            for item in items
        }
        reasons = dict.fromkeys(item.reason for item in items if item.reason)
        requests.append(
            Request(
                stage=stage,
                assets=tuple(item.asset for item in items),
                days=span,
                change=fingerprint_of(marks),
                reason="; ".join(reasons),
            )
        )
    return requests


def unbroken(days: Sequence[str] | Mapping[str, str]) -> list[tuple[str, str]]:
    """Days as unbroken ranges, both ends included.

    >>> unbroken(["2018-04-01", "2018-04-02", "2018-04-05"])
    [('2018-04-01', '2018-04-02'), ('2018-04-05', '2018-04-05')]
    """
    spans: list[tuple[str, str]] = []
    for day in sorted(days):
        if spans and date.fromisoformat(spans[-1][1]) + timedelta(days=1) == date.fromisoformat(day):
            spans[-1] = (spans[-1][0], day)
        else:
            spans.append((day, day))
    return spans


def cooldown_epoch(now: datetime, cooldown: timedelta) -> int:
    """Number of the cooldown period `now` falls into: what stays red is asked again in the next."""
    return int(now.timestamp() // max(cooldown.total_seconds(), 1))
