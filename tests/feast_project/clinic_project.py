"""A small clinic's Feast repository: text keys, two sources, a view without TTL, and a registry in SQLite.

One source is a file without a name, the other a folder of days whose files are all called the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from platform_assets.components.feast_project import read_project
from platform_assets.feast_project.open_project import OpenProject, open_project
from platform_assets.feast_project.snapshot import Snapshot
from platform_assets.feast_project.snapshot_cache import fresh_snapshot
from platform_assets.home import Home
from platform_assets.stores import Stores

NOW = datetime(2026, 6, 1, tzinfo=UTC)
PATIENTS = [f"p{number:02}" for number in range(8)]
CASES = 12
LARGE = 2**60
VITALS, VISITS = "data/vitals.parquet", "visits"
"""The names of the sources."""

SETTINGS = """\
project: clinic
provider: local
registry: {registry_type: sql, path: "sqlite:///data/registry.db"}
online_store: {type: sqlite, path: data/online.db}
offline_store: {type: duckdb}
entity_key_serialization_version: 3
"""
DEFINITIONS = """\
from datetime import timedelta

from feast import Entity, FeatureService, FeatureView, Field, FileSource
from feast.types import Float32, Int64, String

patient = Entity(name="patient", join_keys=["patient_code"])
vitals = FeatureView(
    name="vitals",
    entities=[patient],
    ttl=timedelta(hours=6),
    schema=[Field(name="patient_code", dtype=String), Field(name="pulse", dtype=Int64),
            Field(name="temperature", dtype=Float32)],
    source=FileSource(path="data/vitals.parquet", timestamp_field="measured_at"),
)
visits = FeatureView(
    name="visits",
    entities=[patient],
    schema=[Field(name="visits", dtype=Int64), Field(name="ward", dtype=String)],
    source=FileSource(
        name="visits", path="data/visits", timestamp_field="at", created_timestamp_column="entered"
    ),
)
triage = FeatureService(name="triage", features=[vitals, visits])
"""
DECLARATION = """\
type: platform_assets.components.FeastProject

attributes:
  name: clinic
  repo: repo
  owners: ["team:clinic"]
  as_of: newest
  training_sets:
    - {name: triage, entities: data/cases.parquet, feature_service: triage}
"""


@dataclass(frozen=True)
class Clinic:
    """The repository below `folder/repo`, with its declaration beside it."""

    folder: Path

    @property
    def repo(self) -> Path:
        return self.folder / "repo"

    @property
    def declaration(self) -> Path:
        return self.folder / "defs.yaml"

    @property
    def home(self) -> Home:
        return Home.at(self.folder / "home")

    @property
    def snapshot(self) -> Snapshot:
        return fresh_snapshot(self.home, "clinic", self.repo)

    def opened(self) -> OpenProject:
        return open_project(Stores.at(self.home), read_project(self.declaration), self.repo, self.snapshot)

    def day(self, back: int) -> Path:
        """The file of visits of one day."""
        day = (NOW - timedelta(days=back)).date().isoformat()
        return self.repo / "data" / "visits" / f"day={day}" / "part-0.parquet"

    def write(self) -> Clinic:
        (self.repo / "data").mkdir(parents=True)
        (self.repo / "feature_store.yaml").write_text(SETTINGS)
        (self.repo / "clinic_features.py").write_text(DEFINITIONS)
        self.declaration.write_text(DECLARATION)
        pq.write_table(vital_rows(), self.repo / VITALS)
        for back in (1, 2, 3):
            self.day(back).parent.mkdir(parents=True)
            pq.write_table(visit_rows(back), self.day(back))
        pq.write_table(case_rows(), self.repo / "data" / "cases.parquet")
        return self


def vital_rows() -> pa.Table:
    """Every third hour of two days; the last patient was not measured for a day, some pulses are null."""
    rows = [
        (
            code,
            NOW - timedelta(hours=hours),
            None if (place + hours) % 7 == 0 else 60 + place,
            36.5 + place / 7,
        )
        for place, code in enumerate(PATIENTS)
        for hours in range(25 if code == PATIENTS[-1] else 1, 48, 3)
    ]
    codes, times, pulses, temperatures = zip(*rows, strict=True)
    return pa.table(
        {
            "patient_code": pa.array(codes),
            "measured_at": pa.array(times, pa.timestamp("us", tz="UTC")),
            "pulse": pa.array(pulses, pa.int64()),
            "temperature": pa.array(temperatures, pa.float64()),
        }
    )


def visit_rows(back: int) -> pa.Table:
    """One visit each of the first five patients."""
    at = pa.array([NOW - timedelta(days=back)] * 5, pa.timestamp("us", tz="UTC"))
    return pa.table(
        {
            "patient_code": PATIENTS[:5],
            "at": at,
            "entered": at,
            "visits": pa.array([10 - back] * 5, pa.int64()),
            "ward": [f"ward {place + back}" for place in range(5)],
        }
    )


def case_rows() -> pa.Table:
    """Cases with numbers beyond 2^53 and labels, both missing here and there."""
    places = range(CASES)
    return pa.table(
        {
            "case_id": pa.array([None if p % 3 == 0 else LARGE + p for p in places], pa.int64()),
            "patient_code": [PATIENTS[p % len(PATIENTS)] for p in places],
            "event_timestamp": pa.array(
                [NOW - timedelta(hours=5 * p) for p in places], pa.timestamp("us", tz="UTC")
            ),
            "admitted": pa.array([None if p % 4 == 0 else p % 2 for p in places], pa.int64()),
        }
    )
