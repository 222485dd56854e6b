"""What a table tells of its partitions, which files it touches, and documents beside rows."""

from __future__ import annotations

import itertools
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from platform_assets.errors import LakeError
from platform_assets.lake.lake import Lake, Table
from platform_assets.lake.manifest import Manifest

DAY = "2026-01-01"


def put(table: Table, *ids: int, day: str = DAY, **options: object) -> Manifest:
    data = pa.table({"id": pa.array(ids, pa.int64()), "word": [f"w{i}" for i in ids]})
    return table.write(day, data, key=["id"], code_version="1", inputs={}, cause="test", **options)


def note(table: Table, payload: dict[str, object], partition: str = "all") -> Manifest:
    return table.write_document(partition, payload, code_version="1", inputs={}, cause="test")


def noted(table: Table, payload: dict[str, object], **notes: str) -> Manifest:
    return table.write_document("all", payload, code_version="1", inputs={}, cause="test", notes=notes)


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Lake(tmp_path).table("raw/payments")


def test_tables_and_partitions_by_name_once_they_hold_something(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    assert lake.tables() == []
    for name, days in {"raw/b": ["2026-01-02", DAY], "raw/a": [DAY], "models": ["v1"]}.items():
        for day in days:
            put(lake.table(name), 1, day=day)
    assert [table.name for table in lake.tables()] == ["models", "raw/a", "raw/b"]
    assert lake.tables()[2] == lake.table("raw/b")
    both = lake.table("raw/b")
    assert both.partitions() == list(both.current()) == list(both.digests()) == [DAY, "2026-01-02"]
    assert list(both.current(["2026-01-02", "2026-01-03"])) == ["2026-01-02"]
    assert lake.table("raw/none").partitions() == []
    # killed before anything of it counted: never built
    (tmp_path / "tables/raw/a/manifests/2026-01-09").mkdir()
    assert lake.table("raw/a").partitions() == [DAY]


@pytest.mark.parametrize(
    ("count", "told"),
    [
        (1, "table raw/payments: no partition d1"),
        (5, "table raw/payments: no partition d1, d2, d3, d4, d5"),
        (6, "table raw/payments: no partition d1, d2, d3, d4, d5 and 1 more"),
        (9, "table raw/payments: no partition d1, d2, d3, d4, d5 and 4 more"),
    ],
)
def test_missing_partitions_are_named_and_counted(table: Table, count: int, told: str) -> None:
    put(table, 1)
    with pytest.raises(LakeError) as error:
        table.read([DAY, *(f"d{number}" for number in range(1, count + 1))])
    assert str(error.value) == told


def test_a_version_is_found_by_its_digest_and_by_the_moment(table: Table) -> None:
    versions = [put(table, number) for number in range(6)]
    for manifest in versions:
        assert table.version(DAY, manifest.digest) == manifest
        assert table.current_at(DAY, manifest.created_at) == manifest
    assert table.current_at(DAY, "9999") == versions[-1]
    assert table.current_at(DAY, "2000") is None
    with pytest.raises(LakeError, match="table raw/payments: partition 2026-01-01 has no version nothing"):
        table.version(DAY, "nothing")


@pytest.mark.parametrize(("there", "elsewhere"), itertools.permutations([(1,), (2,)]))
def test_a_file_that_no_current_manifest_vouches_for_is_written_again(
    table: Table, there: tuple[int, ...], elsewhere: tuple[int, ...]
) -> None:
    """Both orders: which digest is the greater is chance."""
    old = put(table, *there)
    put(table, *elsewhere)
    table.path(old).write_bytes(b"damaged")
    put(table, *there)
    assert table.read([DAY]).column("id").to_pylist() == list(there)


def test_what_is_there_is_not_touched_and_what_is_gone_is_put_back(table: Table) -> None:
    rows, document = put(table, 1), note(table, {"a": 1}, "notes")
    files = [table.path(rows), table.path(document)]
    before = [(file.stat().st_ino, file.stat().st_ctime_ns) for file in files]
    assert put(table, 1) == rows
    assert note(table, {"a": 1}, "notes") == document
    assert [(file.stat().st_ino, file.stat().st_ctime_ns) for file in files] == before
    for file in files:
        file.unlink()
    assert put(table, 1) == rows
    assert note(table, {"a": 1}, "notes") == document
    assert table.read([DAY]).num_rows == 1
    assert table.document("notes") == {"a": 1}


def test_anew_writes_over_a_changed_file_also_at_the_stable_path(table: Table) -> None:
    rows = put(table, 1, 2)
    stable = table.stable_folder() / f"{DAY}.parquet"
    table.path(rows).write_bytes(b"changed by a hand")
    assert put(table, 1, 2, anew=True) == rows
    assert table.read([DAY]).num_rows == 2
    assert stable.stat().st_ino == table.path(rows).stat().st_ino
    assert pq.read_table(stable).num_rows == 2
    assert len(table.history(DAY)) == 1


def test_a_document_is_text_that_people_can_compare(table: Table) -> None:
    assert table.document("all") is None
    first = note(table, {"b": [1, 2], "a": "x"})
    assert table.path(first).read_text() == '{\n "a": "x",\n "b": [\n  1,\n  2\n ]\n}\n'
    assert (first.rows, first.key, first.schema) == (1, (), ())
    second = note(table, {"a": "y"})
    assert (table.document("all"), table.document_of(first)) == ({"a": "y"}, {"a": "x", "b": [1, 2]})
    assert second.sequence == 2
    assert (first.notes, noted(table, {"a": "z"}, said_by="ana").notes) == ({}, {"said_by": "ana"})
    assert not table.stable_folder().exists()


def test_only_text_is_stored_by_dictionary(table: Table) -> None:
    """Numbers that hardly repeat would cost time and room."""
    group = pq.ParquetFile(table.path(put(table, 1, 2, 3))).metadata.row_group(0)
    found = {group.column(n).path_in_schema: group.column(n).has_dictionary_page for n in range(2)}
    assert found == {"id": False, "word": True}
