"""Card precision at k: of the k cards an investigator can look at in a day, how many were compromised.

Definition: *Reproducible Machine Learning for Credit Card Fraud Detection* (Le Borgne, Siblini,
Lebichot, Bontempi, ULB 2022), chapter "Performance metrics", section "Card Precision top-k". A card is
any entity of a product; a day is any value that sorts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class CardDay:
    """One test day: cards still in the pool, how many of them were compromised, looked at, and found."""

    day: str
    cards: int
    compromised: int
    inspected: int
    detected: int
    precision: float


def card_precision_days(
    days: np.ndarray, entities: np.ndarray, labels: np.ndarray, scores: np.ndarray, k: int
) -> list[CardDay]:
    """Follow an investigator with `k` looks a day through the days, in order.

    The four arrays hold one value a transaction, in any order. A card's score is its highest of the
    day, it is compromised with at least one positive label that day; the k highest are inspected (ties:
    smaller id first); precision = compromised among them / k, even when there are fewer cards. Detected
    cards leave the pool of later days; a day whose cards have all left still counts, as 0.
    """
    import numpy as np

    if len(days) == 0:
        return []
    day_values, day = np.unique(days, return_inverse=True)
    card_values, card = np.unique(entities, return_inverse=True)
    pair = day.astype(np.int64) * len(card_values) + card
    order = np.argsort(pair, kind="stable")
    pairs, starts = np.unique(pair[order], return_index=True)
    highest = np.maximum.reduceat(np.asarray(scores, np.float64)[order], starts)
    hit = np.logical_or.reduceat(np.asarray(labels).astype(bool)[order], starts)
    bounds = np.searchsorted(pairs, np.arange(len(day_values) + 1, dtype=np.int64) * len(card_values))

    in_pool = np.ones(len(card_values), bool)
    table = []
    for i, value in enumerate(day_values.tolist()):
        today = slice(bounds[i], bounds[i + 1])
        cards = pairs[today] % len(card_values)  # ascending, so that equal scores keep the smaller id first
        kept = in_pool[cards]
        cards, score, compromised = cards[kept], highest[today][kept], hit[today][kept]
        top = np.argsort(-score, kind="stable")[:k]
        found = cards[top][compromised[top]]
        in_pool[found] = False
        table.append(
            CardDay(str(value), len(cards), int(compromised.sum()), len(top), len(found), len(found) / k)
        )
    return table
