"""Parity notices what is served wrongly, and never passes what it could not measure."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from sales_world import (
    DAYS,
    MEMBER_RETURNS,
    NEWEST,
    REPOSITORY,
    SHOP_TRADE,
    World,
    product,
    sales,
    write_raw,
)

from platform_assets.declaration.feature_view import Feature
from platform_assets.declaration.repository import Repository
from platform_assets.evidence.evidence import Evidence, Verdict
from platform_assets.lake.digest import document_digest
from platform_assets.online.feast_objects import SLOT, slot_view_name
from platform_assets.online.online_events import read_events
from platform_assets.online.online_state import state_columns
from platform_assets.online.online_store import fill_online, open_online_store
from platform_assets.parity.parity_report import difference, parity_report, parity_versions
from platform_assets.parity.view_parity import view_parity_history
from platform_assets.vocabulary import feature_table, online_table, raw_table

SHOP_FEATURES = {feature.name for feature in SHOP_TRADE.features}


def rows_of(evidence: Evidence) -> dict[str, dict[str, Any]]:
    return {row["feature"]: row for row in evidence.measured["features"]}


def test_served_equals_trained(world: World) -> None:
    evidence = parity_report(world.stores, REPOSITORY, product(requests=40), run_id="r1")
    assert evidence.verdict is Verdict.PASSED, evidence.reason
    assert (evidence.kind, evidence.subject, evidence.partition) == (
        "parity",
        "products/returns/parity_report",
        "",
    )
    assert evidence.measured["requests"] == 40
    assert len(evidence.measured["features"]) == 14
    assert all(row["mismatches"] == row["missing"] == 0 for row in rows_of(evidence).values())
    views = {view.name: view.code_version for view in REPOSITORY.feature_views.values()}
    online = {
        f"online:{name}": world.stores.lake.table(online_table(name)).digests()["current"]
        for name in (SHOP_TRADE.name, MEMBER_RETURNS.name)
    }
    by_view = {
        f"parity:{view.name}": view_parity_history(world.stores, view)[-1].id
        for view in (SHOP_TRADE, MEMBER_RETURNS)
    }
    assert evidence.versions == {"views": document_digest(views)} | online | by_view
    assert [row["verdict"] for row in evidence.measured["views"]] == ["PASSED", "PASSED"]
    assert evidence.versions == parity_versions(world.stores, REPOSITORY, product())
    assert world.stores.evidence.latest("parity", evidence.subject) == evidence


def test_the_sample_is_the_same_in_every_run_and_at_most_all_rows(world: World) -> None:
    first, second = (parity_report(world.stores, REPOSITORY, product(requests=10)) for _ in range(2))
    assert first.id == second.id
    assert parity_report(world.stores, REPOSITORY, product(requests=500)).measured["requests"] == 60


def test_shortcuts_are_told_to_be_wrong_and_decide_nothing(world: World) -> None:
    world.build(DAYS[-3:])
    evidence = parity_report(world.stores, REPOSITORY, product())
    assert evidence.verdict is Verdict.PASSED
    row = rows_of(evidence)["sum_1d"]
    assert row["last_stored_row_differs"] > 0.5
    assert row["midnight_snapshot_differs"] > 0.5
    assert rows_of(evidence)["weekend"]["last_stored_row_differs"] == 0


# served wrongly: FAILED, naming what is wrong


def spoil(
    world: World, change: Any, names: tuple[str, ...] = ("shop 0", "shop 1", "shop 2", "shop 3")
) -> None:
    """Change stored events behind the manifest's back, as a lost or doubled write would."""
    store = open_online_store(world.stores, REPOSITORY)
    promised = world.stores.lake.table(online_table(SHOP_TRADE.name)).document("current")
    assert promised is not None
    feast_view = store.get_feature_view(slot_view_name(SHOP_TRADE, promised[SLOT]))
    columns = state_columns(REPOSITORY.source("sales"), SHOP_TRADE)
    from datetime import UTC, datetime

    from feast.protos.feast.types.EntityKey_pb2 import EntityKey
    from feast.protos.feast.types.Value_pb2 import Value

    keys = [EntityKey(join_keys=["shop"], entity_values=[Value(string_val=name)]) for name in names]
    rows = []
    found = store.provider.online_read(store.config, feast_view, keys, list(columns))
    for key, (_, row) in zip(keys, found, strict=True):
        for value in row.values():
            held = getattr(value, value.WhichOneof("val")).val
            held[:] = change(list(held))
        rows.append((key, row, datetime.now(UTC), None))
    store.provider.online_write_batch(store.config, feast_view, rows, None)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda held: held[:-6], id="newest events lost"),
        pytest.param(lambda held: held[5:], id="oldest events lost"),
        pytest.param(lambda held: [value for value in held for _ in (0, 1)], id="every event twice"),
        pytest.param(lambda held: [], id="no events at all"),
    ],
)
def test_a_spoiled_state_fails(world: World, change: Any) -> None:
    spoil(world, change)
    evidence = parity_report(world.stores, REPOSITORY, product())
    assert evidence.verdict is Verdict.FAILED
    assert "shop_trade:" in evidence.reason
    wrong = {name for name, row in rows_of(evidence).items() if row["mismatches"]}
    assert wrong
    assert wrong <= SHOP_FEATURES
    example = evidence.measured["examples"][0]
    assert example["served"] != example["trained"]
    assert "till" not in json.dumps(evidence.measured["examples"])


