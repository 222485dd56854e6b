"""Card payments made up from a published specification, the same for the same seed.

Source: Le Borgne, Siblini, Lebichot, Bontempi, *Reproducible Machine Learning for Credit Card Fraud
Detection* (ULB, 2022), chapter 3, "Transaction data simulator".

Every day has its own random streams and nothing depends on how many days were asked for, so a
longer history begins with exactly the rows of a shorter one, as a real source does.
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    Ints = npt.NDArray[np.int64]
    Floats = npt.NDArray[np.float64]

GENERATOR_VERSION = "1"
"""Part of every token: raise it when the same parameters give other rows."""

SECONDS = 86_400
FRAUD_AMOUNT = 220.0
TERMINALS_A_DAY, TERMINAL_DAYS = 2, 28
CUSTOMERS_A_DAY, CUSTOMER_DAYS, CUSTOMER_FACTOR = 3, 14, 5

# names of the independent random streams below one seed
_PROFILES, _TERMINALS, _PAYMENTS, _TERMINAL_CAMPAIGN, _CUSTOMER_CAMPAIGN = range(5)

COLUMNS = (
    "TRANSACTION_ID", "TX_DATETIME", "CUSTOMER_ID", "TERMINAL_ID", "TX_AMOUNT",
    "TX_TIME_SECONDS", "TX_TIME_DAYS", "TX_FRAUD", "TX_FRAUD_SCENARIO",
)  # fmt: skip


def generate(customers: int, terminals: int, days: int, start: date, radius: float, seed: int) -> pa.Table:
    """Payments of `days` days from `start` on, in order of time.

    Columns are `COLUMNS`: ids and codes int64, TX_DATETIME timestamp[us] in whole seconds UTC,
    TX_AMOUNT float64 in whole cents, TRANSACTION_ID counting from 0 in order of time. A payment
    belongs to the last fraud scenario that took hold of it (1 amount, 2 terminal, 3 customer).
    Raises ValueError for a count that is not positive.
    """
    import numpy as np
    import pyarrow as pa

    for name, value in (("customers", customers), ("terminals", terminals), ("days", days)):
        if value < 1:
            raise ValueError(f"generator: {name} must be at least 1, not {value}")
    # campaigns pick a third of a whole fortnight, so rows are drawn until the last one has ended
    drawn = days + CUSTOMER_DAYS - 1
    moment, customer, terminal, amount = _payments(customers, terminals, drawn, radius, seed)
    fraud = np.zeros(len(moment), dtype=np.int64)
    fraud[amount > FRAUD_AMOUNT] = 1
    _terminal_campaigns(fraud, moment // SECONDS, terminal, terminals, drawn, seed)
    _customer_campaigns(fraud, amount, moment // SECONDS, customer, customers, drawn, seed)
    rows = int(np.searchsorted(moment, days * SECONDS))
    moment, customer, terminal = moment[:rows], customer[:rows], terminal[:rows]
    amount, fraud = amount[:rows], fraud[:rows]
    zero = np.datetime64(start, "us").astype(np.int64)
    return pa.table(
        {
            "TRANSACTION_ID": np.arange(rows, dtype=np.int64),
            "TX_DATETIME": pa.array(zero + moment * 1_000_000, pa.int64()).cast(pa.timestamp("us")),
            "CUSTOMER_ID": customer,
            "TERMINAL_ID": terminal,
            "TX_AMOUNT": amount,
            "TX_TIME_SECONDS": moment,
            "TX_TIME_DAYS": moment // SECONDS,
            "TX_FRAUD": (fraud > 0).astype(np.int64),
            "TX_FRAUD_SCENARIO": fraud,
        }
    )


def _payments(
    customers: int, terminals: int, days: int, radius: float, seed: int
) -> tuple[Ints, Ints, Ints, Floats]:
    """Second since the start, customer, terminal and amount of every honest payment, in order of time."""
    import numpy as np

    draw = np.random.default_rng((seed, _PROFILES))
    place = draw.uniform(0, 100, (customers, 2))
    mean_amount = draw.uniform(5, 100, customers)
    mean_payments = draw.uniform(0, 4, customers)
    near, first = _near_terminals(place, terminals, radius, seed)
    choices = np.diff(first)
    parts: list[tuple[Ints, Ints, Ints, Floats]] = []
    for day in range(days):
        draw = np.random.default_rng((seed, _PAYMENTS, day))
        who = np.repeat(np.arange(customers), draw.poisson(mean_payments))
        second = np.floor(draw.normal(SECONDS / 2, 20_000, len(who))).astype(np.int64)
        mean = mean_amount[who]
        amount = draw.normal(mean, mean / 2)
        amount = np.where(amount < 0, draw.uniform(0, 2 * mean), amount)
        # hundredths through one division give the double nearest to the decimal number
        amount = np.rint(amount * 100) / 100
        pick = (draw.random(len(who)) * choices[who]).astype(np.int64)
        kept = np.flatnonzero((second >= 0) & (second < SECONDS) & (choices[who] > 0))
        kept = kept[np.argsort(second[kept], kind="stable")]
        where = near[first[who[kept]] + pick[kept]]
        parts.append((day * SECONDS + second[kept], who[kept], where, amount[kept]))
    moment, customer, terminal, amounts = (np.concatenate(column) for column in zip(*parts, strict=True))
    return moment, customer, terminal, amounts


def _near_terminals(place: Floats, terminals: int, radius: float, seed: int) -> tuple[Ints, Ints]:
    """Terminals nearer than `radius` of every customer, one after the other, and where each begins."""
    import numpy as np
    from scipy.spatial import cKDTree

    terminal_place = np.random.default_rng((seed, _TERMINALS)).uniform(0, 100, (terminals, 2))
    lists = cKDTree(terminal_place).query_ball_point(place, radius, return_sorted=True)
    first = np.concatenate([[0], np.cumsum([len(near) for near in lists])]).astype(np.int64)
    return np.concatenate([np.asarray(near, dtype=np.int64) for near in lists]), first


def _terminal_campaigns(fraud: Ints, day: Ints, terminal: Ints, terminals: int, days: int, seed: int) -> None:
    """Scenario 2: all payments at a drawn terminal on the day of the draw and the 27 after it."""
    import numpy as np

    # last day on which a draw has hold of the terminal; draws come in order, so the newest is the last
    held = np.zeros((terminals, days), dtype=bool)
    for drawn in range(days):
        draw = np.random.default_rng((seed, _TERMINAL_CAMPAIGN, drawn))
        for one in draw.choice(terminals, min(TERMINALS_A_DAY, terminals), replace=False):
            held[one, drawn : drawn + TERMINAL_DAYS] = True
    fraud[held[terminal, day]] = 2


def _customer_campaigns(
    fraud: Ints, amount: Floats, day: Ints, customer: Ints, customers: int, days: int, seed: int
) -> None:
    """Scenario 3: a third of all payments of the drawn customers of a day, of 14 days, five times as high."""
    import numpy as np

    order = np.argsort(customer, kind="stable")  # within a customer, rows stay in order of time
    begins = np.searchsorted(customer[order], np.arange(customers + 1))
    for drawn in range(days):
        draw = np.random.default_rng((seed, _CUSTOMER_CAMPAIGN, drawn))
        rows = []
        for one in np.sort(draw.choice(customers, min(CUSTOMERS_A_DAY, customers), replace=False)):
            mine = order[begins[one] : begins[one + 1]]
            rows.append(mine[slice(*np.searchsorted(day[mine], (drawn, drawn + CUSTOMER_DAYS)))])
        among = np.concatenate(rows)
        taken = draw.choice(among, len(among) // 3, replace=False)
        amount[taken] = np.rint(amount[taken] * (100 * CUSTOMER_FACTOR)) / 100
        fraud[taken] = 3
