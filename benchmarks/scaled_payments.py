"""The project's payments at any size: populations of up to 5,000 card holders side by side.

Each block is the embedded generator with a seed of its own and numbers of its own, so that card holders
and terminals grow with the rows while a card holder pays as often as before. Memory holds one block.

    python benchmarks/scaled_payments.py FOLDER ROWS [--days 183]
"""

from __future__ import annotations

import argparse
import tempfile
from datetime import date, timedelta
from pathlib import Path
from typing import Any

START = date(2018, 4, 1)
CUSTOMERS, ROWS_A_DAY = 5000, 9814  # of a block, by the generator's own activity
IDS_A_BLOCK = 10_000_000


def write_payments(folder: Path, rows: int, days: int) -> int:
    """About `rows` payments as raw days of a lake below `folder`; returns how many they are."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from platform_assets.home import Home
    from platform_assets.stores import Stores
    from platform_assets.vocabulary import AVAILABLE_AT, raw_table

    wanted = rows / (ROWS_A_DAY * days)  # blocks
    blocks = max(1, round(wanted))
    raw = Stores.at(Home.at(folder)).lake.table(raw_table("card_transactions"))
    count = 0
    with tempfile.TemporaryDirectory(prefix="blocks-", dir=folder) as place:
        files = [
            write_block(Path(place), block, round(CUSTOMERS * wanted / blocks), days)
            for block in range(blocks)
        ]
        readers = [pq.ParquetFile(file) for file in files]
        for number in range(days):
            part = pa.concat_tables([reader.read_row_group(number) for reader in readers])
            part = part.append_column(AVAILABLE_AT, part.column("TX_DATETIME"))
            day = (START + timedelta(days=number)).isoformat()
            raw.write(day, part, key=["TRANSACTION_ID"], code_version="1", inputs={}, cause="benchmark")
            count += part.num_rows
    return count


def write_block(folder: Path, block: int, customers: int, days: int) -> Path:
    """One population, a row group a day."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    from platform_assets.features.compute import daily
    from platform_assets.raw.generator import generate

    rows = generate(
        customers=customers, terminals=2 * customers, days=days, start=START, radius=5, seed=block
    )
    for name, apart in (
        ("TRANSACTION_ID", IDS_A_BLOCK),
        ("CUSTOMER_ID", CUSTOMERS * 2),
        ("TERMINAL_ID", CUSTOMERS * 4),
    ):
        moved = pc.add(rows.column(name), block * apart)
        rows = rows.set_column(rows.column_names.index(name), name, moved)
    path = folder / f"{block}.parquet"
    names = [(START + timedelta(days=number)).isoformat() for number in range(days)]
    with pq.ParquetWriter(path, rows.schema) as writer:
        for _, part in daily(rows, "TX_DATETIME", names):
            writer.write_table(part, row_group_size=max(1, part.num_rows))
    return path


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("rows", type=float)
    parser.add_argument("--days", type=int, default=183)
    options: Any = parser.parse_args(arguments)
    print(write_payments(options.folder, int(options.rows), options.days))


if __name__ == "__main__":
    main()