def test_a_share_that_may_differ_is_the_limit(world: World) -> None:
    spoil(world, lambda held: held[:-6], ("shop 1",))
    measured = parity_report(world.stores, REPOSITORY, product()).measured
    assert 0 < measured["share"] < 1
    of_shops = view_parity_history(world.stores, SHOP_TRADE)[-1].measured["share"]
    assert of_shops == 1 / 4
    lenient = parity_report(world.stores, REPOSITORY, product(at_most=max(measured["share"], of_shops)))
    strict = parity_report(world.stores, REPOSITORY, product(at_most=measured["share"] - 1e-6))
    assert (lenient.verdict, strict.verdict) == (Verdict.PASSED, Verdict.FAILED)


def test_training_rows_that_are_missing_differ(world: World) -> None:
    table = world.stores.lake.table(feature_table(SHOP_TRADE.name))
    manifest = table.manifest(NEWEST)
    assert manifest is not None
    table.write(
        NEWEST, table.read([NEWEST]).slice(0, 55), key=manifest.key, code_version=manifest.code_version,
        inputs=manifest.inputs, cause="rows lost",
    )  # fmt: skip
    evidence = parity_report(world.stores, REPOSITORY, product())
    assert evidence.verdict is Verdict.FAILED
    assert rows_of(evidence)["sum_1d"]["missing"] == 5


# could not be measured: UNKNOWN, never a pass


def _never_filled(world: World) -> None:
    shutil.rmtree(world.stores.lake.table(online_table(SHOP_TRADE.name)).folder)


def _store_deleted(world: World) -> None:
    shutil.rmtree(world.stores.home.feast)


def _store_damaged(world: World) -> None:
    (world.stores.home.feast / "online.db").write_bytes(b"not a database" * 100)


def _raw_corrected(world: World) -> None:
    write_raw(world.stores, DAYS[-2], sales(DAYS[-2], rows=59))


def _newer_raw_day(world: World) -> None:
    rows = sales(NEWEST)
    moments = pc.add(rows["sold_at"], pa.scalar(24 * 3600 * 10**6, pa.duration("us")))
    write_raw(world.stores, "2024-03-06", rows.set_column(2, "sold_at", moments))


def _features_stale(world: World) -> None:
    """The online states follow a correction; the feature days do not yet."""
    _raw_corrected(world)
    world.fill()


def _features_missing(world: World) -> None:
    shutil.rmtree(world.stores.lake.table(feature_table(MEMBER_RETURNS.name)).folder)


def _raw_missing(world: World) -> None:
    shutil.rmtree(world.stores.lake.table(raw_table("sales")).folder / "manifests" / DAYS[-2])


def _raw_file_gone(world: World) -> None:
    table = world.stores.lake.table(raw_table("sales"))
    Path(table.paths([NEWEST])[0]).unlink()


def _raw_file_damaged(world: World) -> None:
    table = world.stores.lake.table(raw_table("sales"))
    Path(table.paths([NEWEST])[0]).write_bytes(b"not parquet")


def _no_rows(world: World) -> None:
    write_raw(world.stores, NEWEST, sales(NEWEST).slice(0, 0))
    world.build()
    world.fill()


