"""Which days train and which days test."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from platform_assets.declaration.duration import format_duration
from platform_assets.declaration.product import Product, Split
from platform_assets.errors import DeclarationError


@dataclass(frozen=True)
class SplitDays:
    """The days of one split, each `YYYY-MM-DD` in order.

    `trained_as_of` is the first moment of the first test day, ISO 8601 in UTC; every label that
    trains must be known by then. `id` names the split's partition.
    """

    train: tuple[str, ...]
    test: tuple[str, ...]
    trained_as_of: str
    id: str

    @property
    def days(self) -> tuple[str, ...]:
        """Train and test days together, in order."""
        return (*self.train, *self.test)


def resolve_split(split: Split, newest_day: str) -> SplitDays:
    """Train days [s, s+n), test days [s+n+delay, +m).

    A rolling split ends with `newest_day`; a fixed one starts at its `train_start`, whatever the
    newest day is.

    >>> resolve_split(Split(train_days=2, delay_days=1, test_days=1), "2018-04-10").id
    '2018-04-07_2_1_1'
    """
    length = split.train_days + split.delay_days + split.test_days
    start = split.train_start or date.fromisoformat(newest_day) - timedelta(days=length - 1)
    test_start = start + timedelta(days=split.train_days + split.delay_days)
    return SplitDays(
        train=days_from(start, split.train_days),
        test=days_from(test_start, split.test_days),
        trained_as_of=f"{test_start.isoformat()}T00:00:00.000000Z",
        id=f"{start.isoformat()}_{split.train_days}_{split.delay_days}_{split.test_days}",
    )


def days_from(start: date, count: int) -> tuple[str, ...]:
    """`count` days from `start` on, as `YYYY-MM-DD`."""
    return tuple((start + timedelta(days=n)).isoformat() for n in range(count))


def check_label_delay(product: Product) -> None:
    """Raise DeclarationError when the split waits shorter than labels take to become known.

    A label that tells its own time in a column is held against that time row by row instead.
    """
    label, split = product.label, product.split
    if label.available_at is None and label.delay > timedelta(days=split.delay_days):
        raise DeclarationError(
            f"product {product.name!r}: split.delay_days is {split.delay_days}, but label {label.column!r} "
            f"is known only after label.delay {format_duration(label.delay)}: the last train days would use "
            f"labels that nobody had; set split.delay_days to at least {-(-label.delay // timedelta(days=1))}"
        )
