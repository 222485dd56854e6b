"""The registry's database is lost: lake and ledger bring versions and champion back."""

import shutil

import pytest
from registry_world import SPLIT_ID

from platform_assets.errors import Blocked
from platform_assets.lineage.verification import verify
from platform_assets.registry.champion import champion
from platform_assets.registry.restore import restore_registry
from platform_assets.training.mlflow_store import open_mlflow

ASKED = ("payment_fraud", "ana@payments.example", "its disk was lost")


def lose_database(world) -> None:
    (world.stores.home.mlflow / "mlflow.db").unlink()


def test_versions_and_champion_come_back_under_their_numbers(challenged) -> None:
    before = champion(challenged.stores, challenged.product)
    lose_database(challenged)
    assert restore_registry(challenged.stores, *ASKED) == ["1", "2"]
    assert champion(challenged.stores, challenged.product) == before
    assert verify(challenged.stores).broken == []
    assert challenged.promote().promoted, "and version 2 is decided on as ever"
    assert challenged.stores.ledger.entries("payment_fraud", "restore")[0].body["versions"] == ["1", "2"]
    challenged.candidate(regularisation=0.25)
    newest = challenged.table("registered_model").history(SPLIT_ID)[-1]
    assert newest.notes["version"] == "3", "no number is given twice"


def test_a_number_the_lake_does_not_know_is_not_given_again(challenged) -> None:
    challenged.table("registered_model").folder.joinpath("manifests", SPLIT_ID, "000001.json").unlink()
    lose_database(challenged)
    assert restore_registry(challenged.stores, *ASKED) == ["2"]
    client = open_mlflow(challenged.stores)
    assert [v.version for v in client.search_model_versions("name='payment_fraud'")] in (["2"], [2])


def test_a_registry_that_is_there_is_left_alone(challenged) -> None:
    with pytest.raises(Blocked, match="only after it was lost"):
        restore_registry(challenged.stores, *ASKED)


def test_nothing_registered_is_told(world) -> None:
    shutil.rmtree(world.table("registered_model").folder)
    with pytest.raises(Blocked, match="nothing to restore"):
        restore_registry(world.stores, *ASKED)
