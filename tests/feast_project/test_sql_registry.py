"""A repository with a registry in SQLite, text keys and two sources: the whole way, and what breaks it."""

from __future__ import annotations

import shutil
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from applied_here import apply_here
from clinic_project import CASES, LARGE, NOW, PATIENTS, VISITS, VITALS, Clinic, case_rows, vital_rows

from platform_assets.components.feast_project import project_definitions, read_project
from platform_assets.components.location import in_environment
from platform_assets.environments import environment
from platform_assets.errors import Blocked, DeclarationError, SourceError
from platform_assets.evidence.evidence import Verdict
from platform_assets.feast_project.latest_rows import build_latest, cut_off
from platform_assets.feast_project.online_rows import read_online
from platform_assets.feast_project.online_state import fill_online, reconcile_registry
from platform_assets.feast_project.open_project import OpenProject
from platform_assets.feast_project.service_parity import service_parity
from platform_assets.feast_project.source_state import keep_source_state, source_state
from platform_assets.feast_project.training_set import build_training_set
from platform_assets.feast_project.view_parity import view_parity


@pytest.fixture(scope="module")
def applied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    clinic = Clinic(tmp_path_factory.mktemp("clinic")).write()
    apply_here(clinic.home, "clinic", clinic.repo)
    return clinic.folder


@pytest.fixture
def clinic(applied: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Clinic:
    """A copy, used from another folder than the repository."""
    shutil.copytree(applied, tmp_path / "clinic")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    return Clinic(tmp_path / "clinic")


def materialize(opened: OpenProject) -> None:
    for view in opened.views:
        keep_source_state(opened, opened.snapshot.source(view.source), cause="test")
    as_of = cut_off(opened, datetime.now(UTC))
    for view in opened.views:
        build_latest(opened, view, as_of, cause="test")
        fill_online(opened, view, cause="test")


def test_all_of_it_equals_training(clinic: Clinic) -> None:
    opened = clinic.opened()
    materialize(opened)
    for name, entities in (("vitals", 8), ("visits", 5)):
        evidence = view_parity(opened, opened.snapshot.view(name))
        assert (evidence.verdict, evidence.measured["entities"]) == (Verdict.PASSED, entities), (
            evidence.reason
        )
    asked = pa.table({"patient_code": [PATIENTS[1], PATIENTS[-1]]})
    assert read_online(opened, opened.snapshot.view("vitals"), asked).values["pulse"] == [61, None]
    assert read_online(opened, opened.snapshot.view("visits"), asked).values["ward"] == ["ward 2", None]
    evidence = service_parity(opened, opened.project.training_sets[0])
    assert evidence.verdict is Verdict.PASSED, evidence.reason


def test_the_registry_lies_in_the_repository(clinic: Clinic) -> None:
    """SQLAlchemy takes a relative path from the present folder, and makes an empty database there."""
    opened = clinic.opened()
    assert {view.name for view in opened.registered().views} == {"vitals", "visits"}
    assert list(Path.cwd().rglob("*")) == []


def test_the_registry_is_told_once(clinic: Clinic) -> None:
    from feast.feature_view import FeatureViewState

    for _ in range(2):
        materialize(clinic.opened())
    opened = clinic.opened()
    known = opened.feast_view("visits")
    assert known.state == FeatureViewState.AVAILABLE_ONLINE
    assert [end for _, end in known.materialization_intervals] == [NOW - timedelta(hours=1)]
    assert reconcile_registry(opened, opened.views) == []


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("sqlite:////nowhere/registry.db", "unable to open database file"),
        ("sqlite:///data/cases.parquet", "file is not a database"),
    ],
    ids=["down", "damaged"],
)
def test_a_registry_that_cannot_be_reached(clinic: Clinic, path: str, told: str) -> None:
    snapshot = clinic.snapshot
    settings = clinic.repo / "feature_store.yaml"
    settings.write_text(settings.read_text().replace("sqlite:///data/registry.db", path))
    from platform_assets.feast_project.open_project import open_project
    from platform_assets.stores import Stores

    with pytest.raises(Blocked, match=f"Feast store of .*{told}.*see that it can be reached, then run again"):
        open_project(Stores.at(clinic.home), read_project(clinic.declaration), clinic.repo, snapshot)


def test_tables_that_apply_dropped_are_made_again(clinic: Clinic) -> None:
    """`feast apply` of a repository that was moved drops the old tables and makes no new ones."""
    opened = clinic.opened()
    materialize(opened)
    with sqlite3.connect(clinic.repo / "data" / "online.db") as connection:
        connection.execute("DROP TABLE clinic_visits")
    view = opened.snapshot.view("visits")
    evidence = view_parity(clinic.opened(), view)
    assert (evidence.verdict, "no such table" in evidence.reason) == (Verdict.UNKNOWN, True)
    again = clinic.opened()
    fill_online(again, view, cause="again")
    assert view_parity(again, view).verdict is Verdict.PASSED


def test_columns_of_the_entity_frame_stay_as_they_are(clinic: Clinic) -> None:
    """Through pandas a column of whole numbers with a null is one of doubles: 2^60 + 1 becomes 2^60."""
    opened = clinic.opened()
    manifest = build_training_set(opened, opened.project.training_sets[0], cause="test")
    rows = opened.stores.lake.table(manifest.table).read(["all"])
    assert rows.num_rows == CASES
    for name in ("case_id", "admitted"):
        assert rows.column(name).equals(case_rows().column(name))
    assert LARGE + 1 in rows.column("case_id").to_pylist()


