"""The component: its graph from ten lines and a snapshot, without Feast; and every mistake in the lines."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest
from rides_project import Rides

from platform_assets.__main__ import main
from platform_assets.components.feast_project import project_definitions, read_project
from platform_assets.components.location import in_environment
from platform_assets.environments import environment
from platform_assets.errors import DeclarationError
from platform_assets.feast_project.open_project import open_project
from platform_assets.feast_project.registry_file import check_registry_file
from platform_assets.feast_project.repo_files import read_configuration
from platform_assets.feast_project.snapshot_cache import BESIDE

HEAVY = ("feast", "pandas", "numpy", "pyarrow", "duckdb", "mlflow", "dask")


@pytest.fixture
def declared(rides: Rides, monkeypatch: pytest.MonkeyPatch) -> Rides:
    monkeypatch.setenv("PLATFORM_HOME", str(rides.home.root))
    return rides


def definitions_of(rides: Rides) -> dg.Definitions:
    return in_environment(environment(), project_definitions(rides.project, rides.world.declaration))


def test_the_graph(declared: Rides) -> None:
    graph = definitions_of(declared).resolve_asset_graph()
    deps = {
        key.to_user_string(): sorted(p.to_user_string() for p in graph.get(key).parent_keys)
        for key in graph.get_all_asset_keys()
    }
    hourly, fresh = "driver_hourly_stats", "driver_fresh_stats"
    views = {
        f"rides/{noun}_{view}": parents
        for view in (hourly, fresh)
        for noun, parents in (
            ("offline", ["rides/registry", "rides/source_driver_hourly"]),
            ("online", [f"rides/offline_{view}"]),
            ("parity", [f"rides/online_{view}"]),
        )
    }
    assert deps == {
        "rides/registry": [],
        "rides/source_driver_hourly": ["rides/registry"],
        **views,
        "rides/training_set_ranking": ["rides/registry", "rides/source_driver_hourly"],
        "rides/served_ranking": [f"rides/online_{hourly}", "rides/training_set_ranking"],
    }
    checks = {check.to_user_string() for check in graph.asset_check_keys}
    assert f"rides/parity_{hourly}:parity" in checks
    assert "rides/source_driver_hourly:fresh" in checks


def test_every_asset_says_who_and_what(declared: Rides) -> None:
    definitions = definitions_of(declared)
    for key in definitions.resolve_asset_graph().get_all_asset_keys():
        spec = definitions.resolve_assets_def(key).specs_by_key[key]
        assert "team:rides" in spec.owners
        assert spec.description
        assert "feast" in spec.kinds
        assert spec.code_version
        assert spec.group_name == "rides"
    (spec,) = [
        s for s in definitions.resolve_all_asset_specs() if s.key.path[1:] == ["offline_driver_hourly_stats"]
    ]
    assert "drivers@rides.example" in spec.owners
    assert [c.name for c in spec.metadata["dagster/column_schema"].columns] == [
        "driver_id", "conv_rate", "acc_rate", "avg_daily_trips", "city",
    ]  # fmt: skip


def test_loading_imports_neither_feast_nor_anything_heavy(declared: Rides, tmp_path: Path) -> None:
    defs = tmp_path / "squad" / "squad_defs"
    defs.mkdir(parents=True)
    (defs / "__init__.py").touch()
    declared.world.folder.rename(defs / "rides")
    script = tmp_path / "load.py"
    script.write_text(
        "import json, sys\n"
        "import squad_defs\n"
        "import platform_assets\n"
        "keys = platform_assets.code_location(squad_defs).resolve_asset_graph().get_all_asset_keys()\n"
        f"print(json.dumps([len(keys), [name for name in {HEAVY!r} if name in sys.modules]]))\n"
    )
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(script)],
        capture_output=True,
        text=True,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(defs.parent), str(root)]),
            "PLATFORM_HOME": str(defs / "rides" / "home"),
        },
    )
    assert done.stdout, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == [10, []]


@pytest.mark.parametrize(
    ("old", "new", "line", "told"),
    [
        ("  as_of: newest\n", "  feature_views: [driver_hourly_stat]\n", 7,
         "no feature view 'driver_hourly_stat'; did you mean 'driver_hourly_stats'"),
        ("feature_service: ranking_v1", "feature_service: rankng_v1", 10,
         "no feature service 'rankng_v1'; did you mean 'ranking_v1'"),
        ("feature_service: ranking_v1", "features: [driver_hourly_stats:town]", 10, "no feature of driver_hourly_stats 'town'"),
        ("feature_service: ranking_v1", "features: [town]", 10, "expected view:feature, not 'town'"),
        (", feature_service: ranking_v1", "", 10, "say either feature_service: <name> or features"),
        ("  as_of: newest\n", "  feature_views: [driver_fresh_stats]\n", 10,
         "reads driver_hourly_stats; name it in feature_views too"),
        ("repo: feast_repo", "repo: feast_rep", 1, "feast_rep/feature_store.yaml: no such file"),
        ("owners:", "ownrs:", 6, "did you mean 'owners'"),
        ("as_of: newest", "as_of: newer", 7, "did you mean 'newest'"),
        ("freshness: 2h", "freshness: 2 hours", 8, "expected a length of time"),
        ("freshness: 2h", 'schedule: {cron: "61 * * * *"}', 8, "minute is '61'"),
        ("  as_of: newest\n", "  feature_views: [driver_hourly_stats, driver_hourly_stats]\n", 7,
         "feature_views: declared twice: driver_hourly_stats"),
        ("name: rides\n", "name: Rides\n", 4, "expected lower-case letters"),
    ],
    ids=["view", "service", "feature", "reference", "no features", "left out", "repo", "field", "as_of", "freshness",
         "cron", "twice", "name"],
)  # fmt: skip
def test_a_wrong_declaration_is_told_with_its_line(
    declared: Rides, old: str, new: str, line: int, told: str
) -> None:
    text = declared.world.declaration.read_text()
    assert old in text
    declared.world.declaration.write_text(text.replace(old, new))
    with pytest.raises(DeclarationError) as error:
        project_definitions(read_project(declared.world.declaration), declared.world.declaration)
    assert told in str(error.value), error.value
    if "no such file" not in told:
        assert f"defs.yaml:{line}:" in str(error.value), error.value


def test_a_schedule_is_made_only_when_declared(declared: Rides) -> None:
    assert not definitions_of(declared).schedules
    declared.world.declaration.write_text(
        declared.world.declaration.read_text()
        + '  schedule: {cron: "15 * * * *", time_zone: Europe/Berlin}\n'
    )
    (schedule,) = definitions_of(declared).schedules or ()
    assert (schedule.cron_schedule, schedule.execution_timezone) == ("15 * * * *", "Europe/Berlin")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"\xff\xfe not a protobuf at all", "registry.db: damaged, this is no Feast registry; restore it, or delete it"),
        (b"\x1a\x0299", "registry.db: registry of version"),
        (b"", "registry.db: registry of version 'none'"),
    ],
    ids=["damaged", "later", "empty"],
)  # fmt: skip
def test_a_registry_that_cannot_be_read(declared: Rides, content: bytes, told: str) -> None:
    from feast.protos.feast.core.Registry_pb2 import Registry

    path = declared.world.repo / "data" / "registry.db"
    if content == b"\x1a\x0299":
        content = Registry(registry_schema_version="99").SerializeToString()
        told = "registry.db: registry of version '99'; this Feast reads 1. Upgrade Feast here"
    path.write_bytes(content)
    for attempt in (
        lambda: check_registry_file(read_configuration(declared.world.repo)),
        lambda: open_project(declared.stores, declared.project, declared.world.repo, declared.snapshot),
    ):
        with pytest.raises(DeclarationError) as error:
            attempt()
        assert told in str(error.value)
    assert path.read_bytes() == content
    assert declared.stores.lake.tables() == []


@pytest.mark.slow
def test_the_command_reads_anew_and_writes_beside(
    declared: Rides, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["feast-snapshot", str(declared.world.declaration), "--beside"]) == 0
    told = capsys.readouterr().out
    assert "Feast project rides" in told
    assert "driver_fresh_stats" in told
    assert (declared.world.folder / BESIDE).exists()
    declared.world.change("driver_hourly_stats = FeatureView", "driver_hourly_stats = FeatureVew")
    assert main(["feast-snapshot", str(declared.world.declaration)]) == 1
    assert "name 'FeatureVew' is not defined" in capsys.readouterr().err