UNMEASURABLE = {
    "never filled": (_never_filled, "nothing was materialized yet"),
    "store deleted": (_store_deleted, "cannot be read"),
    "store damaged": (_store_damaged, "cannot be read"),
    "raw day corrected": (_raw_corrected, "online shop_trade is stale"),
    "newer raw day": (_newer_raw_day, "online shop_trade is stale"),
    "feature day stale": (_features_stale, "day 2024-03-05 is stale"),
    "feature day missing": (_features_missing, "member_returns: day 2024-03-05 was not built"),
    "raw day missing": (_raw_missing, "are missing, the first 2024-03-04"),
    "raw file gone": (_raw_file_gone, "it is gone"),
    "raw file damaged": (_raw_file_damaged, "Parquet"),
    "no requests": (_no_rows, "no request could be sampled"),
}


@pytest.mark.parametrize("name", UNMEASURABLE)
def test_what_could_not_be_measured_is_unknown(world: World, name: str) -> None:
    harm, reason = UNMEASURABLE[name]
    harm(world)
    evidence = parity_report(world.stores, REPOSITORY, product())
    assert evidence.verdict is Verdict.UNKNOWN
    assert reason in evidence.reason
    assert evidence.measured == {}
    assert evidence.versions == parity_versions(world.stores, REPOSITORY, product())


def test_a_view_changed_after_the_fill_is_unknown(world: World) -> None:
    changed = SHOP_TRADE.model_copy(update={"version": 2})
    views = {**REPOSITORY.feature_views, SHOP_TRADE.name: changed}
    repository = Repository(REPOSITORY.sources, REPOSITORY.entities, views)
    assert parity_report(world.stores, repository, product()).verdict is Verdict.UNKNOWN


def test_evidence_of_an_older_state_does_not_hold_for_the_new_one(world: World) -> None:
    evidence = parity_report(world.stores, REPOSITORY, product())
    _raw_corrected(world)
    world.build()
    world.fill()
    assert not evidence.holds_for(parity_versions(world.stores, REPOSITORY, product()))
    assert parity_report(world.stores, REPOSITORY, product()).verdict is Verdict.PASSED


def test_a_correction_is_healed_by_filling_again(world: World) -> None:
    spoil(world, lambda held: held[:-3])
    assert parity_report(world.stores, REPOSITORY, product()).verdict is Verdict.FAILED
    fill_online(world.stores, REPOSITORY, SHOP_TRADE, cause="heal")
    assert parity_report(world.stores, REPOSITORY, product()).verdict is Verdict.PASSED


COUNT = Feature(name="n", function="count", window="1d")
MEAN = Feature(name="m", function="mean", column="price", window="1d")


@pytest.mark.parametrize(
    ("feature", "want", "got", "off"),
    [
        pytest.param(COUNT, 3, 3, None, id="equal count"),
        pytest.param(COUNT, 3, 4, 1.0, id="count off by one"),
        pytest.param(COUNT, 0, None, 0.0, id="zero is not null"),
        pytest.param(MEAN, None, None, None, id="null is null"),
        pytest.param(MEAN, float("nan"), None, None, id="NaN is null"),
        pytest.param(MEAN, None, 2.5, 2.5, id="null is not a value"),
        pytest.param(MEAN, 1.0, 1.0 + 1e-10, None, id="within the tolerance"),
        pytest.param(MEAN, 1.0, 1.001, pytest.approx(0.001), id="beyond it"),
        pytest.param(MEAN, 1e9, 1e9 + 0.1, None, id="relative above one"),
    ],
)
def test_difference(feature: Feature, want: Any, got: Any, off: float | None) -> None:
    assert difference(feature, want, got, 1e-9) == off


def test_times_are_kept_to_the_microsecond(world: World) -> None:
    """SQLite keeps whole seconds of Feast's own timestamps; ours are numbers."""
    row = sales(NEWEST).slice(0, 1).to_pylist()[0]
    moment = row["sold_at"].replace(microsecond=123457)
    write_raw(
        world.stores, NEWEST, pa.Table.from_pylist([row | {"sold_at": moment, "shop": "exact"}], schema=sales(NEWEST).schema)
    )  # fmt: skip
    world.fill()
    found = read_events(world.stores, REPOSITORY, SHOP_TRADE, ["exact"], [])["exact"]
    assert found.times[0] % 1_000_000 == 123457
