"""The registry's database is lost: lake and ledger bring versions and champion back."""

import shutil

import pytest
from registry_world import SPLIT_ID, World, declared_product, declared_repository

from platform_assets.__main__ import main
from platform_assets.errors import Blocked
from platform_assets.lineage.verification import verify
from platform_assets.registry.champion import champion
from platform_assets.registry.restore import restore_registry
from platform_assets.training.mlflow_store import open_mlflow

ASKED = ("payment_fraud", "ana@payments.example", "its disk was lost")


def without_database(world: World) -> World:
    """The same home on another machine, its MLflow database lost."""
    root = world.root.with_name("moved")
    shutil.copytree(world.root, root)
    (root / "home/mlflow/mlflow.db").unlink()
    return World(root, declared_repository(root), declared_product())


def test_versions_and_champion_come_back_under_their_numbers(challenged) -> None:
    before = champion(challenged.stores, challenged.product)
    challenged = without_database(challenged)
    assert restore_registry(challenged.stores, *ASKED) == ["1", "2"]
    assert champion(challenged.stores, challenged.product) == before
    assert verify(challenged.stores).broken == []
    assert challenged.promote().promoted, "and version 2 is decided on as ever"
    assert challenged.stores.ledger.entries("payment_fraud", "restore")[0].body["versions"] == ["1", "2"]
    challenged.candidate(regularisation=0.25)
    newest = challenged.table("registered_model").history(SPLIT_ID)[-1]
    assert newest.notes["version"] == "3", "no number is given twice"


@pytest.mark.parametrize("version", ["1", "2"], ids=["champion", "challenger"])
def test_a_single_lost_version_is_one_line_of_verify_and_its_fix_heals(
    challenged, version, monkeypatch, capsys
) -> None:
    before = champion(challenged.stores, challenged.product)
    open_mlflow(challenged.stores).delete_model_version("payment_fraud", version)
    monkeypatch.setenv("PLATFORM_HOME", str(challenged.stores.home.root))
    assert main(["verify"]) == 1
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("BROKEN")]
    assert f"product payment_fraud: MLflow's registry does not hold version {version}" in line
    assert "restore-registry --product payment_fraud" in line
    assert str(challenged.stores.home.mlflow / "mlflow.db") in line
    challenged = without_database(challenged)
    assert restore_registry(challenged.stores, *ASKED) == ["1", "2"]
    assert verify(challenged.stores).broken == []
    assert champion(challenged.stores, challenged.product) == before


def test_a_lost_database_is_one_line_of_verify_and_asking_makes_none(challenged) -> None:
    challenged = without_database(challenged)
    (line,) = verify(challenged.stores).broken
    assert "does not hold versions 1, 2" in line
    assert not (challenged.stores.home.mlflow / "mlflow.db").exists()


def test_a_number_the_lake_does_not_know_is_not_given_again(challenged) -> None:
    challenged.candidate(regularisation=0.25)
    challenged.table("registered_model").folder.joinpath("manifests", SPLIT_ID, "000002.json").unlink()
    challenged = without_database(challenged)
    assert restore_registry(challenged.stores, *ASKED) == ["1", "3"]
    client = open_mlflow(challenged.stores)
    held = {int(v.version) for v in client.search_model_versions("name='payment_fraud'")}
    assert held == {1, 3}


def test_a_champion_that_the_lake_does_not_know_is_told(challenged) -> None:
    challenged.table("registered_model").folder.joinpath("manifests", SPLIT_ID, "000001.json").unlink()
    challenged = without_database(challenged)
    with pytest.raises(Blocked, match="champion is version 1, of which the lake holds no lineage"):
        restore_registry(challenged.stores, *ASKED)


def test_a_lost_registry_gives_no_number_again(challenged) -> None:
    challenged = without_database(challenged)
    with pytest.raises(Blocked, match=r"holds no version, and the lake knows 1, 2: .*restore-registry"):
        challenged.candidate(regularisation=0.25)
    assert restore_registry(challenged.stores, *ASKED) == ["1", "2"]
    challenged.candidate(regularisation=0.25)
    assert challenged.table("registered_model").history(SPLIT_ID)[-1].notes["version"] == "3"


def test_a_registry_that_is_there_is_left_alone(challenged) -> None:
    with pytest.raises(Blocked, match="only after it was lost"):
        restore_registry(challenged.stores, *ASKED)


def test_nothing_registered_is_told(world) -> None:
    shutil.rmtree(world.table("registered_model").folder)
    with pytest.raises(Blocked, match="nothing to restore"):
        restore_registry(world.stores, *ASKED)
