"""The whole repository through Dagster: every asset an event with its checks and evidence."""

from __future__ import annotations

from collections.abc import Iterator

import dagster as dg
import pyarrow.compute as pc
import pytest
from rides_project import Rides

from platform_assets.components.feast_project import project_definitions
from platform_assets.components.location import in_environment
from platform_assets.environments import environment

HOURLY = "driver_hourly_stats"


@pytest.fixture
def instance(rides: Rides, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    monkeypatch.setenv("PLATFORM_HOME", str(rides.home.root))
    with dg.instance_for_test() as made:
        yield made


def definitions_of(rides: Rides) -> dg.Definitions:
    """The repository was applied already: its registry asset only compares, which needs no process."""
    project = rides.project.model_copy(update={"apply": False})
    return in_environment(environment(), project_definitions(project, rides.world.declaration))


def run(rides: Rides, instance: dg.DagsterInstance, *, passes: bool = True) -> dg.ExecuteInProcessResult:
    definitions = definitions_of(rides)
    done = definitions.resolve_job_def("rides_materialization").execute_in_process(
        instance=instance, raise_on_error=False
    )
    assert done.success is passes
    return done


def verdicts(done: dg.ExecuteInProcessResult) -> dict[str, bool]:
    return {e.asset_check_key.to_user_string(): e.passed for e in done.get_asset_check_evaluations()}


def metadata(instance: dg.DagsterInstance, name: str) -> dict[str, object]:
    event = instance.get_latest_materialization_event(dg.AssetKey(["rides", name]))
    assert event is not None
    assert event.asset_materialization is not None
    return {name: value.value for name, value in event.asset_materialization.metadata.items()}


def test_all_is_built_checked_and_told(rides: Rides, instance: dg.DagsterInstance) -> None:
    done = run(rides, instance)
    told = verdicts(done)
    assert told == {
        "rides/registry:registered_as_declared": True,
        "rides/source_driver_hourly:no_copies": True,
        "rides/source_driver_hourly:fresh": False,  # the rows are of March
        "rides/parity_driver_hourly_stats:parity": True,
        "rides/parity_driver_fresh_stats:parity": True,
        "rides/served_ranking:served_equals_training": True,
    }
    parity = metadata(instance, f"parity_{HOURLY}")
    assert (parity["evidence/verdict"], parity["measured/entities"]) == ("PASSED", 12)
    assert metadata(instance, f"online_{HOURLY}")["entities"] == 11
    assert metadata(instance, f"offline_{HOURLY}")["expired"] == 1
    assert metadata(instance, "source_driver_hourly")["dagster/row_count"] == 1167
    assert metadata(instance, "training_set_ranking")["dagster/row_count"] == 40


@pytest.mark.slow
def test_a_second_run_gives_the_same_versions(rides: Rides, instance: dg.DagsterInstance) -> None:
    run(rides, instance)
    parts = [f"offline_{HOURLY}", f"online_{HOURLY}", "training_set_ranking", "source_driver_hourly"]
    before = [metadata(instance, part)["platform/digest"] for part in parts]
    run(rides, instance)
    assert [metadata(instance, part)["platform/digest"] for part in parts] == before
    tables = rides.stores.lake.tables()
    assert {m.sequence for table in tables for m in table.current().values()} == {1}


def test_a_source_that_cannot_be_used_stops_all_behind_it(rides: Rides, instance: dg.DagsterInstance) -> None:
    rides.rewrite(lambda rows: rows.drop_columns(["event_timestamp"]))
    done = run(rides, instance, passes=False)
    (failed,) = [e for e in done.all_events if e.is_step_failure]
    assert failed.step_key == "rides__source_driver_hourly"
    assert rides.stores.lake.tables() == []


@pytest.mark.slow
def test_a_repository_that_changed_after_loading(rides: Rides, instance: dg.DagsterInstance) -> None:
    job = definitions_of(rides).resolve_job_def("rides_materialization")
    path = rides.world.repo / "example_repo.py"
    path.write_text(path.read_text().replace("ttl=timedelta(days=1)", "ttl=timedelta(days=2)"))
    done = job.execute_in_process(instance=instance, raise_on_error=False)
    (failed,) = [e for e in done.all_events if e.is_step_failure]
    assert failed.step_key == "rides__registry"
    assert "changed since this code location was loaded; reload it" in str(failed.event_specific_data)


@pytest.mark.slow
def test_the_registry_asset_applies(rides: Rides, instance: dg.DagsterInstance) -> None:
    """From a repository that nobody applied, with `apply: true`."""
    (rides.world.repo / "data" / "registry.db").unlink()
    (rides.world.repo / "data" / "online.db").unlink()
    definitions = in_environment(environment(), project_definitions(rides.project, rides.world.declaration))
    job = definitions.resolve_job_def("rides_materialization")
    assert job.execute_in_process(instance=instance).success
    rides.rewrite(lambda rows: rows.filter(pc.not_equal(rows["driver_id"], 1001)))
    (rides.world.repo / "data" / "registry.db").unlink()  # what was materialized is known to the lake
    done = job.execute_in_process(instance=instance)
    assert done.success
    assert metadata(instance, "registry")["healed"] == "driver_fresh_stats, driver_hourly_stats"
