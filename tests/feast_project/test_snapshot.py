"""Snapshots of a Feast repository: what is in them, when one is made anew, and what cannot be read."""

from __future__ import annotations

import sys

import pytest
from rides_project import FRESH, HOURLY, Rides

from platform_assets.errors import DeclarationError, UnknownName
from platform_assets.feast_project.repo_files import repo_digest
from platform_assets.feast_project.snapshot import Snapshot
from platform_assets.feast_project.snapshot_cache import BESIDE, cached_path, fresh_snapshot, make_snapshot


@pytest.fixture
def no_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever starts a Python now gets a process that fails."""
    monkeypatch.setattr(sys, "executable", "/bin/false")


def test_it_holds_what_the_repository_declares(rides: Rides) -> None:
    snapshot = rides.snapshot
    assert snapshot.made_from == "repo"
    assert [view.name for view in snapshot.views] == [FRESH, HOURLY]
    view = snapshot.view(HOURLY)
    assert (view.entities, view.join_keys, view.ttl) == (("driver",), ("driver_id",), 86400.0)
    assert [(f.name, f.type) for f in view.features] == [
        ("conv_rate", "Float32"), ("acc_rate", "Float64"), ("avg_daily_trips", "Int64"), ("city", "String"),
    ]  # fmt: skip
    assert snapshot.view(FRESH).pushed_by == "driver_push"
    assert snapshot.source("driver_push").batch_source == "driver_hourly"
    assert snapshot.on_demand_view("order_features").views == (HOURLY,)
    assert [f.name for f in snapshot.on_demand_view("order_features").request] == ["bonus"]
    assert snapshot.service("ranking_v1").features[0] == (HOURLY, ("conv_rate", "avg_daily_trips"))


def test_it_reads_back_from_json(rides: Rides) -> None:
    assert Snapshot.from_json(rides.snapshot.to_json()) == rides.snapshot


def test_unchanged_files_need_no_process(rides: Rides, no_processes: None) -> None:
    assert rides.snapshot.project == "rides"


def test_one_beside_the_declaration_is_taken(rides: Rides, no_processes: None) -> None:
    kept = cached_path(rides.home, "rides")
    kept.rename(rides.world.folder / BESIDE)
    assert fresh_snapshot(rides.home, "rides", rides.world.repo, rides.world.folder).project == "rides"
    with pytest.raises(DeclarationError):
        fresh_snapshot(rides.home, "rides", rides.world.repo)


@pytest.mark.parametrize("file", ["example_repo.py", "feature_store.yaml", "more.py"])
def test_every_changed_or_new_file_makes_it_anew(rides: Rides, no_processes: None, file: str) -> None:
    path = rides.world.repo / file
    path.write_text((path.read_text() if path.exists() else "") + "# changed\n")
    with pytest.raises(DeclarationError, match="process ended with 1"):
        fresh_snapshot(rides.home, "rides", rides.world.repo)


def test_data_and_caches_do_not(rides: Rides) -> None:
    before = repo_digest(rides.world.repo)
    (rides.world.repo / "__pycache__").mkdir(exist_ok=True)
    (rides.world.repo / "__pycache__" / "example_repo.py").write_text("x")
    rides.world.hourly.write_bytes(b"")
    assert repo_digest(rides.world.repo) == before


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"format": 99}', b'{"format": 1, "views": 3}'])
def test_a_damaged_one_counts_as_none(rides: Rides, no_processes: None, content: bytes) -> None:
    cached_path(rides.home, "rides").write_bytes(content)
    with pytest.raises(DeclarationError, match="process ended with 1"):
        fresh_snapshot(rides.home, "rides", rides.world.repo)


@pytest.mark.slow
def test_a_repository_that_does_not_import_names_file_and_line(rides: Rides) -> None:
    kept = cached_path(rides.home, "rides").read_bytes()
    rides.world.change(
        "entities=[driver],\n    ttl=timedelta(days=1),\n    schema=[\n", "entities=[drivr],\n    schema=[\n"
    )
    with pytest.raises(DeclarationError) as told:
        make_snapshot(rides.home, "rides", rides.world.repo)
    line = (rides.world.repo / "example_repo.py").read_text().split("\n").index("    entities=[drivr],") + 1
    assert f"example_repo.py:{line}: this file of the Feast repository cannot be imported" in str(told.value)
    assert "name 'drivr' is not defined" in str(told.value)
    assert cached_path(rides.home, "rides").read_bytes() == kept


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "text", "told"),
    [
        ("example_repo.py", "def (:\n", "example_repo.py:1: invalid syntax"),
        ("feature_store.yaml", "project: rides\nprovider: [\n", "feature_store.yaml: ParserError"),
        ("feature_store.yaml", "provider: local\n", "feature_store.yaml: "),
        ("example_repo.py", "import os\nos._exit(3)\n", "the process ended with 3"),
        ("example_repo.py", "x = 1\n", None),
    ],
    ids=["syntax", "yaml", "no project", "exit", "registry only"],
)
def test_what_cannot_be_read_is_told(rides: Rides, file: str, text: str, told: str | None) -> None:
    (rides.world.repo / file).write_text(text)
    if told is None:
        snapshot = make_snapshot(rides.home, "rides", rides.world.repo)
        assert snapshot.made_from == "registry"
        assert [view.name for view in snapshot.views] == [FRESH, HOURLY]
        return
    with pytest.raises(DeclarationError) as error:
        make_snapshot(rides.home, "rides", rides.world.repo)
    assert told in str(error.value)


@pytest.mark.slow
def test_a_view_without_a_schema_gets_that_of_its_source(rides: Rides) -> None:
    text = (rides.world.repo / "example_repo.py").read_text()
    start = text.index('    schema=[\n        Field(name="conv_rate"')
    end = text.index("    source=hourly,")
    (rides.world.repo / "example_repo.py").write_text(text[:start] + text[end:])
    view = make_snapshot(rides.home, "rides", rides.world.repo).view(HOURLY)
    assert {field.name for field in view.features} == {"conv_rate", "acc_rate", "avg_daily_trips", "city"}


def test_unknown_names_tell_the_nearest(rides: Rides) -> None:
    with pytest.raises(UnknownName, match="did you mean 'driver_hourly_stats'"):
        rides.snapshot.view("driver_hourly_stat")
    with pytest.raises(UnknownName, match="did you mean 'ranking_v1'"):
        rides.snapshot.service("ranking_v2")
