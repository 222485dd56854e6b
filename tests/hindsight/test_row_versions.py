"""Versions of raw rows as manifests keep them: replaced, removed, late, or of another declaration."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from parcels import DAYS, NEVER, Judge, Parcel, Service, by_parcel, moment, on_time

from platform_assets.errors import Blocked, LakeError
from platform_assets.features.engine import duckdb_engine
from platform_assets.hindsight.known_then import known_then
from platform_assets.hindsight.row_versions import REPLACED_AT, RowVersions, row_versions
from platform_assets.raw.ingest import ingest_day
from platform_assets.raw.source_reader import open_source
from platform_assets.training.training_set import read_training_set
from platform_assets.vocabulary import AVAILABLE_AT, raw_table

FIRST = [Parcel(n, at, n % 3, 5, n % 2, at) for n, at in enumerate(range(1, 7 * 24, 5))]


def versions_of(service: Service) -> RowVersions:
    raw = service.stores.lake.table(raw_table("parcels")).digests()
    return row_versions(service.stores, service.source, raw, loaded_within=timedelta(days=2))


def rows_then(service: Service) -> tuple[pa.Table, pa.Table]:
    made = service.training_set()
    versions = versions_of(service)
    found = known_then(service.stores, service.repository, service.product, made, versions)
    return read_training_set(service.stores, made), found.rows


def test_a_row_is_known_until_the_next_version_replaces_it(tmp_path: Path) -> None:
    service = Service(tmp_path / "home")
    service.deliver(on_time(FIRST))
    old = FIRST[10]
    for known, grams in ((100, 6), (110, 5)):
        service.deliver([replace(old, grams=grams, known=known)])
    found = versions_of(service)
    told = sorted(
        (row["grams"], row[AVAILABLE_AT], row[REPLACED_AT])
        for row in found.earlier.to_pylist()
        if row["parcel"] == old.parcel
    )
    assert told == [(5, moment(old.at), moment(100)), (6, moment(100), moment(110))]
    assert found.earlier.num_rows == 2, "rows that did not change are not told"
    with duckdb_engine() as engine:
        assert found.hindsight(engine) == 3, "both, and the one that counts now: it came after its time"


def test_a_removed_row_is_known_until_its_day_was_written_without_it(tmp_path: Path) -> None:
    service = Service(tmp_path / "home")
    service.deliver(on_time(FIRST))
    gone = next(p for p in FIRST if p.day == 2 and p.lost)
    service.deliver([], gone=[gone.parcel])
    now, then = rows_then(service)
    assert gone.parcel not in by_parcel(now)
    assert by_parcel(then) == Judge(FIRST).then()
    (row,) = versions_of(service).earlier.to_pylist()
    written = service.stores.lake.table(raw_table("parcels")).manifest(DAYS[2])
    assert written is not None
    assert row[REPLACED_AT].replace(tzinfo=UTC) == datetime.fromisoformat(written.created_at)


def test_features_of_several_entities_together(tmp_path: Path) -> None:
    service = Service(tmp_path / "home")
    service.deliver(on_time(FIRST))
    twins = service.repository.entity("shop").model_copy(update={"name": "weight", "join_key": "grams"})
    view = service.repository.feature_view("shop_parcels")
    joint = type(view).model_validate(
        {
            **view.model_dump(mode="json"),
            "entity": ["shop", "weight"],
            "features": [{"name": "same_2d", "function": "count", "window": "2d"}],
        }
    )
    service.repository = replace(
        service.repository,
        entities={**service.repository.entities, "weight": twins},
        feature_views={"shop_parcels": joint},
    )
    service.product = service.product.model_copy(update={"entities": ("shop", "weight")})
    corrected = next(p for p in FIRST if p.day == 2 and p.lost)
    service.deliver([replace(corrected, grams=7, known=20 * 24)])
    now, then = (by_parcel(rows) for rows in rows_then(service))
    reached = [
        p
        for p in FIRST
        if p.shop == corrected.shop and corrected.at < p.at < corrected.at + 48 and p.day != 4
    ]
    assert reached
    for parcel in reached:
        assert then[parcel.parcel]["same_2d"] == now[parcel.parcel]["same_2d"] + 1
    others = now.keys() - {p.parcel for p in reached} - {corrected.parcel}
    assert all(then[name] == now[name] for name in others)


def test_rows_that_a_real_source_delivers_again(tmp_path: Path) -> None:
    """Through ingestion: what changed and what is new arrived when the day was taken in again."""
    service = Service(tmp_path / "home")
    folder = tmp_path / "files" / "parcels"
    folder.mkdir(parents=True)

    def put(rows: list[Parcel], days: tuple[int, ...] = tuple(range(7))) -> None:
        for day in days:
            mine = [p for p in rows if p.day == day]
            columns = {n: [getattr(p, n) for p in mine] for n in ("parcel", "shop", "grams", "lost")}
            table = pa.table({"at": pa.array([moment(p.at) for p in mine], pa.timestamp("us")), **columns})
            pq.write_table(table, folder / f"{DAYS[day]}.parquet")
            reader = open_source(service.source, folder.parent, {})
            made = ingest_day(service.stores, service.source, reader, DAYS[day], cause="test", run_id="")
            service.trust(made)

    put(FIRST)
    assert versions_of(service).earlier.num_rows == 0
    changed = next(p for p in FIRST if p.day == 2 and p.lost)
    late = Parcel(9000, 2 * 24 + 5, changed.shop, 9, 0, NEVER)
    again = [replace(p, grams=8) if p is changed else p for p in FIRST]
    put([*again, late], (2,))
    _, then = rows_then(service)
    assert by_parcel(then) == Judge(FIRST).then()
    put([*again, late, Parcel(9001, 3 * 24 + 1, 1, 1, 0, NEVER)], (3,))
    table = service.stores.lake.table(raw_table("parcels"))
    history = table.history(DAYS[3])
    (table.folder / history[0].file).unlink()
    assert versions_of(service).earlier.num_rows == 1, (
        "new rows alone replace none: no superseded file is read"
    )


def test_a_column_declared_since_corrects_nothing_and_is_not_made_up(tmp_path: Path) -> None:
    service = Service(tmp_path / "home")
    table = service.stores.lake.table(raw_table("parcels"))
    service.deliver(on_time(FIRST))
    before = table.read([DAYS[0]]).drop_columns(["grams"])

    def without_grams() -> None:
        table.write(DAYS[0], before, key=["parcel"], code_version="0", inputs={}, cause="test")

    service.write(0)
    without_grams()
    service.write(0)
    assert versions_of(service).earlier.num_rows == 0
    without_grams()
    service.deliver([replace(FIRST[2], grams=9, known=10**4)])
    with pytest.raises(LakeError, match=r"1 rows of 2024-03-04 .* has no column grams, which was declared"):
        versions_of(service)


def test_a_view_in_sql_is_not_measured(tmp_path: Path) -> None:
    in_sql = {
        "sql": 'SELECT parcel, "at", shop, grams * 2 AS twice FROM {source}',
        "reach": "0d",
        "online": False,
        "features": [{"name": "twice", "function": "sql"}],
    }
    service = Service(tmp_path / "home", view=in_sql)
    service.deliver(on_time(FIRST))
    service.deliver([replace(FIRST[10], grams=6, known=10**4)])
    made = service.training_set()
    with pytest.raises(Blocked, match="feature view shop_parcels is declared in sql: what it would have"):
        known_then(service.stores, service.repository, service.product, made, versions_of(service))
