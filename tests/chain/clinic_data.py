"""Appointments of a made-up clinic: many small CSV files a day, string ids, another domain."""

from __future__ import annotations

import csv
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np


def write_appointments(folder: Path, days: int, *, seed: int = 0, a_day: int = 200) -> None:
    """`folder/<day>/<part>.csv`, two files a day; patients differ in how often they miss."""
    rng = np.random.default_rng(seed)
    habit = rng.beta(0.4, 0.8, size=120)
    number = 0
    for offset in range(days):
        midnight = datetime(2025, 1, 1) + timedelta(days=offset)
        seconds = np.sort(rng.integers(7 * 3600, 19 * 3600, size=a_day))
        patients = rng.integers(0, len(habit), size=a_day)
        lines = []
        for second, patient in zip(seconds, patients, strict=True):
            number += 1
            lines.append(
                {
                    "appointment": f"A{number:07d}",
                    "patient": f"P{patient:04d}",
                    "clinic": f"C{int(patient) % 7}",
                    "starts_at": (midnight + timedelta(seconds=int(second))).isoformat(sep=" "),
                    "minutes": f"{15 + 5 * int(rng.integers(0, 6))}.5",
                    "missed": int(rng.random() < habit[patient]),
                }
            )
        target = folder / f"{midnight:%Y-%m-%d}"
        target.mkdir(parents=True)
        for part in range(2):
            with (target / f"part-{part}.csv").open("w", newline="") as handle:
                writer = csv.DictWriter(handle, fieldnames=list(lines[0]))
                writer.writeheader()
                writer.writerows(lines[part::2])
