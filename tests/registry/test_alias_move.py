"""Two at once, and kill -9 at every point between intent and confirm."""

import multiprocessing
import os
import signal
from dataclasses import replace

import pytest
from registry_world import World

from platform_assets.errors import PromotionRefused
from platform_assets.evidence.ledger import Ledger
from platform_assets.registry.alias_move import lease
from platform_assets.registry.champion import champion
from platform_assets.registry.promotion import promote


@pytest.fixture(scope="module")
def processes():
    """Processes that start from one in which MLflow is imported and nothing is opened."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["mlflow", "sklearn.pipeline", "registry_world"])
    return context


class KilledAt(Ledger):
    """A ledger whose process dies without a word before or after an entry of one kind."""

    def append(self, kind, product, actor, body, *, check=None):
        when, fatal = os.environ["KILLED_AT"].split()
        if (when, fatal) == ("before", kind):
            os.kill(os.getpid(), signal.SIGKILL)
        entry = super().append(kind, product, actor, body, check=check)
        if (when, fatal) == ("after", kind):
            os.kill(os.getpid(), signal.SIGKILL)
        return entry


def promote_and_die(world: World, killed_at: str) -> None:
    os.environ["KILLED_AT"] = killed_at
    stores = world.stores
    promote(
        replace(stores, ledger=KilledAt(stores.ledger.folder)),
        world.repository, world.product, suite_path=world.suite_path, actor="doomed",
    )  # fmt: skip


def promote_and_tell(world: World, barrier, answers) -> None:
    barrier.wait(60)
    try:
        answers.put(world.promote().outcome)
    except Exception as error:
        answers.put(f"{type(error).__name__}: {error}")


def killed(processes, world, killed_at):
    process = processes.Process(target=promote_and_die, args=(world, killed_at))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL


@pytest.mark.parametrize(
    ("killed_at", "left_behind", "healed"),
    [
        pytest.param("before intent", ("1", []), ["intent", "confirm"], id="before the intent"),
        pytest.param(
            "after intent", ("1", ["intent"]), ["intent", "abandon", "intent", "confirm"], id="alias not set"
        ),
        pytest.param("before confirm", ("2", ["intent"]), ["intent", "confirm"], id="alias set"),
        pytest.param("after confirm", ("2", ["intent", "confirm"]), ["intent", "confirm"], id="confirmed"),
    ],
)
def test_killed_promotion_heals_in_the_next_run(processes, challenged, killed_at, left_behind, healed):
    before = len(challenged.kinds())
    killed(processes, challenged, killed_at)
    assert (challenged.alias, challenged.kinds()[before:]) == left_behind

    decision = challenged.promote()
    assert (decision.champion, challenged.alias) == ("2", "2")
    assert challenged.kinds()[before:] == healed
    assert champion(challenged.stores, challenged.product).version == "2"


def test_unconfirmed_holder_is_refused_by_scoring_until_healed(processes, challenged):
    killed(processes, challenged, "before confirm")
    with pytest.raises(PromotionRefused, match="interrupted"):
        champion(challenged.stores, challenged.product)


def test_killed_then_moved_by_hand_is_foreign(processes, challenged):
    killed(processes, challenged, "after intent")
    challenged.mlflow().delete_registered_model_alias("payment_fraud", "champion")
    with pytest.raises(PromotionRefused, match="moved by hand"):
        challenged.promote()
    assert challenged.alias is None
    challenged.mlflow().set_registered_model_alias("payment_fraud", "champion", "2")
    with pytest.raises(PromotionRefused, match="moved by hand"):
        challenged.promote()


def test_killed_and_gates_red_meanwhile_is_decided_again(processes, challenged):
    """An intent is no decision: what was not set yet is held to the gates of now."""
    killed(processes, challenged, "after intent")
    (evidence,) = (e for kind, e in challenged.evidence().items() if kind == "leakage")
    challenged.stores.evidence.record(replace(evidence, verdict="FAILED", reason="found since"))
    assert challenged.promote().outcome == "refused"
    assert challenged.alias == "1"


def test_of_two_at_once_exactly_one_promotes(processes, challenged):
    barrier, answers = processes.Barrier(2), processes.Queue()
    started = [
        processes.Process(target=promote_and_tell, args=(challenged, barrier, answers)) for _ in range(2)
    ]
    for process in started:
        process.start()
    told = sorted(answers.get(timeout=60) for _ in started)
    for process in started:
        process.join(60)
    assert told.count("promoted") == 1
    other = next(answer for answer in told if answer != "promoted")
    assert other == "already_champion" or "being decided right now" in other
    assert challenged.kinds().count("confirm") == 2


def test_promotion_refuses_while_somebody_else_decides(challenged):
    with (
        lease(challenged.stores, "payment_fraud"),
        pytest.raises(PromotionRefused, match="being decided right now"),
    ):
        challenged.promote()
