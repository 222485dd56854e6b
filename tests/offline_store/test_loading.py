"""A plain Feast repository loads the store by its class path, and nothing of the platform beside it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pandas as pd
from feast_world import day

SETTINGS = """\
project: drivers
provider: local
registry: registry.db
online_store: {type: sqlite, path: online.db}
offline_store:
  type: platform_assets.offline_store.as_of.AsOfOfflineStore
  memory_limit: 500MB
entity_key_serialization_version: 3
"""

VIEWS = """\
from datetime import timedelta
from feast import Entity, FeatureView, Field, FileSource, ValueType
from feast.types import Float32, Int64

driver = Entity(name="driver", join_keys=["driver_id"], value_type=ValueType.INT64)
hourly = FeatureView(
    name="driver_hourly_stats",
    entities=[driver],
    ttl=timedelta(days=1),
    schema=[Field(name="conv_rate", dtype=Float32), Field(name="avg_daily_trips", dtype=Int64)],
    source=FileSource(
        name="driver_stats", path="data/driver_stats.parquet", timestamp_field="event_timestamp",
        created_timestamp_column="created",
    ),
)
"""

ASK = """\
import sys
import feast
import pandas as pd
store = feast.FeatureStore(repo_path=".")
asked = pd.DataFrame({"driver_id": [1001, 1002], "event_timestamp": pd.to_datetime(["2024-01-02 12:00"] * 2, utc=True)})
found = store.get_historical_features(asked, ["driver_hourly_stats:conv_rate"]).to_df()
assert found["conv_rate"].to_list() == [0.5, 0.25], found
loaded = sorted(name for name in sys.modules if name.split(".")[0] in ("dagster", "mlflow", "ibis", "pyspark"))
rooms = {name.split(".")[1] for name in sys.modules if name.startswith("platform_assets.")}
print(loaded, sorted(rooms))
"""


def run(folder: Path, *command: str) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_plain_feast_repository(tmp_path: Path) -> None:
    (tmp_path / "feature_store.yaml").write_text(SETTINGS)
    (tmp_path / "views.py").write_text(VIEWS)
    (tmp_path / "data").mkdir()
    pd.DataFrame(
        {
            "event_timestamp": [day("01-02 11:00"), day("01-02 12:00")],
            "driver_id": [1001, 1002],
            "conv_rate": pd.array([0.5, 0.25], "float32"),
            "avg_daily_trips": pd.array([3, 4], "int32"),
            "created": [day("01-02 12:00"), day("01-02 12:00")],
        }
    ).to_parquet(tmp_path / "data/driver_stats.parquet")
    assert "driver_hourly_stats" in run(tmp_path, str(Path(sys.executable).parent / "feast"), "apply")
    loaded, rooms = run(tmp_path, sys.executable, "-c", ASK).strip().splitlines()[-1].split("] ")
    assert loaded == "["
    assert rooms == "['declaration', 'errors', 'features', 'lake', 'offline_store']"
