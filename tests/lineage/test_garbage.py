"""Garbage: what a registered version was made from is never it, whatever the history looks like."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from platform_assets.errors import Blocked
from platform_assets.home import Home
from platform_assets.lake.lake import Lake
from platform_assets.lake.manifest import Manifest
from platform_assets.lineage.descent import descent
from platform_assets.lineage.garbage import garbage, needed, remove
from platform_assets.stores import Stores

TABLES = (
    "raw/a",
    "features/b",
    "online/b",
    "products/p/training_set",
    "products/p/training_run",
    "products/p/registered_model",
)
OLD, NEW, SINCE = "2026-01-01T00:00:00", "2026-06-01T00:00:00", "2026-05-01T00:00:00"


def manifest(table: str, partition: str, sequence: int, inputs: dict, created_at: str = OLD) -> Manifest:
    return Manifest(
        table=table, partition=partition, sequence=sequence, digest=f"{table}{partition}{sequence}", rows=1,
        size_bytes=1, file=f"data/{partition}/{sequence}", code_version="1", inputs=inputs, cause="", run_id="",
        created_at=created_at, notes={"version": str(sequence)},
    )  # fmt: skip


@st.composite
def histories(draw) -> list[Manifest]:
    """Tables in a row; each version is made from versions of earlier tables, old or new ones."""
    made: list[Manifest] = []
    for place, table in enumerate(TABLES):
        upstream = [m for m in made if m.table in TABLES[:place]]
        for partition in ("d1", "d2"):
            for sequence in range(1, draw(st.integers(0, 3)) + 1):
                chosen = draw(st.lists(st.sampled_from(upstream), max_size=3)) if upstream else []
                inputs: dict = {}
                for m in chosen:
                    inputs.setdefault(m.table, {})[m.partition] = m.digest
                made.append(manifest(table, partition, sequence, inputs, draw(st.sampled_from([OLD, NEW]))))
    return made


@given(histories())
@settings(max_examples=300, deadline=None)
def test_nothing_that_a_registered_version_descends_from_goes(manifests: list[Manifest]) -> None:
    newest = {(m.table, m.partition): m for m in manifests}
    kept = needed(
        manifests, current={(m.table, m.partition, m.sequence) for m in newest.values()}, since=SINCE
    )

    def reaches_a_model(m: Manifest) -> bool:
        """The other way round than the code: from a version down to what was made of it."""
        if m.table.endswith("registered_model"):
            return True
        return any(
            reaches_a_model(other)
            for other in manifests
            if other.inputs.get(m.table, {}).get(m.partition) == m.digest
        )

    def reaches(m: Manifest, table: str) -> bool:
        """Whether the present version of a partition of a table was made from it."""
        if m.table.startswith(table):
            return newest[(m.table, m.partition)] is m
        return any(
            reaches(other, table)
            for other in manifests
            if other.inputs.get(m.table, {}).get(m.partition) == m.digest
        )

    days_trained_on = {
        m.partition for m in manifests if m.table == "raw/a" and reaches(m, "products/p/training_set")
    }
    for m in manifests:
        stays = (m.table, m.partition, m.digest) in kept
        must = (
            reaches_a_model(m)
            or reaches(m, "online/")
            or newest[(m.table, m.partition)] is m
            or m.created_at >= SINCE
            or (m.table == "raw/a" and m.partition in days_trained_on)
        )
        assert stays == must, m


@pytest.fixture
def stores(tmp_path: Path) -> Stores:
    return Stores.at(Home.at(tmp_path))


def put(stores: Stores, table: str, value: float, inputs: dict | None = None) -> Manifest:
    return stores.lake.table(table).write(
        "d1",
        pa.table({"id": [1], "x": [value]}),
        key=["id"],
        code_version="1",
        inputs=inputs or {},
        cause="test",
    )


def aged(stores: Stores, days: int = 3) -> datetime:
    """Let all files be some days old; the moment to collect at, long after."""
    past = (datetime.now(UTC) - timedelta(days=days)).timestamp()
    for path in stores.home.root.rglob("*"):
        os.utime(path, (past, past))
    return datetime.now(UTC) + timedelta(days=100)


def test_superseded_files_go_and_their_manifests_stay(stores: Stores) -> None:
    first, second = put(stores, "raw/a", 1.0), put(stores, "raw/a", 2.0)
    table = stores.lake.table("raw/a")
    found = garbage(stores, now=aged(stores))
    assert [item.path for item in found] == [table.folder / first.file]
    assert remove(found) == found[0].size_bytes
    assert [m.digest for m in table.history("d1")] == [first.digest, second.digest]
    assert table.read(["d1"]).column("x").to_pylist() == [2.0]
    assert garbage(stores, now=aged(stores)) == []
    assert put(stores, "raw/a", 1.0).sequence == 3, "content that was collected can come back"
    assert table.read(["d1"]).column("x").to_pylist() == [1.0]


def test_what_a_registered_version_was_made_from_stays(stores: Stores) -> None:
    raw = put(stores, "raw/a", 1.0)
    rows = put(stores, "products/p/training_set", 1.0, {"raw/a": {"d1": raw.digest}})
    stores.lake.table("products/p/registered_model").write_document(
        "d1", {"version": "1"}, code_version="1", inputs={rows.table: {"d1": rows.digest}}, cause="test",
        notes={"version": "1"},
    )  # fmt: skip
    put(stores, "raw/a", 2.0)
    put(stores, "products/p/training_set", 2.0)
    assert garbage(stores, now=aged(stores)) == []
    assert len(descent(stores.lake, [("raw/a", "d1", raw.digest)])) == 2


def test_what_was_known_of_the_days_of_a_training_set_stays(stores: Stores) -> None:
    put(stores, "raw/a", 1.0)
    present = put(stores, "raw/a", 2.0)
    put(stores, "products/p/training_set", 1.0, {"raw/a": {"d1": present.digest}})
    assert garbage(stores, now=aged(stores)) == [], "hindsight is told from the version before"


def test_what_an_online_state_was_filled_from_stays(stores: Stores) -> None:
    first = put(stores, "raw/a", 1.0)
    put(stores, "online/b", 1.0, {"raw/a": {"d1": first.digest}})
    put(stores, "raw/a", 2.0)
    assert garbage(stores, now=aged(stores)) == [], "late data are told from what was there at the fill"


def test_young_files_versions_and_runs_at_work_are_left_alone(stores: Stores) -> None:
    put(stores, "raw/a", 1.0)
    put(stores, "raw/a", 2.0)
    assert garbage(stores) == [], "a version of today"
    orphan = stores.lake.table("raw/a").folder / "data/d1/unfinished.parquet"
    orphan.write_bytes(b"1234")
    half = orphan.with_name(".x.parquet.1.abc.tmp")
    half.write_bytes(b"12")
    assert garbage(stores, now=datetime.now(UTC)) == [], "a file of a run that may be at work"
    aged(stores)
    found = {item.path.name: item for item in garbage(stores, now=datetime.now(UTC))}
    assert set(found) == {orphan.name, half.name}
    assert "no manifest names it" in found[orphan.name].reason
    assert "killed" in found[half.name].reason


def test_models_of_attempts_go_and_those_of_champions_stay(stores: Stores) -> None:
    def model(run: str) -> str:
        folder = stores.home.mlflow / f"artifacts/p/{run}/artifacts/model"
        folder.mkdir(parents=True)
        (folder / "model.pkl").write_bytes(b"0" * 10)
        return folder.relative_to(stores.home.root).as_posix()

    current, champion, failed = model("current"), model("champion"), model("failed")
    stores.lake.table("products/p/training_run").write_document(
        "d1", {"a": 1}, code_version="1", inputs={}, cause="test", notes={"artifact_path": current}
    )
    stores.ledger.append("confirm", "p", "x", {"artifact_path": champion})
    found = garbage(stores, now=aged(stores))
    assert [item.path for item in found] == [stores.home.root / failed]
    assert remove(found) == 10
    assert not (stores.home.root / failed).exists()
    assert remove(found) == 0, "gone already"


def test_less_than_a_day_is_refused(stores: Stores) -> None:
    with pytest.raises(Blocked, match="at least 1"):
        garbage(stores, keep_days=0)


def test_the_lake_reads_on_after_everything_went(stores: Stores) -> None:
    for value in range(5):
        put(stores, "raw/a", float(value))
    remove(garbage(stores, now=aged(stores)))
    assert Lake(stores.home.lake).table("raw/a").read(["d1"]).num_rows == 1
    assert len(list((stores.lake.table("raw/a").folder / "data").rglob("*.parquet"))) == 1