def test_a_changed_file_of_one_partition_is_seen(clinic: Clinic) -> None:
    opened = clinic.opened()
    before = source_state(opened, opened.snapshot.source(VISITS))
    assert (before.files, before.rows) == (3, 15)
    rows = pq.read_table(clinic.day(3), partitioning=None)
    wards = pa.array(["other"] * rows.num_rows)
    pq.write_table(rows.set_column(rows.column_names.index("ward"), "ward", wards), clinic.day(3))
    assert source_state(opened, opened.snapshot.source(VISITS)).fingerprint != before.fingerprint


def test_half_written_files_of_a_folder_are_left_out(clinic: Clinic) -> None:
    hidden = clinic.day(3).parent / "_temporary" / "part-1.parquet"
    hidden.parent.mkdir()
    hidden.write_bytes(b"PAR1")
    opened = clinic.opened()
    assert source_state(opened, opened.snapshot.source(VISITS)).files == 3


def test_a_column_that_folders_hold_is_one(clinic: Clinic) -> None:
    for back in (1, 2, 3):
        rows = pq.read_table(clinic.day(back), partitioning=None)
        folder = clinic.repo / "data" / "visits" / f"ward=w{back}"
        folder.mkdir()
        pq.write_table(rows.drop_columns(["ward"]), folder / "part-0.parquet")
        shutil.rmtree(clinic.day(back).parent)
    opened = clinic.opened()
    materialize(opened)
    view = opened.snapshot.view("visits")
    assert read_online(opened, view, pa.table({"patient_code": ["p00"]})).values["ward"] == ["w1"]
    assert view_parity(opened, view).verdict is Verdict.PASSED


def test_all_sources_are_looked_at_before_the_newest_row_is_taken(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLATFORM_HOME", str(clinic.home.root))
    made = project_definitions(read_project(clinic.declaration), clinic.declaration)
    graph = in_environment(environment(), made).resolve_asset_graph()
    keys = {key.to_user_string(): key for key in graph.get_all_asset_keys()}
    parents = {p.to_user_string() for p in graph.get(keys["clinic/offline_visits"]).parent_keys}
    assert parents == {"clinic/registry", "clinic/source_data_vitals_parquet", "clinic/source_visits"}


def test_views_that_are_no_assets_do_not_count(clinic: Clinic) -> None:
    text = clinic.declaration.read_text()
    clinic.declaration.write_text(text[: text.index("  training_sets")] + "  feature_views: [vitals]\n")
    shutil.rmtree(clinic.repo / "data" / "visits")
    opened = clinic.opened()
    materialize(opened)
    assert view_parity(opened, opened.snapshot.view("vitals")).verdict is Verdict.PASSED


def test_two_names_that_would_be_one_asset(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    from platform_assets.components.feast_project import checked_views

    snapshot, project = clinic.snapshot, read_project(clinic.declaration)
    from dataclasses import replace

    views = tuple(replace(view, source="data_vitals_parquet") if view.name == "visits" else view
                  for view in snapshot.views)  # fmt: skip
    with pytest.raises(DeclarationError, match=r"would be one asset, data_vitals_parquet; rename one"):
        checked_views(project, replace(snapshot, views=views))


def replaced(file: Path, name: str, values: pa.Array) -> None:
    rows = pq.read_table(file)
    pq.write_table(rows.set_column(rows.column_names.index(name), name, values), file)


def test_keys_of_another_type_than_declared(clinic: Clinic) -> None:
    numbers = pa.array([int(code[1:]) for code in vital_rows().column("patient_code").to_pylist()])
    replaced(clinic.repo / VITALS, "patient_code", numbers)
    opened = clinic.opened()
    told = r"join key 'patient_code' is int64 in source 'data/vitals.parquet' and declared String"
    with pytest.raises(SourceError, match=told):
        build_latest(opened, opened.snapshot.view("vitals"), NOW, cause="test")
    assert opened.stores.lake.tables() == []


def test_stored_keys_of_another_type(clinic: Clinic) -> None:
    from platform_assets.feast_project.online_rows import stored_keys

    opened = clinic.opened()
    materialize(opened)
    with pytest.raises(
        Blocked, match=r"holds keys of another type than the source .* drop its table clinic_vit"
    ):
        stored_keys(opened, opened.snapshot.view("vitals"), pa.schema([("patient_code", pa.int64())]))


@pytest.mark.parametrize(
    ("pulse", "told"),
    [
        (
            lambda value: str(value or ""),
            "column 'pulse' is string, and feature view 'vitals' declares it Int64",
        ),
        (
            lambda value: (value or 0) + 0.5,
            r"rows have a fraction in 'pulse', which feature view 'vitals' decl",
        ),
    ],
    ids=["text", "fraction"],
)
def test_features_of_another_type_than_declared(clinic: Clinic, pulse, told: str) -> None:
    values = [pulse(value) for value in vital_rows().column("pulse").to_pylist()]
    replaced(clinic.repo / VITALS, "pulse", pa.array(values))
    opened = clinic.opened()
    with pytest.raises(SourceError, match=told):
        source_state(opened, opened.snapshot.source(VITALS))


def test_whole_numbers_in_doubles_are_none(clinic: Clinic) -> None:
    """As pandas writes them when one is missing."""
    replaced(clinic.repo / VITALS, "pulse", vital_rows().column("pulse").cast(pa.float64()))
    opened = clinic.opened()
    materialize(opened)
    assert view_parity(opened, opened.snapshot.view("vitals")).verdict is Verdict.PASSED
