"""What a sensor asks for while a run is at work: nothing that the run is building, however far it has come."""

from datetime import timedelta

import dagster as dg
import pytest

from platform_assets.automation.plan import Request
from platform_assets.jobs.run_requests import run_requests

RAW, VIEW = ("raw", "payments"), ("features", "spending")
SET, RUN = ("fraud", "training_set"), ("fraud", "training_run")


def asked_within(
    job: str, building: list[tuple[str, ...]], owner: str, *wanted: Request, selected: bool
) -> list[str | None]:
    """Launch a job that builds some assets; from within, ask as a sensor would. Jobs of what was asked for."""
    asked: list[str | None] = []

    def asset(key: tuple[str, ...]) -> dg.AssetsDefinition:
        @dg.asset(key=list(key))
        def built(context: dg.AssetExecutionContext) -> None:
            if key == building[0]:
                made, waits = run_requests(context.instance, owner, wanted, timedelta(hours=1))
                asked.extend(request.job_name for request in made)
                assert [context.run.run_id[:8] in told for told in waits] == [True] * (
                    len(wanted) - len(made)
                )

        return built

    keys = [RAW, VIEW, SET, RUN]
    chosen = building if selected else []
    definitions = dg.Definitions(
        assets=[asset(key) for key in keys],
        jobs=[dg.define_asset_job(job, dg.AssetSelection.assets(*(dg.AssetKey(list(k)) for k in building)))],
    )
    with dg.instance_for_test() as instance:
        definitions.resolve_job_def(job).execute_in_process(
            instance=instance, asset_selection=[dg.AssetKey(list(key)) for key in chosen] or None
        )
    return asked


def request(stage: str, *assets: tuple[str, ...], days: tuple[str, str] | None = None) -> Request:
    return Request(stage, assets, days, change="as seen half way", reason="")


@pytest.mark.parametrize("selected", [True, False], ids=["by a sensor", "from the jobs page"])
@pytest.mark.parametrize(
    ("job", "building", "owner", "wanted", "asks"),
    [
        (
            "payments_raw",
            [RAW],
            "payments",
            request("raw", RAW, days=("2024-01-02", "2024-01-03")),
            [],
        ),
        ("fraud_training", [SET, RUN], "fraud", request("training", RUN), []),
        ("fraud_daily", [SET, RUN], "fraud", request("training", SET, RUN), []),
        ("payments_raw", [RAW], "payments", request("features", VIEW), ["payments_features"]),
    ],
    ids=["the days that are left", "the rest of a chain", "what the schedule builds", "something else"],
)
def test_what_a_run_is_building_is_not_asked_for_again(
    job: str,
    building: list[tuple[str, ...]],
    owner: str,
    wanted: Request,
    asks: list[str],
    selected: bool,
) -> None:
    assert asked_within(job, building, owner, wanted, selected=selected) == asks


def test_a_run_that_ended_keeps_nobody_waiting() -> None:
    wanted = request("raw", RAW)
    with dg.instance_for_test() as instance:

        @dg.asset(key=list(RAW))
        def raw() -> None: ...

        assert dg.materialize([raw], instance=instance).success
        assert len(run_requests(instance, "payments", [wanted], timedelta(hours=1))[0]) == 1


def test_two_ranges_of_one_look_are_asked_for_together() -> None:
    ranges = [("2024-01-02", "2024-01-03"), ("2024-01-07", "2024-01-07")]
    wanted = [request("raw", RAW, days=days) for days in ranges]
    with dg.instance_for_test() as instance:
        assert len(run_requests(instance, "payments", wanted, timedelta(hours=1))[0]) == 2


def test_a_run_that_failed_is_told_until_its_cooldown_has_passed() -> None:
    wanted = request("raw", RAW, days=("2024-01-02", "2024-01-03"))
    with dg.instance_for_test() as instance:

        @dg.asset(key=list(RAW))
        def raw() -> None:
            raise ValueError("the file is half a file")

        (asked,), _ = run_requests(instance, "payments", [wanted], timedelta(days=10_000))
        failed = dg.materialize(
            [raw], instance=instance, raise_on_error=False, tags={"dagster/run_key": str(asked.run_key)}
        )
        again, (told,) = run_requests(instance, "payments", [wanted], timedelta(days=10_000))
        assert not again
        assert told.startswith(f"raw 2024-01-02 .. 2024-01-03: run {failed.run_id[:8]} ended in FAILURE at ")
        assert "it is asked for again after " in told
        later, _ = run_requests(instance, "payments", [wanted], timedelta(seconds=1))
        assert len(later) == 1, "another cooldown period"
