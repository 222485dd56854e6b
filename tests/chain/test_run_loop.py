"""What `platform-assets run` says of a failed run, and what it does not ask for twice."""

from __future__ import annotations

import dagster as dg
import pytest

from platform_assets.automation.plan import Work
from platform_assets.command_line.run import _question, _told, _without
from platform_assets.errors import LakeError


@pytest.mark.parametrize(
    ("raised", "told"),
    [
        (LakeError("the store is down: start it"), "the store is down: start it"),
        (ValueError("a value"), "connection refused"),
    ],
)
def test_a_failed_run_is_told_by_our_own_error_where_there_is_one(raised: Exception, told: str) -> None:
    @dg.op
    def fails() -> None:
        try:
            raise ConnectionError("connection refused")
        except ConnectionError as error:
            raise raised from error

    @dg.job
    def one() -> None:
        fails()

    done = one.execute_in_process(raise_on_error=False)
    (failure,) = (event for event in done.all_events if event.is_step_failure)
    assert _told(failure.step_failure_data.error).endswith(told)


def test_parity_that_a_run_measured_is_not_asked_for_again_and_all_else_is() -> None:
    parity = Work("online", ("features", "parity_v"), {"": "mark"})
    later = Work("online", ("features", "parity_v"), {"": "another store"})
    online = Work("online", ("features", "online_v"), {"": "mark"})
    answers = {_question(parity), _question(online)}
    assert _without([parity, later, online], answers) == [later, online]
