"""The lake: same content, same version; nothing half-written; old versions stay readable."""

from __future__ import annotations

import multiprocessing
import os
import signal
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from platform_assets.errors import LakeError
from platform_assets.lake.digest import canonical, table_digest
from platform_assets.lake.lake import Lake, Table


def rows(*ids: int, amount: float = 1.0) -> pa.Table:
    return pa.table({"id": pa.array(ids, pa.int64()), "amount": pa.array([amount * i for i in ids])})


def put(table: Table, data: pa.Table, day: str = "2026-01-01", inputs: dict | None = None) -> object:
    return table.write(day, data, key=["id"], code_version="1", inputs=inputs or {}, cause="test")


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Lake(tmp_path).table("raw/payments")


def test_same_rows_in_another_order_are_the_same_version(table: Table) -> None:
    first = put(table, rows(1, 2, 3))
    again = put(table, rows(3, 1, 2))
    assert again == first
    assert len(table.history("2026-01-01")) == 1


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        (rows(1, 2, 4), "key"),
        (rows(1, 2, 3, amount=1.5), "value"),
        (rows(1, 2), "row count"),
        (rows(1, 2, 3).rename_columns(["id", "total"]), "column name"),
        (rows(1, 2, 3).set_column(1, "amount", pa.array([1, 2, 3])), "column type"),
        (rows(1, 2, 3).set_column(1, "amount", pa.array([1.0, None, 3.0])), "null"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_any_change_changes_the_digest(table: Table, changed: pa.Table, why: str) -> None:
    assert put(table, rows(1, 2, 3)).digest != put(table, changed).digest, why


def test_null_is_not_zero_and_empty_is_not_null() -> None:
    def digest(values: list, kind: pa.DataType) -> str:
        return table_digest(canonical(pa.table({"v": pa.array(values, kind)}), []))

    assert digest([None], pa.int64()) != digest([0], pa.int64())
    assert digest([None], pa.string()) != digest([""], pa.string())
    assert digest(["ab", "c"], pa.string()) != digest(["a", "bc"], pa.string())


def test_minus_zero_and_zone_spelling_do_not_change_the_digest() -> None:
    def digest(column: pa.Array) -> str:
        return table_digest(canonical(pa.table({"v": column}), []))

    assert digest(pa.array([0.0])) == digest(pa.array([-0.0]))
    moment = datetime(2026, 1, 1)
    assert digest(pa.array([moment], pa.timestamp("ns"))) == digest(pa.array([moment], pa.timestamp("us")))
    assert digest(pa.array([moment], pa.timestamp("us"))) == digest(
        pa.array([moment], pa.timestamp("us", "UTC"))
    )


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 10**12), st.floats(allow_nan=False)), unique_by=lambda r: r[0]),
    st.randoms(),
)
def test_digest_ignores_order_only(values: list, random: object) -> None:
    def digest(pairs: list) -> str:
        data = pa.table(
            {
                "id": pa.array([p[0] for p in pairs], pa.int64()),
                "x": pa.array([p[1] for p in pairs], pa.float64()),
            }
        )
        return table_digest(canonical(data, ["id"]))

    shuffled = list(values)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert digest(values) == digest(shuffled)
    if values:
        changed = [(values[0][0] + 1, values[0][1]), *values[1:]]
        if len({p[0] for p in changed}) == len(changed):
            assert digest(values) != digest(changed)


def test_doubled_key_is_refused_and_nothing_is_left(table: Table) -> None:
    with pytest.raises(ValueError, match="1 rows share a key"):
        put(table, rows(1, 2, 2))
    assert table.partitions() == []
    assert not list(table.folder.rglob("*.parquet"))


def test_old_versions_stay_readable(table: Table) -> None:
    first = put(table, rows(1, 2))
    put(table, rows(1, 2, 3))
    assert table.read(["2026-01-01"]).num_rows == 3
    assert pq.read_table(table.path(table.version("2026-01-01", first.digest))).num_rows == 2
    assert table.current_at("2026-01-01", first.created_at) == first


def test_back_to_old_content_is_a_new_version_of_the_old_digest(table: Table) -> None:
    first, second, third = put(table, rows(1)), put(table, rows(2)), put(table, rows(1))
    assert (first.digest, third.sequence) == (third.digest, 3)
    assert second.digest != first.digest
    assert table.manifest("2026-01-01") == third


def test_same_content_from_other_inputs_moves_nothing_downstream(table: Table) -> None:
    first = put(table, rows(1), inputs={"source": {"2026-01-01": "a"}})
    second = put(table, rows(1), inputs={"source": {"2026-01-01": "b"}})
    assert second.digest == first.digest
    assert second.is_made_from("1", {"source": {"2026-01-01": "b"}})


def test_stable_path_holds_only_the_current_file(table: Table) -> None:
    put(table, rows(1))
    put(table, rows(1, 2))
    files = list(table.stable_folder().glob("*"))
    assert [f.name for f in files] == ["2026-01-01.parquet"]
    assert pq.read_table(files[0]).num_rows == 2


def test_damaged_manifest_is_told_by_file(table: Table) -> None:
    put(table, rows(1))
    path = next((table.folder / "manifests/2026-01-01").glob("*.json"))
    path.write_text("{")
    with pytest.raises(LakeError, match=r"000001\.json: damaged manifest"):
        table.manifest("2026-01-01")


def test_missing_data_file_is_told(table: Table) -> None:
    manifest = put(table, rows(1))
    (table.folder / manifest.file).unlink()
    with pytest.raises(LakeError, match="a manifest promises this file"):
        table.read(["2026-01-01"])


def _write_for_ever(root: str) -> None:
    table = Lake(Path(root)).table("raw/payments")
    count = 0
    while True:
        count += 1
        put(table, rows(*range(1, 2000 + count)))


def test_kill_leaves_a_readable_lake(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    writer = context.Process(target=_write_for_ever, args=(str(tmp_path),))
    writer.start()
    table = Lake(tmp_path).table("raw/payments")
    while len(table.history("2026-01-01")) < 5:
        assert writer.is_alive()
    os.kill(writer.pid or 0, signal.SIGKILL)
    writer.join()
    manifest = table.manifest("2026-01-01")
    assert manifest is not None
    assert table.read(["2026-01-01"]).num_rows == manifest.rows
    assert put(table, rows(1, 2)).rows == 2
