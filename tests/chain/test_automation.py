"""Sensors and schedule on a finished home: they say why there is nothing to do, and ask when there is."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest
from clinic import Clinic
from clinic_data import write_appointments

from platform_assets.command_line.dagster_home import prepare
from platform_assets.components.model_product import product_definitions, read_product
from platform_assets.resources import PlatformResource

HERE = Path(__file__).resolve().parent


@pytest.fixture(scope="module")
def finished(make_clinic: Callable[..., Clinic]) -> Clinic:
    clinic = make_clinic(26)
    done = clinic.run()
    assert done.returncode == 0, done.stdout + done.stderr
    return clinic


@pytest.fixture
def definitions(finished: Clinic, monkeypatch: pytest.MonkeyPatch) -> dg.Definitions:
    for name in ("DAGSTER_HOME", "PLATFORM_HOME", "TZ", "GX_ANALYTICS_ENABLED", "MLFLOW_DISABLE_TELEMETRY"):
        monkeypatch.setenv(name, "")
    prepare(finished.stores.home)
    return product_definitions(read_product(finished.defs), finished.defs)


def ticked(definitions: dg.Definitions, finished: Clinic, name: str) -> dg.SensorResult:
    """One look of a sensor, without a daemon."""
    sensor = next(s for s in definitions.sensors or () if s.name == name)
    with (
        dg.DagsterInstance.get() as instance,
        dg.build_sensor_context(
            instance=instance, resources={"platform": PlatformResource(home=str(finished.home))}
        ) as context,
    ):
        result = sensor(context)
    assert isinstance(result, dg.SensorResult)
    return result


@pytest.mark.parametrize(
    "name", ["appointments_source", "clinic_no_shows_chain", "clinic_no_shows_promotion"]
)
def test_nothing_to_do_is_said(definitions: dg.Definitions, finished: Clinic, name: str) -> None:
    result = ticked(definitions, finished, name)
    assert not result.run_requests
    assert "nothing has changed" in str(result.skip_reason)


@pytest.mark.parametrize(
    ("name", "asset"),
    [
        ("appointments_source", "raw/appointments"),
        ("appointments_source", "features/patient_history"),
        ("clinic_no_shows_chain", "clinic_no_shows/predictions"),
    ],
)
def test_days_whose_events_a_killed_run_took_along_are_recorded(
    definitions: dg.Definitions, finished: Clinic, name: str, asset: str
) -> None:
    key = dg.AssetKey(asset.split("/"))
    with dg.DagsterInstance.get() as instance:
        before = instance.get_materialized_partitions(key)
        assert len(before) == 26
        instance.wipe_assets([key])
        result = ticked(definitions, finished, name)
        assert instance.get_materialized_partitions(key) == before
    assert f"{asset}: 26 days were built by a run that was cut off; now recorded" in str(result.skip_reason)
    assert "cut off" not in str(ticked(definitions, finished, name).skip_reason)


def test_days_of_a_run_at_work_are_left_to_it(definitions: dg.Definitions, finished: Clinic) -> None:
    """Its events come at its end: until then nothing was cut off."""
    seen: list[set[str]] = []

    @dg.asset(key=["features", "patient_history"])
    def at_work(context: dg.AssetExecutionContext) -> None:
        ticked(definitions, finished, "appointments_source")
        seen.append(context.instance.get_materialized_partitions(context.asset_key))

    with dg.DagsterInstance.get() as instance:
        instance.wipe_assets([at_work.key])
        dg.materialize([at_work], instance=instance)
    assert seen == [set()]
    ticked(definitions, finished, "appointments_source")


def test_schedule_says_so_too(definitions: dg.Definitions, finished: Clinic) -> None:
    schedule = next(iter(definitions.schedules or ()))
    with dg.DagsterInstance.get() as instance:
        context = dg.build_schedule_context(
            instance=instance, resources={"platform": PlatformResource(home=str(finished.home))}
        )
        result = schedule(context)
    assert isinstance(result, dg.SkipReason)
    assert "nothing has changed" in str(result.skip_message)


def test_reproduce_job_runs(finished: Clinic) -> None:
    code = (
        "import clinic_code_location as c, dagster as dg\n"
        "with dg.DagsterInstance.get() as instance:\n"
        "    job = c.defs.resolve_job_def('clinic_no_shows_reproduce')\n"
        "    print('success', job.execute_in_process(instance=instance).success)\n"
    )
    variables = finished.environment(
        CLINIC_DEFS=str(finished.defs), PYTHONPATH=str(HERE), DAGSTER_HOME=str(finished.home / "dagster")
    )
    done = subprocess.run([sys.executable, "-c", code], env=variables, capture_output=True, text=True)
    assert "success True" in done.stdout, done.stdout + done.stderr


def test_new_day_is_asked_for_and_the_product_waits(
    definitions: dg.Definitions, finished: Clinic, tmp_path: Path
) -> None:
    write_appointments(tmp_path / "more", 27)
    shutil.copytree(tmp_path / "more" / "2025-01-27", finished.data / "2025-01-27")
    requests = ticked(definitions, finished, "appointments_source").run_requests or []
    assert [(r.job_name, r.tags["dagster/asset_partition_range_start"]) for r in requests] == [
        ("appointments_raw", "2025-01-27")
    ]
    again = ticked(definitions, finished, "appointments_source").run_requests or []
    assert [r.run_key for r in again] == [r.run_key for r in requests], "the same cause has the same key"
    waiting = ticked(definitions, finished, "clinic_no_shows_chain")
    assert "waiting for source appointments" in str(waiting.skip_reason)


def test_every_asset_opens_its_declaration_in_an_editor(
    definitions: dg.Definitions, finished: Clinic
) -> None:
    linked = {
        spec.key.path[0]: Path(spec.metadata["dagster/code_references"].code_references[0].file_path)
        for asset in definitions.assets or ()
        for spec in asset.specs
    }
    declared = finished.defs.parent / "feature_repo" / "appointments.yaml"
    assert linked == {"clinic_no_shows": finished.defs, "raw": declared, "features": declared}


def test_a_declaration_in_python_gives_the_same_graph(finished: Clinic, definitions: dg.Definitions) -> None:
    product = read_product(finished.defs)
    written = type(product)(**{name: getattr(product, name) for name in type(product).model_fields})
    made = product_definitions(written, finished.defs)
    ours, theirs = ({spec.key: spec for a in d.assets or () for spec in a.specs} for d in (made, definitions))
    assert ours == theirs
    assert len(ours) == 9 + 7  # the product's own; raw, two views, their online stores and parity
    assert written.training_version == product.training_version
